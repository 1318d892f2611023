/** Snapshots, iterators and counts: what they show, in which order, and until when. */
import assert from "node:assert/strict";
import { type Range, Varve } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { coded, keyOf, openDescriptors, soon, text } from "./support.ts";

const UTF8 = { keyEncoding: "utf8", valueEncoding: "utf8" } as const;

/** A store of 1,000 keys, a third in an older table, a third in a newer one, a third in memory; odd ones were deleted. */
async function openMixed() {
  const db = await Varve.open(temporaryDirectory(), {
    ...UTF8,
    durability: "buffered",
    blockSize: 1024,
  });
  for (const third of [0, 1, 2]) {
    for (let index = third; index < 1_000; index += 3) db.put(keyOf(index), `v${index}`);
    for (let index = 1; index < 1_000; index += 4) db.delete(keyOf(index));
    if (third < 2) await db.flush();
  }
  await db.sync();
  const present: number[] = [];
  for (let index = 0; index < 1_000; index++) if (index % 4 !== 1) present.push(index);
  return { db, keys: present.map(keyOf) };
}

test("ranges, forward and reverse, bounded and limited, for and for await, with count", async () => {
  const { db, keys } = await openMixed();
  await using _ = db;
  const [low, high] = [keyOf(100), keyOf(900)];
  const ranges: [Range<string>, (key: string) => boolean][] = [
    [{}, () => true],
    [{ gt: low }, (key) => key > low],
    [{ gte: low }, (key) => key >= low],
    [{ lt: high }, (key) => key < high],
    [{ lte: high }, (key) => key <= high],
    [{ gte: low, lt: high }, (key) => key >= low && key < high],
    [{ gt: low, gte: keyOf(50), lte: high, lt: keyOf(950) }, (key) => key > low && key <= high],
    [{ prefix: "000001" }, (key) => key.startsWith("000001")],
    [{ prefix: "000001", gt: keyOf(150) }, (key) => key.startsWith("000001") && key > keyOf(150)],
    [{ prefix: "" }, () => true],
    [{ gte: high, lt: low }, () => false],
    [{ gt: low, lt: low }, () => false],
    [{ prefix: "x" }, () => false],
    [{ gte: "5" }, () => false],
  ];
  for (const [bounds, within] of ranges) {
    for (const reverse of [false, true]) {
      for (const limit of [undefined, 0, 1, 7, 10_000, Infinity]) {
        const range = { ...bounds, reverse, limit };
        let expected = keys.filter(within);
        if (reverse) expected.reverse();
        expected = expected.slice(0, limit);
        const told = JSON.stringify(range);
        assert.deepEqual([...db.keys(range)], expected, told);
        assert.deepEqual(await Array.fromAsync(db.keys(range)), expected, told);
        assert.equal(db.countSync(range), expected.length, told);
        assert.equal(await db.count(range), expected.length, told);
        const values = expected.map((key) => `v${Number(key)}`);
        assert.deepEqual([...db.values(range)], values, told);
        assert.deepEqual(
          await Array.fromAsync(db.entries(range)),
          expected.map((key, index) => [key, values[index]]),
          told,
        );
      }
    }
  }
});

test("bad ranges are ERR_INVALID_ARGUMENT, at the call", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const wrong: unknown[] = [
    7,
    "a",
    [],
    { limit: -1 },
    { limit: 0.5 },
    { limit: NaN },
    {
      limit: "1",
    },
    { reverse: 1 },
    { gt: 7 },
    { prefix: null },
    { snapshot: 7 },
    { signal: {} },
  ];
  for (const range of wrong) {
    const told = JSON.stringify(range);
    assert.throws(() => db.entries(range as never), coded("ERR_INVALID_ARGUMENT"), told);
    assert.throws(() => db.countSync(range as never), coded("ERR_INVALID_ARGUMENT"), told);
    await assert.rejects(db.count(range as never), coded("ERR_INVALID_ARGUMENT"), told);
  }
});

test("an iteration can be gone through many times, and each time is a view of its own", async () => {
  await using db = await Varve.open(temporaryDirectory(), UTF8);
  const rows = db.keys();
  assert.deepEqual([...rows], []);
  await db.put("a", "1");
  assert.deepEqual([...rows], ["a"]);
  const early = rows[Symbol.iterator]();
  const earlyAsync = rows[Symbol.asyncIterator]();
  await db.put("b", "2");
  await db.delete("a");
  await db.flush();
  assert.deepEqual([...early], ["a"], "the view is taken by [Symbol.iterator]()");
  assert.deepEqual(await Array.fromAsync(earlyAsync), ["a"]);
  assert.deepEqual([...rows], ["b"]);
});

test("an iterator shows one moment, while writes, flushes and deletes go on", async () => {
  const { db, keys } = await openMixed();
  await using _ = db;
  const forward = db.entries()[Symbol.asyncIterator]();
  const backward = db.entries({ reverse: true })[Symbol.iterator]();
  const seen: string[] = [];
  const seenBackward: string[] = [];
  for (let step = 0; step < keys.length; step++) {
    const [ahead, behind] = [await forward.next(), backward.next()];
    assert.ok(!ahead.done && !behind.done);
    assert.equal(ahead.value[1], `v${Number(ahead.value[0])}`);
    seen.push(ahead.value[0]);
    seenBackward.push(behind.value[0]);
    db.put(keyOf(step), "changed");
    db.put(`${keyOf(step)}x`, "new");
    db.delete(keyOf(999 - step));
    if (step % 100 === 50) await db.flush();
  }
  assert.equal((await forward.next()).done, true);
  assert.equal(backward.next().done, true);
  assert.deepEqual(seen, keys);
  assert.deepEqual(seenBackward, keys.toReversed());
});

test("break, return and a throwing body release the view; what follows is done", async () => {
  const { db } = await openMixed();
  await using _ = db;
  const before = openDescriptors();
  for (let round = 0; round < 300; round++) {
    for (const _ of db.entries()) break;
    for await (const _ of db.entries()) break;
    assert.throws(() => {
      for (const _ of db.entries()) throw new RangeError();
    }, RangeError);
  }
  const iterator = db.keys()[Symbol.iterator]();
  iterator.next();
  iterator.return!();
  assert.deepEqual(iterator.next(), { done: true, value: undefined });
  const asyncIterator = db.keys()[Symbol.asyncIterator]();
  await asyncIterator.next();
  await asyncIterator.return!();
  assert.deepEqual(await asyncIterator.next(), { done: true, value: undefined });
  if (before !== undefined) assert.ok(openDescriptors()! <= before);
});

test("next called many times at once answers in order", async () => {
  const { db, keys } = await openMixed();
  await using _ = db;
  const iterator = db.keys()[Symbol.asyncIterator]();
  const results = await soon(
    Promise.all(Array.from({ length: keys.length + 5 }, () => iterator.next())),
    "all steps",
  );
  assert.deepEqual(results.filter(({ done }) => !done).map(({ value }) => value), keys);
});

test("thousands of iterators can be open at once, and none is lost or mixed up", async () => {
  const { db, keys } = await openMixed();
  await using _ = db;
  const iterators = Array.from(
    { length: 2_000 },
    (_, index) => db.keys({ gte: keyOf(index % 1_000) })[Symbol.iterator](),
  );
  for (const [index, iterator] of iterators.entries()) {
    const expected = keys.find((key) => key >= keyOf(index % 1_000));
    assert.equal(iterator.next().value, expected);
  }
  for (const iterator of iterators) iterator.return!();
});

test("iterators that nobody ends do not keep the store from closing", async () => {
  const { db } = await openMixed();
  const iterators = Array.from({ length: 20 }, () => db.entries()[Symbol.iterator]());
  const asyncIterators = Array.from({ length: 20 }, () => db.entries()[Symbol.asyncIterator]());
  for (const iterator of iterators) iterator.next();
  for (const iterator of asyncIterators) await iterator.next();
  await soon(db.close(), "close");
  for (const iterator of iterators) assert.throws(() => iterator.next(), coded("ERR_CLOSED"));
  for (const iterator of asyncIterators) {
    await assert.rejects(iterator.next(), coded("ERR_CLOSED"));
    await iterator.return!();
  }
});

test("an aborted async iteration throws the signal's reason, before it starts and in the middle", async () => {
  const { db } = await openMixed();
  await using _ = db;
  const reason = new Error("enough");
  const walk = async (signal: AbortSignal, each: () => void) => {
    for await (const _ of db.entries({ signal })) each();
  };
  await assert.rejects(walk(AbortSignal.abort(reason), () => {}), reason);
  const controller = new AbortController();
  let steps = 0;
  await assert.rejects(
    walk(controller.signal, () => {
      if (++steps === 10) controller.abort(reason);
    }),
    reason,
  );
  assert.equal(steps, 10);
  await assert.rejects(db.count({ signal: AbortSignal.abort(reason) }), reason);
});

test("a snapshot shows all families as they were, from every way of reading", async () => {
  await using db = await Varve.open(temporaryDirectory(), UTF8);
  const users = await db.columnFamily("users", UTF8);
  await db.batch().put("a", "1").put("b", "1").put(users, "u", "1").write();
  using snapshot = db.snapshot();
  assert.equal(snapshot.sequence, db.stats().sequence);
  for (let round = 0; round < 3; round++) {
    await db.batch().put("a", `new ${round}`).delete("b").put("c", "1").delete(users, "u").write();
    if (round > 0) await db.flush();
    assert.equal(await db.get("a", { snapshot }), "1");
    assert.equal(db.getSync("a", { snapshot }), "1");
    assert.deepEqual(await db.getMany(["a", "b", "c"], { snapshot }), ["1", "1", undefined]);
    assert.deepEqual(db.getManySync(["a", "b", "c"], { snapshot }), ["1", "1", undefined]);
    assert.equal(await db.has("c", { snapshot }), false);
    assert.equal(db.hasSync("b", { snapshot }), true);
    assert.deepEqual([...db.entries({ snapshot })], [["a", "1"], ["b", "1"]]);
    assert.deepEqual(await Array.fromAsync(db.keys({ snapshot, reverse: true })), ["b", "a"]);
    assert.equal(await db.count({ snapshot }), 2);
    assert.equal(await users.get("u", { snapshot }), "1");
    assert.deepEqual([...db.entries()], [["a", `new ${round}`], ["c", "1"]]);
  }
});

test("many snapshots of one key each show their own version, over flushes", async () => {
  await using db = await Varve.open(temporaryDirectory(), { ...UTF8, durability: "buffered" });
  const snapshots = [];
  for (let round = 0; round < 50; round++) {
    await db.put("k", `v${round}`);
    if (round % 5 === 4) await db.delete("k");
    snapshots.push(db.snapshot());
    if (round % 10 === 9) await db.flush();
  }
  for (const [round, snapshot] of snapshots.entries()) {
    const expected = round % 5 === 4 ? undefined : `v${round}`;
    assert.equal(db.getSync("k", { snapshot }), expected);
    assert.equal(await db.count({ snapshot }), expected === undefined ? 0 : 1);
    if (round % 2 === 0) snapshot[Symbol.dispose]();
  }
  await db.put("other", "v");
  await db.flush();
  for (const [round, snapshot] of snapshots.entries()) {
    if (round % 2 === 0) continue;
    assert.equal(db.getSync("k", { snapshot }), round % 5 === 4 ? undefined : `v${round}`);
  }
});

test("a disposed snapshot is ERR_CLOSED, another store's ERR_INVALID_ARGUMENT, another handle's is fine", async () => {
  const path = temporaryDirectory();
  await using db = await Varve.open(path, UTF8);
  await using twin = await Varve.open(path, UTF8);
  await using other = await Varve.open(temporaryDirectory(), UTF8);
  await db.put("k", "v");
  const snapshot = db.snapshot();
  assert.equal(twin.getSync("k", { snapshot }), "v");
  assert.throws(() => other.getSync("k", { snapshot }), coded("ERR_INVALID_ARGUMENT"));
  await assert.rejects(other.count({ snapshot }), coded("ERR_INVALID_ARGUMENT"));
  snapshot[Symbol.dispose]();
  snapshot[Symbol.dispose]();
  await assert.rejects(db.get("k", { snapshot }), coded("ERR_CLOSED"));
  assert.throws(() => db.getSync("k", { snapshot }), coded("ERR_CLOSED"));
  assert.throws(() => [...db.entries({ snapshot })], coded("ERR_CLOSED"));
  await assert.rejects(db.count({ snapshot }), coded("ERR_CLOSED"));
});

test("a snapshot outlives the close of its own handle without harm", async () => {
  const path = temporaryDirectory();
  const db = await Varve.open(path, UTF8);
  const snapshot = db.snapshot();
  await db.close();
  snapshot[Symbol.dispose]();
  assert.throws(() => db.getSync("k", { snapshot }), coded("ERR_CLOSED"));
});

test("order is that of unsigned bytes, and of strings by their UTF-8", async () => {
  await using db = await Varve.open(temporaryDirectory(), UTF8);
  const keys = ["", "\0", "a", "a\0", "ab", "b", "é", "\u07ff", "\uffff", "\u{10000}", "\u{1f600}"];
  for (const key of keys.toReversed()) await db.put(key, key);
  for (let round = 0; round < 2; round++) {
    assert.deepEqual([...db.keys()], keys);
    assert.deepEqual([...db.keys({ gt: "é" })], keys.slice(7));
    assert.deepEqual([...db.keys({ prefix: "a" })], ["a", "a\0", "ab"]);
    await db.flush();
  }
  const raw = await db.columnFamily("default", { keyEncoding: "binary" });
  assert.deepEqual([...raw.keys()].map(text), keys);
});
