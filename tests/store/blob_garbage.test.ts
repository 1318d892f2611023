/** Space that large values leave behind: it comes back, and nobody who still sees them loses them. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { Varve, type VarveError } from "../../mod.ts";
import { assertBytes, valueOf } from "../api/large_support.ts";
import { coded, keyOf, soon } from "../api/support.ts";
import { temporaryDirectory, test } from "../harness.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
/** Segments of 1 MiB, memtables that are full soon. */
const SMALL = {
  walSegmentSize: 256 * KIB,
  writeBufferSize: 256 * KIB,
  durability: "buffered",
} as const;

function blobBytes(path: string): number {
  return readdirSync(path).filter((name) => name.endsWith(".blob"))
    .reduce(
      (sum, name) => sum + (statSync(`${path}/${name}`, { throwIfNoEntry: false })?.size ?? 0),
      0,
    );
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const turn = async () => {
    while (!condition()) await setImmediate();
  };
  await soon(turn(), what, 60_000);
}

/** What lives and a fifth; one segment is open for the next values, and one may be there for those behind them. */
function isSmall(path: string, liveBytes: number): boolean {
  return blobBytes(path) <= 1.25 * liveBytes + 2 * MIB;
}

/** Versions of keys: what is to be found, and which seed each value was made from. */
class Versions {
  readonly #seeds = new Map<string, number>();
  #last = 0;

  constructor(readonly bytes: number) {}

  async put(db: Varve, key: string): Promise<void> {
    const seed = ++this.#last;
    this.#seeds.set(key, seed);
    await db.put(key, valueOf(seed, this.bytes));
  }

  async delete(db: Varve, key: string): Promise<void> {
    this.#seeds.delete(key);
    await db.delete(key);
  }

  get liveBytes(): number {
    return this.#seeds.size * this.bytes;
  }

  async check(db: Varve, where: string): Promise<void> {
    for (const [key, seed] of this.#seeds) {
      assertBytes(await db.get(key), valueOf(seed, this.bytes), `${where}: ${key}`);
    }
    assert.equal(await db.count(), this.#seeds.size, where);
  }
}

test("a store with 30 % of its values overwritten shrinks back to within 1.3x of what lives", async () => {
  const path = temporaryDirectory();
  const options = { walSegmentSize: 4 * MIB, writeBufferSize: 4 * MIB, durability: "buffered" };
  const versions = new Versions(MIB);
  const count = 256;
  {
    await using db = await Varve.open(path, { ...options, durability: "buffered" });
    for (let index = 0; index < count; index++) await versions.put(db, keyOf(index));
    for (let index = 0; index < count; index++) {
      if (index * 7 % 10 < 3) await versions.put(db, keyOf(index));
    }
    await until(
      () => blobBytes(path) <= 1.3 * versions.liveBytes,
      `shrinking from ${blobBytes(path)} of ${versions.liveBytes} bytes`,
    );
    await versions.check(db, "shrunk");
    const { blobs, compaction } = db.stats();
    assert(blobs.segmentsRemoved > 0 && compaction.blobBytes > 0, JSON.stringify(blobs));
    assert.equal(compaction.failures, 0);
  }
  await using db = await Varve.open(path, { ...options, durability: "buffered" });
  await versions.check(db, "reopened");
  await db.verify();
  assert(blobBytes(path) <= 1.3 * versions.liveBytes);
});

test("keys that are overwritten again and again take a bounded space, whatever else stays", async () => {
  const path = temporaryDirectory();
  const versions = new Versions(64 * KIB);
  await using db = await Varve.open(path, SMALL);
  for (let index = 0; index < 128; index++) await versions.put(db, `cold ${keyOf(index)}`);
  let most = 0;
  for (let round = 0; round < 40; round++) {
    for (let index = 0; index < 16; index++) await versions.put(db, `hot ${keyOf(index)}`);
    most = Math.max(most, blobBytes(path));
  }
  // What is open, what is reserved ahead, and what is being copied come on top while writes go on.
  assert(most <= 3 * versions.liveBytes, `${most} of ${versions.liveBytes}`);
  await until(() => blobBytes(path) <= 1.6 * versions.liveBytes, "shrinking");
  await versions.check(db, "at last");
});

test("deleted and expired values, and dropped families, give their space back", async () => {
  const path = temporaryDirectory();
  const versions = new Versions(100_000);
  await using db = await Varve.open(path, SMALL);
  const dropped = await db.columnFamily("dropped");
  for (let index = 0; index < 40; index++) {
    await versions.put(db, keyOf(index));
    await dropped.put(keyOf(index), valueOf(index, 100_000));
    await db.put("short", valueOf(index, 100_000), { ttl: 1 });
  }
  for (let index = 0; index < 40; index += 2) await versions.delete(db, keyOf(index));
  await until(() => !db.hasSync("short"), "expiry");
  await db.dropColumnFamily("dropped");
  await db.compact();
  await until(() => isSmall(path, versions.liveBytes), "shrinking");
  await versions.check(db, "compacted");
  await db.deleteRange({});
  await db.compact();
  await until(() => isSmall(path, 0), "emptying");
});

test("a snapshot and an open iterator keep the values that they see through garbage collection", async () => {
  const path = temporaryDirectory();
  const versions = new Versions(100_000);
  await using db = await Varve.open(path, SMALL);
  for (let index = 0; index < 30; index++) await versions.put(db, keyOf(index));
  await db.compact();
  using snapshot = db.snapshot();
  const rows = db.entries()[Symbol.iterator]();
  assertBytes(rows.next().value![1], valueOf(1, 100_000), "first row");
  for (let round = 0; round < 4; round++) {
    for (let index = 0; index < 30; index++) await versions.put(db, keyOf(index));
    await db.compact();
  }
  for (let index = 0; index < 30; index++) {
    const value = db.getSync(keyOf(index), { snapshot });
    assertBytes(value, valueOf(index + 1, 100_000), `snapshot, ${index}`);
  }
  snapshot[Symbol.dispose]();
  await db.compact();
  await until(() => isSmall(path, versions.liveBytes), "shrinking");
  for (let index = 1; index < 30; index++) {
    assertBytes(rows.next().value![1], valueOf(index + 1, 100_000), `row ${index}`);
  }
  assert(rows.next().done);
  await versions.check(db, "at last");
});

test("readers find every value while it is being moved", async () => {
  const path = temporaryDirectory();
  const versions = new Versions(64 * KIB);
  await using db = await Varve.open(path, SMALL);
  for (let index = 0; index < 100; index++) {
    await versions.put(db, `cold ${keyOf(index)}`);
    await versions.put(db, `hot ${keyOf(index)}`);
  }
  let reading = true;
  let reads = 0;
  const readers = Array.from({ length: 4 }, async (_, reader) => {
    for (let index = reader; reading; index = (index + 17) % 100) {
      assertBytes(await db.get(`cold ${keyOf(index)}`), valueOf(2 * index + 1, 64 * KIB), "moving");
      reads++;
    }
  });
  const scans = (async () => {
    while (reading) {
      let index = 0;
      for await (const value of db.values({ prefix: "cold" })) {
        assertBytes(value, valueOf(2 * index++ + 1, 64 * KIB), "scanned");
      }
      assert.equal(index, 100);
    }
  })();
  try {
    for (let round = 0; round < 8; round++) {
      for (let index = 0; index < 100; index++) await versions.put(db, `hot ${keyOf(index)}`);
      await db.compact();
    }
    await until(() => db.stats().compaction.blobBytes > 0, "a move");
  } finally {
    reading = false;
    await Promise.all([...readers, scans]);
  }
  assert(reads > 100, `${reads} reads`);
});

test("a damaged value is left where it is, and what lies beside it is moved away", async () => {
  const path = temporaryDirectory();
  const names = Array.from({ length: 12 }, (_, index) => keyOf(index));
  {
    await using db = await Varve.open(path, SMALL);
    for (const [index, name] of names.entries()) await db.put(name, valueOf(index, 64 * KIB));
    await db.flush();
  }
  const [first] = readdirSync(path).filter((name) => name.endsWith(".blob")).sort();
  const content = readFileSync(`${path}/${first}`);
  content[4096 + 10] ^= 1;
  writeFileSync(`${path}/${first}`, content);
  await using db = await Varve.open(path, SMALL);
  const failures: VarveError[] = [];
  db.addEventListener("error", (error) => failures.push(error));
  for (let index = 3; index < 12; index++) {
    await db.put(names[index], valueOf(100 + index, 64 * KIB));
  }
  await db.compact();
  await until(() => db.stats().compaction.blobBytes > 0, "a move");
  await assert.rejects(db.get(names[0]), coded("ERR_CORRUPTION"));
  for (const index of [1, 2]) {
    assertBytes(await db.get(names[index]), valueOf(index, 64 * KIB), `beside it: ${index}`);
  }
  for (let index = 3; index < 12; index++) {
    assertBytes(await db.get(names[index]), valueOf(100 + index, 64 * KIB), `newer: ${index}`);
  }
  assert.deepEqual(failures, []);
  // And it stays like this: nobody tries for ever.
  await until(() => db.stats().compaction.running === 0, "rest");
  const { count } = db.stats().compaction;
  await db.compact();
  await until(() => db.stats().compaction.running === 0, "rest");
  assert(db.stats().compaction.count <= count + 2, `${db.stats().compaction.count - count} more`);
});
