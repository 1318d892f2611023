/** Group commit as its callers see it: order, sharing, what a failure does, and blocking calls among pending ones. */
import assert from "node:assert/strict";
import { temporaryDirectory, test } from "../harness.ts";
import { Varve } from "../../mod.ts";
import { imageOf, reopen } from "../log/images.ts";

const TEXT = { keyEncoding: "utf8", valueEncoding: "utf8" } as const;

test("writers that wait at the same time share one group and one sync", async () => {
  await using db = await Varve.open(temporaryDirectory(), TEXT);
  await db.put("first", "value");
  const before = db.stats().write;
  for (let round = 0; round < 10; round++) {
    await Promise.all(Array.from({ length: 64 }, (_, index) => db.put(`key ${index}`, "value")));
  }
  const after = db.stats().write;
  assert.equal(after.batches - before.batches, 640);
  assert.equal(after.groups - before.groups, 10);
  assert.equal(after.syncs - before.syncs, 10);
});

test("64 writers in loops of their own settle into shared groups", async () => {
  await using db = await Varve.open(temporaryDirectory(), TEXT);
  await db.put("first", "value");
  const before = db.stats().write;
  await Promise.all(Array.from({ length: 64 }, async (_, writer) => {
    for (let index = 0; index < 20; index++) await db.put(`writer ${writer} ${index}`, "value");
  }));
  const after = db.stats().write;
  assert.equal(after.batches - before.batches, 64 * 20);
  assert.ok(after.groups - before.groups <= 40, `${after.groups - before.groups} groups`);
});

test("writes of one caller commit in call order, whatever their durability and kind", async () => {
  const directory = temporaryDirectory();
  const db = await Varve.open(directory, TEXT);
  const durabilities = ["sync", "buffered", "volatile"] as const;
  const pending: Promise<void>[] = [];
  const settled: number[] = [];
  for (let index = 0; index < 300; index++) {
    const durability = durabilities[index * 7 % 3];
    if (index % 10 === 9) db.putSync("key", String(index), { durability });
    else if (index % 10 === 8) {
      pending.push(db.delete("key", { durability }).then(() => void settled.push(index)));
    } else {pending.push(
        db.put("key", String(index), { durability }).then(() => void settled.push(index)),
      );}
    if (index % 10 === 9) assert.equal(db.getSync("key"), String(index));
  }
  await Promise.all(pending);
  assert.equal(db.getSync("key"), "299");
  assert.deepEqual(settled, settled.toSorted((a, b) => a - b), "and settle in that order");
  await db.close();
  const again = await Varve.open(directory, TEXT);
  assert.equal(again.getSync("key"), "299");
  await again.close();
});

test("a writer that awaits every commit leaves timers their turn", async () => {
  await using db = await Varve.open(temporaryDirectory(), { ...TEXT, durability: "volatile" });
  let fired = false;
  setTimeout(() => fired = true, 1);
  let count = 0;
  while (!fired && count < 300_000) await db.put(`key ${count++ % 1000}`, "value");
  assert.ok(fired, "300,000 commits, and no turn of the event loop");
});

test("a blocking put commits what is pending before it, and an acknowledged write is seen at once", async () => {
  await using db = await Varve.open(temporaryDirectory(), TEXT);
  const pending = Array.from({ length: 20 }, (_, index) => db.put(`pending ${index}`, "value"));
  db.putSync("blocking", "value");
  for (let index = 0; index < 20; index++) assert.equal(db.getSync(`pending ${index}`), "value");
  await Promise.all(pending);
  let acknowledged = false;
  const last = db.put("last", "value").then(() => acknowledged = true);
  assert.equal(db.getSync("last"), undefined, "nobody reads a sync write before it is durable");
  assert.equal(acknowledged, false);
  await last;
  assert.equal(db.getSync("last"), "value");
});

test("blocking and pending calls of every kind, interleaved, never wait for each other for ever", async () => {
  const db = await Varve.open(temporaryDirectory(), {
    ...TEXT,
    writeBufferSize: 65_536,
    walSegmentSize: 65_536,
  });
  const work: Promise<unknown>[] = [];
  const value = "v".repeat(3000);
  for (let round = 0; round < 40; round++) {
    for (let index = 0; index < 5; index++) {
      work.push(
        db.put(`key ${round} ${index}`, value, { durability: index % 2 ? "sync" : "buffered" }),
      );
    }
    switch (round % 8) {
      case 0:
        work.push(db.flush());
        break;
      case 1:
        db.flushSync();
        break;
      case 2:
        work.push(db.sync());
        break;
      case 3:
        db.syncSync();
        break;
      case 4:
        work.push(db.columnFamily(`family ${round}`));
        break;
      case 5:
        db.columnFamilySync(`family ${round}`);
        break;
      case 6:
        db.batchSync([{ type: "put", key: "batch", value }]);
        break;
      case 7:
        work.push(db.get(`key ${round} 0`));
        break;
    }
    if (round % 10 === 0) await Promise.all(work);
  }
  await Promise.all(work);
  assert.equal([...db.keys({ prefix: "key " })].length, 200);
  db.closeSync();
});

test("a blocking close finishes a pending one, a pending open is finished by a blocking one", async () => {
  const directory = temporaryDirectory();
  const opening = Varve.open(directory, TEXT);
  const blocking = Varve.openSync(directory, TEXT);
  const db = await opening;
  const pending = db.put("key", "value");
  const closing = db.close();
  db.closeSync();
  assert.equal(blocking.getSync("key"), undefined, "its put is on its way");
  await pending;
  const last = blocking.close();
  blocking.closeSync();
  const again = Varve.openSync(directory, TEXT);
  assert.equal(again.getSync("key"), "value");
  const lastClose = again.close();
  const reopened = Varve.openSync(directory, TEXT);
  assert.equal(reopened.getSync("key"), "value");
  reopened.closeSync();
  await Promise.all([closing, last, lastClose]);
});

test("a batch is visible whole and recovered whole", async () => {
  const directory = temporaryDirectory();
  const db = await Varve.open(directory, { ...TEXT, writeBufferSize: 65_536 });
  const other = await db.columnFamily("other", TEXT);
  for (let round = 0; round < 30; round++) {
    const batch = db.batch();
    for (let index = 0; index < 100; index++) {
      batch.put(`key ${index}`, `${round} ${"v".repeat(100)}`);
      batch.put(other, `key ${index}`, String(round));
    }
    const done = batch.write();
    const rounds = new Set(Array.from(other.entries(), ([, value]) => value));
    assert.ok(rounds.size <= 1, [...rounds].join());
    await done;
  }
  const { entries } = reopen(imageOf(directory));
  for (let index = 0; index < 100; index++) {
    assert.equal(entries.get(`other/key ${index}`), "29");
    assert.equal(entries.get(`default/key ${index}`)!.split(" ")[0], "29");
  }
  await db.close();
});

test("a write that is refused leaves nothing behind, and its neighbours are committed", async () => {
  await using db = await Varve.open(temporaryDirectory(), TEXT);
  const outcomes = await Promise.allSettled([
    db.put("good", "value"),
    db.put("k".repeat(70_000), "value"),
    db.put("\ud800", "value"),
    db.put("also good", "value"),
  ]);
  assert.deepEqual(outcomes.map(({ status }) => status), [
    "fulfilled",
    "rejected",
    "rejected",
    "fulfilled",
  ]);
  assert.throws(() => db.putSync("k".repeat(70_000), "value"), { code: "ERR_TOO_LARGE" });
  assert.deepEqual([...db.keys()], ["also good", "good"]);
  assert.equal(db.stats().sequence, 2, "and no sequence number was used for them");
});

test("values at and beyond the size of a write buffer are committed alone", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const sizes = [(4 << 20) - 100, 4 << 20, (4 << 20) + 1, 9 << 20, 1];
  await Promise.all(
    sizes.map((size, index) => db.put(`key ${index}`, new Uint8Array(size).fill(index))),
  );
  for (const [index, size] of sizes.entries()) {
    const value = db.getSync(`key ${index}`)!;
    assert.equal(value.length, size);
    assert.ok(value.every((byte) => byte === index));
  }
});

test("empty batches and barriers take no sequence number, and settle in their turn", async () => {
  await using db = await Varve.open(temporaryDirectory(), TEXT);
  await db.batch().write();
  db.batch().writeSync();
  await db.sync();
  db.syncSync();
  assert.equal(db.stats().sequence, 0);
  const order: string[] = [];
  await Promise.all([
    db.put("key", "value", { durability: "buffered" }).then(() => order.push("put")),
    db.batch().write().then(() => order.push("batch")),
    db.sync().then(() => order.push("sync")),
  ]);
  assert.equal(order[0], "put");
  assert.equal(db.stats().log.synced, true);
});
