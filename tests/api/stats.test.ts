/** `db.stats()`: counters, hits per layer, amplification per level, latencies; and the events beside it. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { type FlushEvent, type Latency, type Stats, Varve } from "../../mod.ts";
import { SimulatedDisk } from "../../testing.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { keyOf, text } from "./support.ts";

const VALUE = "v".repeat(1_000);
const SMALL = { writeBufferSize: 64 * 1024, targetFileSize: 64 * 1024, levelBaseSize: 256 * 1024 };

function isOrdered({ p50, p90, p99, "p99.9": p999, max, samples }: Latency): boolean {
  return samples > 0 && p50 > 0 && p50 <= p90 && p90 <= p99 && p99 <= p999 && p999 <= max;
}

test("writes are counted by what they do, in batches and alone", async () => {
  await using db = await Varve.open(join(temporaryDirectory(), "store"), {
    durability: "buffered",
  });
  const sums = await db.columnFamily("sums", { keyEncoding: "utf8", mergeOperator: "add" });
  db.putSync("a", "1");
  await db.put("b", "2", { ttl: 1_000_000 });
  await db.put("large", "x".repeat(100_000));
  await db.delete("a");
  await db.deleteRange({ gte: "x" });
  await sums.merge("n", 1);
  await db.batch().put("c", "3").delete("b").merge(sums, "n", 2).write();
  const { write, blobs } = db.stats();
  assert.deepEqual(
    [write.puts, write.deletes, write.rangeDeletes, write.merges, write.entries, write.batches],
    [4, 2, 1, 2, 9, 7],
  );
  assert.equal(blobs.valuesWritten, 1);
});

test("writes that share a call are coalesced, one alone is not", async () => {
  await using db = await Varve.open(join(temporaryDirectory(), "store"), {
    durability: "buffered",
  });
  await db.put("alone", VALUE);
  assert.equal(db.stats().write.bytesCoalesced, 0);
  await Promise.all(Array.from({ length: 10 }, (_, index) => db.put(keyOf(index), VALUE)));
  const { bytesCoalesced, writersPerGroup } = db.stats().write;
  assert.ok(bytesCoalesced > 10 * VALUE.length, `${bytesCoalesced} bytes`);
  assert.ok(writersPerGroup > 5);
});

test("hits by layer: memtable, levels, cache; and a missing key hits nothing", async () => {
  await using db = await Varve.open(join(temporaryDirectory(), "store"), {
    durability: "buffered",
  });
  for (let index = 0; index < 100; index++) void db.put(keyOf(index), VALUE);
  await db.flush();
  await db.compact();
  for (let index = 0; index < 10; index++) void db.put(keyOf(index), "newer");
  await db.flush();
  await db.put(keyOf(0), "newest");
  const before = db.stats().read;
  assert.ok(before.levelHits.length > 2);
  for (let index = 0; index < 100; index++) {
    const expected = index === 0 ? "newest" : index < 10 ? "newer" : VALUE;
    assert.equal(text(db.getSync(keyOf(index))), expected);
    assert.equal(text(await db.get(keyOf(index))), expected);
  }
  assert.equal(db.getSync("missing"), undefined);
  const { read, amplification } = db.stats();
  assert.equal(read.memtableHits - before.memtableHits, 2);
  assert.equal(read.levelHits[0] - before.levelHits[0], 18);
  const below = read.levelHits.slice(1).reduce((sum, count) => sum + count, 0) -
    before.levelHits.slice(1).reduce((sum, count) => sum + count, 0);
  assert.equal(below, 180);
  assert.ok(read.memtableHitRate > 0 && read.memtableHitRate < 0.05);
  assert.ok(read.tableHitRate > 0.9 && read.tableHitRate < 1);
  assert.ok(read.cacheHitRate > 0.5 && read.cacheHitRate < 1);
  assert.ok(read.cacheBytes > 0);
  assert.ok(amplification.read >= 0.9 && amplification.read < 2, `${amplification.read}`);
});

test("levels: what came in, what was written for it, and what that amounts to", async () => {
  const path = join(temporaryDirectory(), "store");
  {
    await using db = await Varve.open(path, { ...SMALL, durability: "buffered" });
    for (let round = 0; round < 4; round++) {
      for (let index = 0; index < 300; index++) await db.put(keyOf(index), `${round}${VALUE}`);
    }
    await db.flush();
    await db.compact();
    const { columnFamilies: { default: family }, amplification, flush, compaction } = db.stats();
    const { levels } = family;
    assert.equal(levels[0].bytesIn, flush.bytes);
    assert.equal(levels[0].files, 0);
    const deepest = levels.at(-1)!;
    assert.ok(deepest.files > 1 && deepest.bytes > 250_000);
    assert.ok(deepest.bytesIn > 0 && deepest.bytesWritten >= deepest.bytes);
    assert.equal(deepest.writeAmplification, deepest.bytesWritten / deepest.bytesIn);
    const written = levels.slice(1).reduce((sum, { bytesWritten }) => sum + bytesWritten, 0);
    assert.equal(written, compaction.bytesWritten);
    assert.equal(family.readAmplification, 1);
    assert.equal(family.spaceAmplification, 1);
    assert.ok(amplification.write > 2, `${amplification.write}`);
    assert.equal(amplification.space, 1);
  }
  await using again = await Varve.open(path, SMALL);
  const { levels } = again.stats().columnFamilies.default;
  assert.ok(levels.at(-1)!.files > 1);
  assert.deepEqual(
    levels.map(({ bytesIn, writeAmplification }) => [bytesIn, writeAmplification]),
    levels.map(() => [0, 0]),
  );
});

test("latencies of whatever happened, in order; it all survives JSON", async () => {
  await using db = await Varve.open(join(temporaryDirectory(), "store"), SMALL);
  const none = db.stats().latency;
  for (const latency of [none.get, none.put, none.flush, none.compaction]) {
    assert.deepEqual(latency, { samples: 0, p50: 0, p90: 0, p99: 0, "p99.9": 0, max: 0 });
  }
  for (let index = 0; index < 200; index++) {
    db.putSync(keyOf(index), VALUE, { durability: "buffered" });
    await db.put(keyOf(index), VALUE);
    db.getSync(keyOf(index));
    await db.get(keyOf(index));
  }
  await db.flush();
  await db.compact();
  const stats = db.stats();
  const { get, put, sync, flush, compaction } = stats.latency;
  for (const latency of [get, put, sync, flush, compaction]) {
    assert.ok(isOrdered(latency), `${JSON.stringify(latency)}`);
  }
  assert.ok(get.samples < 20 && put.samples < 60, "only some are recorded");
  assert.equal(sync.samples, stats.write.syncGroups);
  assert.equal(flush.samples, stats.flush.count);
  assert.equal(compaction.samples, stats.compaction.count);
  assert.deepEqual(JSON.parse(JSON.stringify(stats)) as Stats, stats);
});

test("events: flush, compaction, stall and error, until the listener is taken off", async () => {
  using disk = new SimulatedDisk({ seed: 7 });
  const db = await Varve.open("/data", { ...SMALL, disk, durability: "buffered" });
  const seen: string[] = [];
  const flushes: FlushEvent[] = [];
  const onFlush = (event: FlushEvent) => {
    seen.push("flush");
    flushes.push(event);
  };
  db.addEventListener("flush", onFlush);
  db.addEventListener("stall", ({ reason }) => {
    assert.match(reason, /^(flush|a log segment|syncs|compaction)/);
    seen.push("stall");
  });
  db.addEventListener("compaction", ({ level, tablesIn, tablesOut, bytesWritten }) => {
    assert.ok(level > 0 && tablesIn > 0 && tablesOut > 0 && bytesWritten > 0);
    seen.push("compaction");
  });
  db.addEventListener("error", (error) => seen.push(error.code));
  for (let index = 0; index < 500; index++) await db.put(keyOf(index), VALUE);
  await db.compact();
  const { flush, stall } = db.stats();
  assert.equal(flushes.length, flush.count);
  assert.equal(flushes.reduce((sum, { bytes }) => sum + bytes, 0), flush.bytes);
  assert.ok(
    flushes.every(({ columnFamily, entries }) => columnFamily === "default" && entries > 0),
  );
  assert.equal(seen.filter((name) => name === "stall").length, stall.count);
  assert.ok(seen.includes("compaction"));
  assert.equal(db.stats().latency.stall.samples, stall.count);

  db.removeEventListener("flush", onFlush);
  await db.put("more", VALUE);
  disk.failNext("create", "EIO");
  await assert.rejects(db.flush());
  await db.flush();
  assert.equal(flushes.length, flush.count);
  assert.ok(seen.includes("ERR_IO"));
  assert.equal(db.stats().flush.failures, 1);
  await db.close();
});
