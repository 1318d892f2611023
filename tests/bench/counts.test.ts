/**
 * What speed rests on, as counts that are the same on every machine: system calls, syncs, calls into the library, bytes written,
 * regions reserved. A change that makes one of them grow is a slower engine, however fast the machine.
 */
import assert from "node:assert/strict";
import { Varve } from "../../mod.ts";
import { LogEntry, LogFrame, LogRun, PAGE_DATA_BYTES } from "../../src/native/layout.gen.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { type CallCounts, countCalls, total } from "./native_calls.ts";

const KEY_BYTES = 16;
const VALUE_BYTES = 100;

/** What the log adds to a group's entries, when one writer's buffer makes the group. */
const GROUP_BYTES = LogFrame.BYTES + LogRun.BYTES;
const ENTRY_BYTES = LogEntry.BYTES + KEY_BYTES + VALUE_BYTES;

const value = new Uint8Array(VALUE_BYTES).fill(7);

function key(index: number): Uint8Array {
  return new TextEncoder().encode(String(index).padStart(KEY_BYTES, "0"));
}

/** Fills the first segments, which are small: what comes then lies in one that has room for all of it. */
async function pastTheSmallSegments(db: Varve, durability: "sync" | "buffered"): Promise<void> {
  const filler = new Uint8Array(64 * 1024);
  for (let index = 0; index < 40; index++) await db.put("filler", filler, { durability });
}

/** Below an eighth of the first segment nothing makes the next one: every call is a frame's. */
const QUIET_BYTES = 32 * 1024;

/** The calls by which a segment is made and entered in the manifest, and the blocks that those write. */
const SEGMENT_CALLS = 4;
const SEGMENT_BYTES = SEGMENT_CALLS * 4096;

function writesOf(db: Varve) {
  return { ...db.stats().write };
}

/** A store of `count` entries in tables, each block of which is in the cache. */
async function cachedStore(count: number): Promise<Varve> {
  const db = await Varve.open(temporaryDirectory(), { durability: "buffered" });
  for (let index = 0; index < count; index++) db.putSync(key(index), value);
  await db.flush();
  for (let index = 0; index < count; index++) db.getSync(key(index));
  return db;
}

function assertOnly(counts: CallCounts, name: string, count: number): void {
  assert.deepEqual(Object.fromEntries(counts), { [name]: count });
}

test("64 durable writers: one sync serves 56 puts at least", async () => {
  const writers = 64;
  const rounds = 100;
  const puts = writers * rounds;
  await using db = await Varve.open(temporaryDirectory());
  await pastTheSmallSegments(db, "sync");
  const before = writesOf(db);
  await Promise.all(Array.from({ length: writers }, async (_, writer) => {
    for (let round = 0; round < rounds; round++) {
      await db.put(key(writer * rounds + round), value);
    }
  }));
  const after = writesOf(db);
  assert.equal(after.batches - before.batches, puts);
  const syncs = after.syncs - before.syncs;
  assert.ok(syncs > 0, "a durable put costs a sync");
  assert.ok(syncs <= puts / 56, `${syncs} syncs for ${puts} puts`);
});

test("1,000 buffered putSync: a system call each, and no bytes beyond entries and frames", async () => {
  const puts = 1000;
  await using db = await Varve.open(temporaryDirectory(), { durability: "buffered" });
  await pastTheSmallSegments(db, "buffered");
  const before = writesOf(db);
  for (let index = 0; index < puts; index++) db.putSync(key(index), value);
  const after = writesOf(db);
  assert.equal(after.batches - before.batches, puts);
  const calls = after.callsOut - before.callsOut;
  assert.ok(calls > 0 && calls <= puts + SEGMENT_CALLS, `${calls} calls`);
  const bytes = after.bytes - before.bytes;
  const least = puts * (KEY_BYTES + VALUE_BYTES);
  const most = puts * (GROUP_BYTES + ENTRY_BYTES) + SEGMENT_BYTES;
  assert.ok(bytes >= least && bytes <= most, `${bytes} bytes, not ${least} to ${most}`);
});

test("200 puts of one turn: one system call, one frame, no sync", async () => {
  const puts = 200;
  await using db = await Varve.open(temporaryDirectory(), { durability: "buffered" });
  await db.put("first", "value"); // makes the first segment
  const before = writesOf(db);
  await Promise.all(Array.from({ length: puts }, (_, index) => db.put(key(index), value)));
  const after = writesOf(db);
  assert.equal(after.writesIn - before.writesIn, puts);
  assert.equal(after.groups - before.groups, 1);
  assert.equal(after.callsOut - before.callsOut, 1);
  assert.equal(after.syncs - before.syncs, 0);
  const most = GROUP_BYTES + puts * ENTRY_BYTES;
  assert.ok(most < QUIET_BYTES);
  assert.ok(after.bytes - before.bytes <= most, `${after.bytes - before.bytes} bytes`);
});

test("a durable group of 1 KiB values is written once, synced once, and padded to one block", async () => {
  const writers = 16;
  const kibibyte = new Uint8Array(1024);
  await using db = await Varve.open(temporaryDirectory());
  await db.put("first", "value"); // makes the first segment
  const before = writesOf(db);
  await Promise.all(Array.from({ length: writers }, (_, index) => db.put(key(index), kibibyte)));
  const after = writesOf(db);
  assert.equal(after.groups - before.groups, 1);
  assert.equal(after.callsOut - before.callsOut, 1);
  assert.equal(after.syncs - before.syncs, 1);
  const payload = GROUP_BYTES + writers * (LogEntry.BYTES + KEY_BYTES + 1024);
  assert.ok(payload < QUIET_BYTES);
  const bytes = after.bytes - before.bytes;
  assert.ok(bytes >= payload && bytes < payload + 4096, `${bytes} bytes for ${payload}`);
});

test("a get from the memtable does not leave JavaScript", async () => {
  await using db = await Varve.open(temporaryDirectory(), { durability: "buffered" });
  for (let index = 0; index < 1000; index++) db.putSync(key(index), value);
  db.getSync(key(0)); // widens the view of the memtable to what was put
  let found = 0;
  const counts = countCalls(() => {
    for (let index = 0; index < 1000; index++) found += db.getSync(key(index))!.length;
  });
  assert.equal(found, 1000 * VALUE_BYTES);
  assert.deepEqual(Object.fromEntries(counts), {});
});

test("a cached get is one call into the library, and reserves no memory", async () => {
  await using db = await cachedStore(1000);
  const before = db.stats().read;
  let found = 0;
  const counts = countCalls(() => {
    for (let index = 0; index < 1000; index++) found += db.getSync(key(index))!.length;
  });
  assert.equal(found, 1000 * VALUE_BYTES);
  assertOnly(counts, "varve_get", 1000);
  assert.equal(db.stats().read.calls, before.calls);
});

test("a miss is one call into the library; 99 % of them read nothing from the disk", async () => {
  await using db = await cachedStore(1000);
  const before = db.stats().read;
  const counts = countCalls(() => {
    for (let index = 0; index < 1000; index++) {
      // Between two keys that are there: only the filter can tell.
      assert.equal(db.getSync(`${String(index).padStart(KEY_BYTES, "0")}x`), undefined);
    }
  });
  assertOnly(counts, "varve_get", 1000);
  const { filterNegatives, calls } = db.stats().read;
  assert.ok(filterNegatives - before.filterNegatives >= 980, "the filter answers");
  assert.ok(calls - before.calls <= 10, `${calls - before.calls} reads`);
});

test("a scan is a call for each 64 KiB and a few, by entries and by pages", async () => {
  const rows = 20_000;
  await using db = await cachedStore(rows);
  const bytes = rows * (KEY_BYTES + VALUE_BYTES);
  // Open and close, the first pages of 4 and 16 KiB, the page that says that there is no more; and a view of each page region.
  const most = Math.ceil(bytes / PAGE_DATA_BYTES) + 8;
  for (const way of ["entries", "pages"] as const) {
    let seen = 0;
    const counts = countCalls(() => {
      if (way === "entries") { for (const _ of db.entries()) seen++; }
      else for (const page of db.pages()) seen += page.count;
    });
    assert.equal(seen, rows);
    const calls = total(counts);
    assert.ok(calls >= bytes / PAGE_DATA_BYTES && calls <= most, `${way}: ${calls} calls`);
  }
});

test("a buffered putSync is one call into the library, a put of a full turn next to none", async () => {
  await using db = await Varve.open(temporaryDirectory(), { durability: "buffered" });
  await pastTheSmallSegments(db, "buffered");
  const single = countCalls(() => {
    for (let index = 0; index < 1000; index++) db.putSync(key(index), value);
  });
  assert.ok(total(single) >= 1000 && total(single) <= 1050, JSON.stringify([...single]));
  const reserved = single.get("varve_region_reserve") ?? 0;
  assert.ok(reserved <= SEGMENT_CALLS, `${reserved} regions reserved`);
  let promise: Promise<void> | undefined;
  const turn = countCalls(() => {
    for (let index = 0; index < 1000; index++) promise = db.put(key(index), value);
  });
  await promise;
  assert.ok(total(turn) <= 4, JSON.stringify([...turn]));
});
