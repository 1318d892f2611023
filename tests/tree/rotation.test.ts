/** Rotation's three promises (`src/tree/family.ts`), seen by readers while tables rotate and are flushed. */
import assert from "node:assert/strict";
import { Family } from "../../src/tree/family.ts";
import { KeyProbe } from "../../src/memtable/key_probe.ts";
import { CONTEXT_BYTES, EntryType } from "../../src/native/layout.gen.ts";
import { releaseRegion, reserveRegion } from "../../src/native/region.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { Varve } from "../../mod.ts";

const TINY = { writeBufferSize: 65_536, walSegmentSize: 65_536, blockCacheSize: 65_536 };
const TEXT = { keyEncoding: "utf8", valueEncoding: "utf8" } as const;

function keyOf(index: number): string {
  return `key ${String(index).padStart(6, "0")}`;
}

test("no reader misses a key while memtables rotate and flushes run: blocking writers", () => {
  const db = Varve.openSync(temporaryDirectory(), { ...TINY, ...TEXT, durability: "buffered" });
  const value = "v".repeat(300);
  const count = 3000;
  for (let index = 0; index < count; index++) {
    db.putSync(keyOf(index), `${index} ${value}`);
    for (const back of [index, index >> 1, index >> 3, 0]) {
      assert.equal(db.getSync(keyOf(back)), `${back} ${value}`, `${back} after ${index}`);
    }
    if (index % 100 === 0) {
      assert.equal([...db.keys()].length, index + 1);
      assert.equal([...db.keys({ reverse: true })].length, index + 1);
    }
    const near = [...db.keys({ gte: keyOf(Math.max(0, index - 2)), limit: 3 })];
    assert.equal(near.at(-1), keyOf(index));
  }
  assert.ok(db.stats().flush.count > 3, `${db.stats().flush.count} flushes`);
  db.closeSync();
});

test("no reader misses a key while memtables rotate and flushes run: an event loop with everything in flight", async () => {
  const db = await Varve.open(temporaryDirectory(), { ...TINY, ...TEXT, durability: "buffered" });
  const value = "v".repeat(500);
  let written = 0;
  let done = false;
  const writer = async (): Promise<void> => {
    while (written < 3000) {
      const first = written;
      await Promise.all(
        Array.from({ length: 10 }, (_, step) => db.put(keyOf(first + step), value)),
      );
      written = first + 10;
    }
    done = true;
  };
  const reader = async (): Promise<void> => {
    let round = 0;
    while (!done) {
      const upTo = written;
      if (upTo > 0) {
        const index = (round++ * 7919) % upTo;
        assert.equal(await db.get(keyOf(index)), value, `${index} of ${upTo}`);
        assert.equal(db.getSync(keyOf(index)), value);
        if (round % 50 === 0) {
          let seen = 0;
          for await (const [key] of db.entries({ lt: keyOf(upTo) })) {
            assert.equal(key, keyOf(seen++));
          }
          assert.equal(seen, upTo);
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  };
  await Promise.all([writer(), reader(), reader()]);
  assert.ok(db.stats().flush.count > 3);
  await db.close();
});

test("snapshots see through rotations and flushes", async () => {
  const db = await Varve.open(temporaryDirectory(), { ...TINY, ...TEXT, durability: "buffered" });
  const snapshots: { view: ReturnType<typeof db.snapshot>; round: number }[] = [];
  for (let round = 0; round < 8; round++) {
    for (let index = 0; index < 200; index++) {
      db.putSync(keyOf(index), `${round} ${"v".repeat(200)}`);
    }
    snapshots.push({ view: db.snapshot(), round });
    if (round % 3 === 0) await db.flush();
    for (const { view, round: then } of snapshots) {
      for (const index of [0, 99, 199]) {
        assert.equal(db.getSync(keyOf(index), { snapshot: view })?.split(" ")[0], String(then));
      }
      assert.equal([...db.entries({ snapshot: view })].length, 200);
    }
  }
  for (const { view } of snapshots) view[Symbol.dispose]();
  await db.close();
});

test("size and entries never disagree, and never go backwards but by a flush", () => {
  const db = Varve.openSync(temporaryDirectory(), { ...TINY, ...TEXT, durability: "buffered" });
  for (let index = 0; index < 2000; index++) {
    db.putSync(keyOf(index), "v".repeat(200));
    const { memtableBytes, memtableEntries, levels } = db.stats().columnFamilies.default;
    assert.ok(memtableEntries >= 1, "what was put last is in a memtable");
    assert.ok(memtableBytes >= memtableEntries * 224, `${memtableBytes} for ${memtableEntries}`);
    const files = levels.reduce((sum, level) => sum + level.files, 0);
    if (files === 0) assert.equal(memtableEntries, index + 1);
  }
  db.closeSync();
});

test("rotations at once happen once: an empty memtable is not frozen", () => {
  const context = reserveRegion(CONTEXT_BYTES);
  const tuning = {
    writeBufferSize: 65_536,
    maxWriteBuffers: 4,
    blockSize: 4096,
    filterBitsPerKey: 10,
    compactionStyle: "leveled" as const,
    targetFileSize: 65_536,
    levelBaseSize: 65_536,
    compression: [{ type: "none" as const, level: 0 }],
    blobThreshold: Infinity,
  };
  const family = Family.create(1, "family", tuning, [], context);
  family.rotate();
  assert.equal(family.frozen.length, 0);
  const probe = new KeyProbe(context, 0);
  probe.set("key");
  const active = family.active;
  family.memtableFor(3, 0).insert(probe, EntryType.put, 1, 0, 0, 1);
  assert.equal(family.active, active);
  family.rotate();
  family.rotate();
  family.rotate();
  assert.deepEqual(family.frozen, [active]);
  assert.notEqual(family.active, active);
  assert.equal(family.firstSegment, 1);
  family.release();
  releaseRegion(context.id);
});

test("one batch of many memtables' worth is whole, readable, and flushed without a standstill", async () => {
  const db = await Varve.open(temporaryDirectory(), { ...TINY, ...TEXT, durability: "buffered" });
  const batch = db.batch();
  for (let index = 0; index < 4000; index++) batch.put(keyOf(index), "v".repeat(1000));
  batch.writeSync();
  assert.equal([...db.keys()].length, 4000);
  assert.equal(db.getSync(keyOf(3999))!.length, 1000);
  await inTime(db.flush(), "flush");
  await inTime(db.put("after", "value"), "put");
  await inTime(db.close(), "close");
});

test("many unawaited writes, far beyond what memtables hold, are all carried out", async () => {
  const db = await Varve.open(temporaryDirectory(), { ...TINY, ...TEXT, durability: "buffered" });
  const writes: Promise<void>[] = [];
  for (let index = 0; index < 2000; index++) writes.push(db.put(keyOf(index), "v".repeat(5000)));
  await inTime(Promise.all(writes), "puts");
  await inTime(db.flush(), "flush");
  assert.equal([...db.keys()].length, 2000);
  await inTime(db.close(), "close");
});

test("more families than the total budget holds empty memtables for: writers are not stopped for ever", async () => {
  const db = await Varve.open(temporaryDirectory(), { ...TEXT, totalWriteBufferSize: 65_536 });
  const families = await Promise.all(
    Array.from({ length: 60 }, (_, index) => db.columnFamily(`family ${index}`, TEXT)),
  );
  for (const family of families) await inTime(family.put("key", "value"), "put");
  for (const family of families) assert.equal(await family.get("key"), "value");
  await inTime(db.close(), "close");
});

/** A standstill fails the test instead of hanging the run. */
async function inTime<T>(work: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} stands still`)), 4000);
  });
  return await Promise.race([work, late]).finally(() => clearTimeout(timer));
}
