/** Range deletes: one tombstone in the place of many deletes, with the same outcome wherever keys and tombstone lie. */
import assert from "node:assert/strict";
import { type BatchOperation, type KeyRange, type OpenOptions, Varve } from "../../mod.ts";
import { SimulatedDisk } from "../../testing.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { coded, keyOf, soon } from "./support.ts";

const TEXT = { keyEncoding: "utf8", valueEncoding: "utf8" } as const;
const LETTERS = ["", "a", "aa", "ab", "b", "c", "ca", "d", "é", "\u{1f600}"];

type Options = Pick<OpenOptions, "disk" | "durability" | "writeBufferSize">;

async function openText(options: Options = {}, path = temporaryDirectory()) {
  return await Varve.open(path, { ...options, ...TEXT });
}

type Text = Awaited<ReturnType<typeof openText>>;

function fill(db: Text, keys: readonly string[] = LETTERS, value = "old"): void {
  for (const key of keys) db.putSync(key, value, { durability: "buffered" });
}

/** Every way of reading says the same of these keys. */
async function checkKeys(db: Text, expected: readonly string[], all = LETTERS): Promise<void> {
  assert.deepEqual([...db.keys()], expected);
  assert.deepEqual([...db.keys({ reverse: true })], expected.toReversed());
  assert.deepEqual((await Array.fromAsync(db.entries())).map(([key]) => key), expected);
  assert.equal(await db.count(), expected.length);
  assert.equal(db.countSync(), expected.length);
  const present = all.map((key) => expected.includes(key));
  assert.deepEqual(all.map((key) => db.hasSync(key)), present);
  assert.deepEqual(await Promise.all(all.map((key) => db.has(key))), present);
  assert.deepEqual(all.map((key) => db.getSync(key) !== undefined), present);
  assert.deepEqual((await db.getMany(all)).map((value) => value !== undefined), present);
}

const RANGES: [string, KeyRange<string>, string[]][] = [
  ["from a key on", { gte: "b" }, ["", "a", "aa", "ab"]],
  ["above a key", { gt: "a", lt: "c" }, ["", "a", "c", "ca", "d", "é", "\u{1f600}"]],
  ["up to a key", { lte: "ab" }, ["b", "c", "ca", "d", "é", "\u{1f600}"]],
  ["below a key", { lt: "a" }, LETTERS.slice(1)],
  ["one key", { gte: "ca", lte: "ca" }, LETTERS.filter((key) => key !== "ca")],
  ["a prefix", { prefix: "a" }, ["", "b", "c", "ca", "d", "é", "\u{1f600}"]],
  ["a prefix within bounds", { prefix: "a", gt: "a" }, LETTERS.filter((k) => !/^a./.test(k))],
  ["the last key there is", { gt: "é" }, LETTERS.slice(0, -1)],
  ["everything", {}, []],
];

for (const [name, range, kept] of RANGES) {
  test(`deleteRange() removes ${name} and nothing else, in memory, under a flush and after an open`, async () => {
    const path = temporaryDirectory();
    for (const flushed of ["nothing", "keys", "keys and tombstone"]) {
      const db = await openText({}, `${path}/${flushed}`);
      const other = await db.columnFamily("other", TEXT);
      fill(db);
      other.putSync("a", "kept");
      if (flushed !== "nothing") await db.flush();
      if (flushed === "keys") db.deleteRangeSync(range);
      else await db.deleteRange(range);
      if (flushed === "keys and tombstone") await db.flush();
      await checkKeys(db, kept);
      assert.equal(other.getSync("a"), "kept");
      await db.close();
      const again = await openText({}, `${path}/${flushed}`);
      await checkKeys(again, kept);
      fill(again, ["a", "d"], "new");
      assert.deepEqual([again.getSync("a"), again.getSync("d")], ["new", "new"]);
      await again.close();
    }
  });
}

test("an empty or inverted range removes nothing, takes no sequence number, and keeps its place", async () => {
  await using db = await openText({ durability: "buffered" });
  fill(db);
  const { sequence } = db.stats();
  for (
    const range of [{ gt: "a", lt: "a" }, { gte: "b", lt: "a" }, { lt: "" }, {
      prefix: "b",
      lt: "a",
    }]
  ) {
    await db.deleteRange(range);
    db.deleteRangeSync(range);
    await db.batch().deleteRange(range).write();
    assert.equal(db.batch().deleteRange(range).length, 0);
  }
  assert.equal(db.stats().sequence, sequence);
  await checkKeys(db, LETTERS);
  assert.equal(db.stats().log.synced, false);
  await db.deleteRange({ gte: "b", lt: "a" }, { durability: "sync" });
  assert.equal(db.stats().log.synced, true, "the durability's promise is kept");
});

test("a range takes bounds and nothing else; what is not one deletes nothing", async () => {
  await using db = await openText();
  fill(db);
  const users = await db.columnFamily("users");
  const bad: unknown[] = [
    ...[undefined, null, "a", 7, ["a", "b"], new Uint8Array(1)],
    ...[{ reverse: true }, { limit: 3 }, { snapshot: {} }, { start: "a" }, { gte: 5 }, {
      lt: null,
    }],
  ];
  for (const range of bad) {
    await assert.rejects(db.deleteRange(range as never), coded("ERR_INVALID_ARGUMENT"));
    assert.throws(() => db.deleteRangeSync(range as never), coded("ERR_INVALID_ARGUMENT"));
    assert.throws(() => db.batch().deleteRange(range as never), coded("ERR_INVALID_ARGUMENT"));
  }
  for (const options of [{ ttl: 5 }, { transfer: true }, { durability: "never" }, 7]) {
    await assert.rejects(db.deleteRange({}, options as never), coded("ERR_INVALID_ARGUMENT"));
    assert.throws(() => db.deleteRangeSync({}, options as never), coded("ERR_INVALID_ARGUMENT"));
  }
  const long = "k".repeat(65_536);
  await assert.rejects(db.deleteRange({ gte: long }), coded("ERR_TOO_LARGE"));
  assert.throws(() => db.batch().deleteRange({ lt: long }), coded("ERR_TOO_LARGE"));
  assert.throws(() => db.batch().deleteRange({}, {}), coded("ERR_INVALID_ARGUMENT"));
  const aborted = AbortSignal.abort(new Error("enough"));
  await assert.rejects(db.deleteRange({}, { signal: aborted }), /enough/);
  await checkKeys(db, LETTERS);
  await db.dropColumnFamily("users");
  await assert.rejects(users.deleteRange({}), coded("ERR_COLUMN_FAMILY_DROPPED"));
  assert.throws(() => db.batch().deleteRange(users, {}), coded("ERR_COLUMN_FAMILY_DROPPED"));
});

test("bounds of the greatest length delete the key that has it", async () => {
  await using db = await openText();
  const long = "k".repeat(65_535);
  const keys = [long.slice(1), long, "l"];
  fill(db, keys);
  await db.deleteRange({ gte: long, lte: long });
  await checkKeys(db, [keys[0], "l"], keys);
  await db.deleteRange({ gt: long });
  await checkKeys(db, [keys[0]], keys);
  await db.flush();
  await checkKeys(db, [keys[0]], keys);
  await db.deleteRange({ prefix: long.slice(1) });
  await checkKeys(db, [], keys);
});

test("snapshots and iterators from before still see what was removed", async () => {
  await using db = await openText();
  fill(db);
  const early = db.snapshot();
  const rows = db.keys()[Symbol.iterator]();
  assert.deepEqual(rows.next(), { done: false, value: "" });
  db.deleteRangeSync({ prefix: "a" });
  const late = db.snapshot();
  fill(db, ["aa"], "new");
  await db.deleteRange({});
  const see = async (): Promise<void> => {
    assert.deepEqual([...db.keys({ snapshot: early })], LETTERS);
    assert.deepEqual([...db.keys({ snapshot: late })], LETTERS.filter((k) => !k.startsWith("a")));
    assert.equal(db.getSync("aa", { snapshot: early }), "old");
    assert.equal(await db.get("aa", { snapshot: late }), undefined);
    assert.equal(await db.get("aa"), undefined);
    assert.equal(await db.get("b", { snapshot: late }), "old");
    assert.equal(db.hasSync("b"), false);
    await checkKeys(db, []);
  };
  await see();
  await db.flush();
  await see();
  assert.deepEqual([...rows], LETTERS.slice(1));
  early[Symbol.dispose]();
  late[Symbol.dispose]();
});

test("in a batch a range delete acts at its place, in the families it was told", async () => {
  await using db = await openText();
  const users = await db.columnFamily("users", TEXT);
  fill(db);
  users.putSync("a", "old");
  const { sequence } = db.stats();
  await db.batch().put("b1", "before").deleteRange({ prefix: "b" }).put("b2", "after")
    .put(users, "a", "before").deleteRange(users, {}).put(users, "b", "after").write();
  assert.equal(db.stats().sequence, sequence + 6);
  assert.deepEqual([...db.keys({ prefix: "b" })], ["b2"]);
  assert.deepEqual([...users.entries()], [["b", "after"]]);
  const operations: BatchOperation[] = [
    { type: "put", key: "c1", value: "before" },
    { type: "deleteRange", range: { gte: "c", lt: "d" } },
    { type: "put", key: "c2", value: "after" },
    { type: "deleteRange", range: { gt: "a" }, columnFamily: users },
  ];
  db.batchSync(operations);
  assert.deepEqual([...db.keys({ prefix: "c" })], ["c2"]);
  assert.deepEqual([...users.entries()], []);
  fill(db);
  await db.batch(operations);
  assert.deepEqual([...db.keys({ prefix: "c" })], ["c2"]);
});

test("tombstones on tombstones over memtables and tables: the newest word on each key counts", async () => {
  const path = temporaryDirectory();
  const options = { writeBufferSize: 64 * 1024, durability: "buffered" } as const;
  let db = await openText(options, path);
  const model = new Map<string, string>();
  const keys = Array.from({ length: 60 }, (_, index) => keyOf(index));
  for (let round = 0; round < 300; round++) {
    // Numbers that no generator is needed for, spread over the keys.
    const [from, length] = [(round * 37) % 60, (round * 13) % 25];
    for (let index = 0; index < 6; index++) {
      const key = keys[(round * 7 + index * 11) % 60];
      const value = `${round}`.padEnd(400, "v");
      db.putSync(key, value);
      model.set(key, value);
    }
    const range = { gte: keys[from], lt: keys[Math.min(59, from + length)] };
    db.deleteRangeSync(range);
    for (const key of keys) if (key >= range.gte && key < range.lt) model.delete(key);
    if (round % 50 === 20) await soon(db.flush(), "flush");
    if (round % 20 === 0) {
      const expected = [...model].sort(([a], [b]) => (a < b ? -1 : 1));
      assert.deepEqual([...db.entries()], expected, `round ${round}`);
      assert.deepEqual(db.getManySync(keys), keys.map((key) => model.get(key)), `round ${round}`);
      assert.deepEqual(await db.getMany(keys), keys.map((key) => model.get(key)));
    }
  }
  await db.close();
  db = await openText(options, path);
  assert.deepEqual(await db.getMany(keys), keys.map((key) => model.get(key)));
  assert.equal(await db.count(), model.size);
  await db.verify();
  await db.close();
});

test("a synced range delete survives the power's failure, a buffered one goes with all that follows", async () => {
  for (let seed = 0; seed < 20; seed++) {
    using disk = new SimulatedDisk({ seed });
    const db = await openText({ disk }, "/data");
    await db.batch().put("a", "1").put("b", "1").put("c", "1").write();
    await db.deleteRange({ lt: "b" });
    const unsynced = { durability: "buffered" } as const;
    await db.deleteRange({ gt: "b" }, unsynced);
    await db.put("d", "1", unsynced);
    disk.crash();
    const again = await openText({ disk }, "/data");
    const found = [...again.keys()].join("");
    assert.ok(["bc", "b", "bd"].includes(found), `seed ${seed}: ${found}`);
    disk.kill();
    const killed = await openText({ disk }, "/data");
    assert.equal([...killed.keys()].join(""), found);
    await killed.close();
  }
});

test("volatile range deletes count at once, and last when they were flushed", async () => {
  const path = temporaryDirectory();
  const db = await openText({ durability: "volatile" }, path);
  fill(db);
  await db.deleteRange({ prefix: "c" });
  await checkKeys(db, LETTERS.filter((key) => !key.startsWith("c")));
  await db.close();
  await using again = await openText({}, path);
  await checkKeys(again, LETTERS.filter((key) => !key.startsWith("c")));
});

test("a tombstone of nothing but itself is flushed, and a memtable full of them rotates", async () => {
  await using db = await openText({ durability: "buffered", writeBufferSize: 64 * 1024 });
  await db.deleteRange({});
  await db.flush();
  assert.deepEqual([...db.keys()], []);
  fill(db);
  const bound = "x".repeat(3_000);
  for (let index = 0; index < 100; index++) db.deleteRangeSync({ gte: bound, lt: `${bound}y` });
  await checkKeys(db, LETTERS);
  assert.ok(db.stats().flush.count > 0);
});
