/** Batches: whole or not at all, over column families, in both forms. */
import assert from "node:assert/strict";
import { type BatchOperation, Varve } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { coded, keyOf, outcomeOf, soon, text } from "./support.ts";

async function openTwo() {
  const db = await Varve.open(temporaryDirectory());
  const users = await db.columnFamily("users", { keyEncoding: "utf8", valueEncoding: "json" });
  return { db, users };
}

test("a batch acts on several families, in each one's encodings, and survives", async () => {
  const path = temporaryDirectory();
  const encodings = { keyEncoding: "utf8", valueEncoding: "json" } as const;
  {
    await using db = await Varve.open(path);
    const users = await db.columnFamily("users", encodings);
    await users.put("1", { name: "Ada" });
    const batch = db.batch().put("a", "1").put(users, "2", { name: "Bob" }).delete(users, "1");
    assert.equal(batch.length, 3);
    await batch.write({ durability: "sync" });
    await db.batch([
      { type: "put", key: "b", value: "2" },
      { type: "put", key: "3", value: { name: "Eve" }, columnFamily: users },
      { type: "delete", key: "a" },
    ]);
    db.batchSync([{ type: "put", key: "4", value: null, columnFamily: users }]);
    db.batch().put(db, "c", "3").writeSync();
  }
  await using db = await Varve.open(path);
  const users = await db.columnFamily("users", encodings);
  assert.deepEqual([...users.entries()], [["2", { name: "Bob" }], ["3", { name: "Eve" }], [
    "4",
    null,
  ]]);
  assert.deepEqual([...db.entries()].map((row) => row.map(text)), [["b", "2"], ["c", "3"]]);
});

test("operations act in order, each with its own sequence number", async () => {
  const { db, users } = await openTwo();
  await using _ = db;
  const before = db.stats().sequence;
  await db.batch().put("k", "1").delete("k").put("k", "2").put(users, "u", 1).delete(users, "u")
    .write();
  assert.equal(db.stats().sequence, before + 5);
  assert.equal(text(db.getSync("k")), "2");
  assert.equal(users.hasSync("u"), false);
});

test("an empty batch is written, and keeps its durability's promise", async () => {
  const { db } = await openTwo();
  await using _ = db;
  await db.batch().write();
  await db.batch([]);
  db.batchSync([]);
  await db.put("k", "v", { durability: "buffered" });
  assert.equal(db.stats().log.synced, false);
  await db.batch().write({ durability: "sync" });
  assert.equal(db.stats().log.synced, true);
});

test("a batch is not visible before it is written, nor after it was dropped", async () => {
  const { db, users } = await openTwo();
  await using _ = db;
  db.batch().put("k", "v").put(users, "k", 1);
  assert.equal(await db.count() + await users.count(), 0);
});

test("a batch is used up by its write, a failed one for its arguments not", async () => {
  const { db } = await openTwo();
  await using _ = db;
  const batch = db.batch().put("k", "v");
  await assert.rejects(
    batch.write({ durability: "never" } as never),
    coded("ERR_INVALID_ARGUMENT"),
  );
  assert.throws(() => batch.put(Symbol() as never, "v"), coded("ERR_INVALID_ARGUMENT"));
  assert.equal(batch.length, 1);
  const written = batch.write();
  await assert.rejects(batch.write(), coded("ERR_CLOSED"));
  assert.throws(() => batch.writeSync(), coded("ERR_CLOSED"));
  assert.throws(() => batch.put("k", "v"), coded("ERR_CLOSED"));
  assert.throws(() => batch.delete("k"), coded("ERR_CLOSED"));
  await written;
  assert.equal(text(db.getSync("k")), "v");
});

test("operations that are none are ERR_INVALID_ARGUMENT, and none of the batch is written", async () => {
  const { db } = await openTwo();
  await using _ = db;
  const good = { type: "put", key: "k", value: "v" };
  const wrong: unknown[] = [
    null,
    "put",
    { type: "remove", key: "k" },
    { key: "k", value: "v" },
    { type: "put", key: 1, value: "v" },
    { type: "put", key: "k" },
    { type: "put", key: "k", value: "v", columnFamily: "users" },
    { type: "put", key: "k", value: "v", columnFamily: {} },
  ];
  for (const operation of wrong) {
    const operations = [good, operation] as BatchOperation[];
    await assert.rejects(db.batch(operations), coded("ERR_INVALID_ARGUMENT"));
    assert.throws(() => db.batchSync(operations), coded("ERR_INVALID_ARGUMENT"));
  }
  for (const operations of [null, 7, "put", {}]) {
    await assert.rejects(db.batch(operations as never), coded("ERR_INVALID_ARGUMENT"));
  }
  assert.equal(await db.count(), 0);
});

test("a family of another store is ERR_INVALID_ARGUMENT; one of another handle of this store is fine", async () => {
  const path = temporaryDirectory();
  await using db = await Varve.open(path);
  await using attached = await Varve.open(path);
  await using other = await Varve.open(temporaryDirectory());
  const foreign = await other.columnFamily("users");
  const own = await attached.columnFamily("users");
  assert.throws(() => db.batch().put(foreign, "k", "v"), coded("ERR_INVALID_ARGUMENT"));
  assert.throws(() => db.batch().put(other, "k", "v"), coded("ERR_INVALID_ARGUMENT"));
  await assert.rejects(
    db.batch([{ type: "delete", key: "k", columnFamily: foreign }]),
    coded("ERR_INVALID_ARGUMENT"),
  );
  await db.batch().put(own, "k", "v").put(attached, "l", "w").write();
  assert.equal(text(own.getSync("k")), "v");
  assert.equal(text(db.getSync("l")), "w");
});

test("a family that was dropped makes the whole batch ERR_COLUMN_FAMILY_DROPPED", async () => {
  const { db, users } = await openTwo();
  await using _ = db;
  const early = db.batch().put("k", "v").put(users, "u", 1);
  await db.dropColumnFamily("users");
  await assert.rejects(early.write(), coded("ERR_COLUMN_FAMILY_DROPPED"));
  assert.throws(() => db.batch().put(users, "u", 1), coded("ERR_COLUMN_FAMILY_DROPPED"));
  assert.equal(db.hasSync("k"), false);
});

test("a batch that meets a drop is written whole or refused whole", async () => {
  for (let round = 0; round < 20; round++) {
    const { db, users } = await openTwo();
    await using _ = db;
    const writing = outcomeOf(db.batch().put("k", "v").put(users, "u", 1).write());
    const dropping = outcomeOf(db.dropColumnFamily("users"));
    const [written, dropped] = await soon(Promise.all([writing, dropping]), "both");
    assert.equal(dropped, "ok");
    assert.equal(db.hasSync("k"), written === "ok");
    assert.match(written, /^(ok|ERR_COLUMN_FAMILY_DROPPED)$/);
  }
});

test("large batches: thousands of operations, and far more than all memtables hold", async () => {
  const path = temporaryDirectory();
  const options = { writeBufferSize: 64 * 1024, maxWriteBuffers: 2, walSegmentSize: 64 * 1024 };
  {
    await using db = await Varve.open(path, options);
    const users = await db.columnFamily("users");
    const batch = db.batch();
    for (let index = 0; index < 20_000; index++) {
      batch.put(index % 2 === 0 ? db : users, keyOf(index), "v".repeat(200));
    }
    await soon(batch.write(), "a large batch");
    db.batchSync(Array.from({ length: 20_000 }, (_, index) => (
      { type: "put", key: keyOf(index), value: "w".repeat(200) }
    )));
    assert.equal(await db.count(), 20_000);
    await db.flush();
    assert.equal(text(db.getSync(keyOf(19_999))), "w".repeat(200));
  }
  await using db = await Varve.open(path, options);
  assert.equal(await db.count(), 20_000);
  assert.equal(await (await db.columnFamily("users")).count(), 10_000);
  await db.verify();
});

test("a key or value out of bounds is refused when it is added, and the batch stays as it was", async () => {
  const { db } = await openTwo();
  await using _ = db;
  const batch = db.batch().put("a", "1");
  assert.throws(() => batch.put("x".repeat(65_536), "v"), coded("ERR_TOO_LARGE"));
  assert.throws(() => batch.put("k", "\udfff"), coded("ERR_INVALID_ARGUMENT"));
  await batch.put("b", "2").write();
  assert.deepEqual([...db.keys()].map(text), ["a", "b"]);
});
