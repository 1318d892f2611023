/** Merges: operands that apply to what is there when the key is read, by an operator that belongs to the family. */
import assert from "node:assert/strict";
import { type BatchOperation, type CustomMergeOperator, Varve } from "../../mod.ts";
import { SimulatedDisk } from "../../testing.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { coded } from "./support.ts";

const TEXT = { keyEncoding: "utf8", valueEncoding: "utf8" } as const;
const ADD = { keyEncoding: "utf8", mergeOperator: "add" } as const;
const APPEND = { ...TEXT, mergeOperator: "append" } as const;

/** Words, joined by the operator's own sign; it says what it was called with. */
function joining(sign = "+", name = "join") {
  const calls: unknown[] = [];
  const operator: CustomMergeOperator<string, string> = {
    name,
    merge(key, existing, operands) {
      calls.push([key, existing, [...operands]]);
      return [...existing === undefined ? [] : [existing], ...operands].join(sign);
    },
  };
  return { calls, options: { ...TEXT, mergeOperator: operator } };
}

interface Readable<V> {
  getSync(key: string): V | undefined;
  get(key: string): Promise<V | undefined>;
  getManySync(keys: string[]): (V | undefined)[];
  getMany(keys: string[]): Promise<(V | undefined)[]>;
  hasSync(key: string): boolean;
  has(key: string): Promise<boolean>;
  entries(range: object): Iterable<[string, V]> & AsyncIterable<[string, V]>;
  values(range: object): Iterable<V>;
  keys(range: object): Iterable<string>;
  count(range: object): Promise<number>;
}

/** The key's value, by every way of reading it. */
async function see<V>(family: Readable<V>, key: string): Promise<V | undefined> {
  const value = family.getSync(key);
  assert.deepEqual(await family.get(key), value);
  assert.deepEqual(family.getManySync([key, key]), [value, value]);
  assert.deepEqual(await family.getMany([key]), [value]);
  const there = value !== undefined;
  assert.equal(family.hasSync(key), there);
  assert.equal(await family.has(key), there);
  const range = { gte: key, lte: key };
  const row = there ? [[key, value]] : [];
  assert.deepEqual([...family.entries(range)], row);
  assert.deepEqual(await Array.fromAsync(family.entries({ ...range, reverse: true })), row);
  assert.deepEqual([...family.values(range)], there ? [value] : []);
  assert.deepEqual([...family.keys(range)], there ? [key] : []);
  assert.equal(await family.count(range), row.length);
  return value;
}

/** Runs `check` on what a step left: in memory, in a table, and after an open. */
async function everywhere<T>(
  open: (path: string) => Promise<Varve & { other?: T }>,
  make: (db: Varve) => Promise<void>,
  check: (db: Varve) => Promise<void>,
): Promise<void> {
  const path = temporaryDirectory();
  let db = await open(path);
  await make(db);
  await check(db);
  await db.flush();
  await check(db);
  await db.close();
  db = await open(path);
  await check(db);
  await db.close();
}

test("add, max, min and append fold operands onto the value, oldest first", async () => {
  await everywhere(
    (path) => Varve.open(path),
    async (db) => {
      const sum = await db.columnFamily("sum", ADD);
      const most = await db.columnFamily("most", { ...ADD, mergeOperator: "max" });
      const least = await db.columnFamily("least", { ...ADD, mergeOperator: "min" });
      const text = await db.columnFamily("text", APPEND);
      await sum.put("base", 40);
      sum.mergeSync("base", 5);
      await sum.merge("base", -3n);
      await sum.merge("none", 7);
      for (const number of [5, -9, 2n ** 40n, 3]) {
        await most.merge("k", number);
        await least.merge("k", number);
      }
      await sum.put("wraps", 2n ** 63n - 1n);
      await sum.merge("wraps", 2);
      await text.put("log", "a");
      await text.merge("log", "b");
      await text.merge("log", "");
      text.mergeSync("log", "c");
      await text.merge("new", "first");
      await text.merge("empty", "");
    },
    async (db) => {
      const sum = await db.columnFamily("sum", ADD);
      const most = await db.columnFamily("most", { ...ADD, mergeOperator: "max" });
      const least = await db.columnFamily("least", { ...ADD, mergeOperator: "min" });
      const text = await db.columnFamily("text", APPEND);
      assert.equal(await see(sum, "base"), 42n);
      assert.equal(await see(sum, "none"), 7n);
      assert.equal(await see(sum, "wraps"), -(2n ** 63n) + 1n);
      assert.equal(await see(sum, "missing"), undefined);
      assert.equal(await see(most, "k"), 2n ** 40n);
      assert.equal(await see(least, "k"), -9n);
      assert.equal(await see(text, "log"), "abc");
      assert.equal(await see(text, "new"), "first");
      assert.equal(await see(text, "empty"), "");
    },
  );
});

test("after a delete, a range delete or an expiry operands apply to no value", async () => {
  for (const flushed of [false, true]) {
    using disk = new SimulatedDisk();
    const db = await Varve.open("/data", { disk });
    const { calls, options } = joining();
    const words = await db.columnFamily("words", options);
    const flush = async (): Promise<void> => {
      if (flushed) await db.flush();
    };
    for (const key of ["deleted", "ranged", "alive", "under"]) await words.put(key, "old");
    await words.merge("ranged", "gone");
    await words.put("expired", "old");
    await words.put("expired", "short", { ttl: 100 });
    await words.put("lasting", "short", { ttl: 1_000 });
    await flush();
    await words.delete("deleted");
    await words.deleteRange({ gte: "r", lt: "s" });
    await flush();
    for (const key of ["deleted", "ranged", "alive", "expired", "lasting"]) {
      await words.merge(key, "1");
      await words.merge(key, "2");
    }
    await words.merge("under", "gone");
    await words.deleteRange({ prefix: "under" });
    assert.equal(await see(words, "expired"), "short+1+2");
    disk.clock += 100;
    for (let round = 0; round < 2; round++) {
      assert.equal(await see(words, "deleted"), "1+2");
      assert.equal(await see(words, "ranged"), "1+2");
      assert.equal(await see(words, "alive"), "old+1+2");
      assert.equal(await see(words, "expired"), "1+2");
      assert.equal(await see(words, "lasting"), "short+1+2");
      assert.equal(await see(words, "under"), undefined);
      await db.flush();
    }
    assert.ok(calls.length > 0);
    disk.clock += 1_000;
    assert.equal(await see(words, "lasting"), "1+2");
    await words.put("alive", "new");
    assert.equal(await see(words, "alive"), "new");
    await db.close();
  }
});

test("a custom operator gets decoded keys and values, when a key is read and never before", async () => {
  const path = temporaryDirectory();
  const calls: unknown[] = [];
  const options = {
    keyEncoding: "tuple",
    valueEncoding: "json",
    mergeOperator: {
      name: "union",
      merge(key: unknown, existing: unknown, operands: unknown[]) {
        calls.push({ key, existing, operands });
        return { ...(existing as object), ...Object.assign({}, ...operands), when: new Date(0) };
      },
    },
  } as const;
  await using db = await Varve.open(path);
  const users = await db.columnFamily("users", options);
  await users.put(["a", 1], { x: 0, y: 0 });
  await users.merge(["a", 1], { x: 1 });
  await users.merge(["a", 1], { z: [2] });
  await users.merge(["b"], { x: 3 });
  assert.deepEqual(calls, []);
  const when = "1970-01-01T00:00:00.000Z";
  assert.deepEqual(users.getSync(["a", 1]), { x: 1, y: 0, z: [2], when });
  assert.deepEqual(calls, [
    { key: ["a", 1], existing: { x: 0, y: 0 }, operands: [{ x: 1 }, { z: [2] }] },
  ]);
  assert.deepEqual(await users.get(["b"]), { x: 3, when });
  assert.deepEqual(calls[1], { key: ["b"], existing: undefined, operands: [{ x: 3 }] });
  await db.flush();
  assert.equal(await users.count(), 2);
  assert.equal(users.hasSync(["b"]), true);
  assert.deepEqual([...users.keys()], [["a", 1], ["b"]]);
  assert.equal(calls.length, 2, "nobody wanted a value");
  assert.deepEqual([...users.values()], [{ x: 1, y: 0, z: [2], when }, { x: 3, when }]);
});

test("an operator that throws, or returns what is no value, rejects that read alone", async () => {
  await using db = await Varve.open(temporaryDirectory());
  let broken = true;
  const options = {
    ...TEXT,
    mergeOperator: {
      name: "picky",
      merge(key: string, existing: string | undefined, operands: string[]) {
        if (broken && key === "throws") throw new RangeError("no");
        if (broken && key === "number") return 5 as never;
        return (existing ?? "") + operands.join("");
      },
    },
  };
  const family = await db.columnFamily("picky", options);
  for (const key of ["a", "number", "throws", "z"]) {
    await family.put(key, "base");
    await family.merge(key, "1");
  }
  for (let round = 0; round < 2; round++) {
    assert.throws(() => family.getSync("throws"), RangeError);
    await assert.rejects(family.get("throws"), RangeError);
    await assert.rejects(family.getMany(["a", "throws"]), RangeError);
    await assert.rejects(family.get("number"), coded("ERR_INVALID_ARGUMENT"));
    assert.equal(family.hasSync("throws"), true);
    assert.equal(family.getSync("a"), "base1");
    const rows: string[] = [];
    assert.throws(() => {
      for (const [key] of family.entries({ reverse: true })) rows.push(key);
    }, RangeError);
    assert.deepEqual(rows, ["z"], "rows before it come");
    await assert.rejects(Array.fromAsync(family.values()), coded("ERR_INVALID_ARGUMENT"));
    assert.throws(() => [...family.pages({ gte: "t" })], RangeError);
    assert.deepEqual([...family.keys()], ["a", "number", "throws", "z"]);
    await db.flush();
  }
  broken = false;
  assert.equal(await see(family, "throws"), "base1", "the operands are still there");
  assert.equal(await see(family, "number"), "base1");
});

test("pages() come folded, whatever else is on them", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const { options } = joining("");
  const family = await db.columnFamily("mixed", options);
  const expected: [string, string][] = [];
  for (let index = 0; index < 500; index++) {
    const key = `key${String(index).padStart(4, "0")}`;
    let value = `${index}:`.padEnd(index % 50, "v");
    if (index % 4 !== 1) family.putSync(key, value, { durability: "buffered" });
    else value = "";
    for (let left = index % 3; left > 0; left--) {
      const operand = "m".repeat(left * (index % 7));
      family.mergeSync(key, operand, { durability: "buffered" });
      value += operand;
    }
    if (index % 4 !== 1 || index % 3 !== 0) expected.push([key, value]);
  }
  await family.put("large", "l".repeat(100_000));
  await family.merge("large", "m".repeat(100_000));
  expected.push(["large", "l".repeat(100_000) + "m".repeat(100_000)]);
  for (let round = 0; round < 2; round++) {
    for (const range of [{}, { reverse: true }]) {
      const rows: [string, string][] = [];
      for (const { count, bytes, offsets } of family.pages(range)) {
        assert.equal(offsets.length, 2 * count + 1);
        assert.equal(bytes.length, offsets[2 * count]);
        const piece = (at: number) =>
          new TextDecoder().decode(bytes.subarray(offsets[at], offsets[at + 1]));
        for (let row = 0; row < count; row++) rows.push([piece(2 * row), piece(2 * row + 1)]);
      }
      assert.deepEqual(rows, range.reverse ? expected.toReversed() : expected);
      assert.deepEqual([...family.entries(range)], rows);
    }
    await db.flush();
  }
});

test("what a merged read returns is the caller's, and the operator's result stays the operator's", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const shared = new Uint8Array([1, 2, 3]);
  const family = await db.columnFamily("shared", {
    mergeOperator: { name: "shared", merge: () => shared },
  });
  await family.merge("k", "operand");
  const first = family.getSync("k")!;
  first.fill(9);
  assert.deepEqual(shared, new Uint8Array([1, 2, 3]));
  assert.deepEqual(await family.get("k"), shared);
  const [[, value]] = [...family.entries()];
  value.fill(8);
  assert.deepEqual(family.getSync("k"), new Uint8Array([1, 2, 3]));
});

test("the operator's name is stored with the family: another one is refused, by both names", async () => {
  const path = temporaryDirectory();
  const max = { ...ADD, mergeOperator: "max" } as const;
  {
    await using db = await Varve.open(path, ADD);
    const words = await db.columnFamily("words", joining().options);
    await db.columnFamily("later", TEXT);
    await words.merge("k", "v");
    await assert.rejects(
      db.columnFamily("words", joining("-", "other").options),
      /ERR|column family 'words'.*"other".*"join"/,
    );
    assert.throws(() => db.columnFamilySync("words", APPEND), coded("ERR_INVALID_ARGUMENT"));
    assert.throws(
      () => db.columnFamilySync("default", { mergeOperator: { name: "add", merge: () => "" } }),
      coded("ERR_INVALID_ARGUMENT"),
    );
    await assert.rejects(Varve.open(path, max), coded("ERR_INVALID_ARGUMENT"));
    await db.merge("k", 5);
    const later = await db.columnFamily("later", APPEND);
    await later.merge("k", "1");
  }
  await assert.rejects(Varve.open(path, max), (error: Error) => {
    assert.match(error.message, /column family 'default'.*"max".*"add"/);
    assert.equal((error as { code?: string }).code, "ERR_INVALID_ARGUMENT");
    return true;
  });
  assert.throws(() => Varve.openSync(path, max), coded("ERR_INVALID_ARGUMENT"));
  await using db = await Varve.open(path, ADD);
  assert.equal(db.getSync("k"), 5n, "a refused open leaves no lock behind");
  await assert.rejects(
    db.columnFamily("words", joining("-", "other").options),
    /column family 'words'.*"other".*"join"/,
  );
  await assert.rejects(db.columnFamily("later", joining().options), coded("ERR_INVALID_ARGUMENT"));
  assert.equal((await db.columnFamily("later", APPEND)).getSync("k"), "1");
  await db.dropColumnFamily("words");
  const anew = await db.columnFamily("words", APPEND);
  await anew.merge("k", "new");
  assert.equal(anew.getSync("k"), "new");
});

test("without an operator merging and reading merged keys is ERR_UNSUPPORTED, the rest is not", async () => {
  const path = temporaryDirectory();
  for (const operator of ["append", joining().options.mergeOperator] as const) {
    const name = typeof operator === "string" ? operator : operator.name;
    await using db = await Varve.open(path);
    const family = await db.columnFamily(name, { ...TEXT, mergeOperator: operator });
    await family.put("a", "plain");
    // A flush folds what it can: operands with nothing under them stay operands.
    await family.merge("merged", "operand");
    await family.put("z", "plain");
    const without = await db.columnFamily(name, TEXT);
    for (let round = 0; round < 2; round++) {
      await assert.rejects(without.merge("a", "v"), coded("ERR_UNSUPPORTED"));
      assert.throws(() => without.mergeSync("a", "v"), coded("ERR_UNSUPPORTED"));
      assert.throws(() => db.batch().merge(without, "a", "v"), coded("ERR_UNSUPPORTED"));
      assert.throws(() => without.getSync("merged"), coded("ERR_UNSUPPORTED"));
      await assert.rejects(without.get("merged"), coded("ERR_UNSUPPORTED"));
      await assert.rejects(without.getMany(["a", "merged"]), coded("ERR_UNSUPPORTED"));
      await assert.rejects(Array.fromAsync(without.entries()), coded("ERR_UNSUPPORTED"));
      assert.throws(() => [...without.values()], coded("ERR_UNSUPPORTED"));
      assert.throws(() => without.getSync("merged"), new RegExp(`'${name}'.*"${name}"`));
      assert.equal(without.getSync("a"), "plain");
      assert.equal(await without.get("z"), "plain");
      assert.deepEqual([...without.entries({ gt: "merged" })], [["z", "plain"]]);
      await db.flush();
    }
    await without.put("merged", "plain again");
    assert.equal(await see(without, "merged"), "plain again");
    assert.equal(await see(family, "merged"), "plain again");
  }
  await using db = await Varve.open(path);
  await assert.rejects(db.merge("k", "v"), coded("ERR_UNSUPPORTED"));
  await assert.rejects(db.batch([{ type: "merge", key: "k", value: "v" }]), {
    code: "ERR_UNSUPPORTED",
  });
});

test("two handles with functions of their own under one name each use their own", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const plus = joining("+");
  const minus = joining("-");
  const one = await db.columnFamily("words", plus.options);
  const two = await db.columnFamily("words", minus.options);
  await one.put("k", "a");
  await one.merge("k", "b");
  await two.merge("k", "c");
  assert.equal(await see(one, "k"), "a+b+c");
  assert.equal(await see(two, "k"), "a-b-c");
});

test("a family of integers takes values of eight bytes only, whoever writes them", async () => {
  const path = temporaryDirectory();
  await using db = await Varve.open(path);
  const sums = await db.columnFamily("sums", ADD);
  const raw = await db.columnFamily("sums", {
    keyEncoding: "utf8",
    valueEncoding: "binary",
    mergeOperator: "add",
  });
  const plain = await db.columnFamily("sums", TEXT);
  for (const value of ["", "1234567", "123456789", "\u00e91234567"]) {
    for (const family of [raw, plain]) {
      await assert.rejects(family.put("k", value), coded("ERR_INVALID_ARGUMENT"));
      assert.throws(() => family.putSync("k", value), coded("ERR_INVALID_ARGUMENT"));
      assert.throws(() => db.batch().put(family, "k", value), coded("ERR_INVALID_ARGUMENT"));
    }
    await assert.rejects(raw.merge("k", value), coded("ERR_INVALID_ARGUMENT"));
    assert.throws(() => raw.mergeSync("k", new Uint8Array(9)), coded("ERR_INVALID_ARGUMENT"));
    const operations: BatchOperation[] = [{ type: "merge", key: "k", value, columnFamily: raw }];
    await assert.rejects(db.batch(operations), coded("ERR_INVALID_ARGUMENT"));
  }
  for (const value of [1.5, 2 ** 53, 2n ** 63n, "1", undefined]) {
    await assert.rejects(sums.put("k", value as never), coded("ERR_INVALID_ARGUMENT"));
    await assert.rejects(sums.merge("k", value as never), coded("ERR_INVALID_ARGUMENT"));
  }
  assert.equal(await sums.count(), 0);
  await raw.put("k", "\u00e9123456");
  await raw.merge("k", new Uint8Array(8));
  assert.equal(raw.getSync("k")!.length, 8);
});

test("a value from before the operator that is no integer is an error of that key alone", async () => {
  const path = temporaryDirectory();
  {
    await using db = await Varve.open(path, TEXT);
    await db.put("text", "abc");
    await db.put("eight", "\x01\0\0\0\0\0\0\0");
  }
  await using db = await Varve.open(path, ADD);
  await db.merge("text", 1);
  await db.merge("eight", 1);
  for (let round = 0; round < 2; round++) {
    assert.throws(() => db.getSync("text"), coded("ERR_INVALID_ARGUMENT"));
    await assert.rejects(db.get("text"), coded("ERR_INVALID_ARGUMENT"));
    assert.equal(db.getSync("eight"), 2n);
    await db.flush();
  }
  await db.put("text", 3);
  assert.equal(await see(db, "text"), 3n);
});

test("snapshots and iterators see the operands of their time", async () => {
  await using db = await Varve.open(temporaryDirectory());
  for (const options of [APPEND, joining("").options] as const) {
    const family = await db.columnFamily(`f${typeof options.mergeOperator}`, options);
    await family.put("k", "0");
    const snapshots = [];
    for (let index = 1; index < 5; index++) {
      await family.merge("k", `${index}`);
      snapshots.push(db.snapshot());
      if (index === 2) await db.flush();
    }
    const rows = family.entries()[Symbol.iterator]();
    await family.merge("k", "5");
    for (let round = 0; round < 2; round++) {
      for (const [index, snapshot] of snapshots.entries()) {
        const expected = "01234".slice(0, index + 2);
        assert.equal(family.getSync("k", { snapshot }), expected);
        assert.equal(await family.get("k", { snapshot }), expected);
        assert.deepEqual([...family.entries({ snapshot })], [["k", expected]]);
      }
      assert.equal(await see(family, "k"), "012345");
      await db.flush();
    }
    assert.deepEqual([...rows], [["k", "01234"]]);
    for (const snapshot of snapshots) snapshot[Symbol.dispose]();
  }
});

test("merges in batches act in order, over families", async () => {
  await using db = await Varve.open(temporaryDirectory(), ADD);
  const words = await db.columnFamily("words", joining().options);
  const { sequence } = db.stats();
  await db.batch().merge("k", 1).put("k", 10).merge("k", 2).merge(words, "w", "a")
    .delete(words, "w").merge(words, "w", "b").merge(words, "w", "c").write();
  assert.equal(db.stats().sequence, sequence + 7);
  assert.equal(await see(db, "k"), 12n);
  assert.equal(await see(words, "w"), "b+c");
  await db.batch([
    { type: "merge", key: "k", value: 30n },
    { type: "merge", key: "w", value: "d", columnFamily: words },
    { type: "deleteRange", range: { lt: "k" } },
  ]);
  db.batchSync([{ type: "merge", key: "k", value: 0 }]);
  assert.equal(await see(db, "k"), 42n);
  assert.equal(await see(words, "w"), "b+c+d");
});

test("long chains are read in time that grows with their length", async () => {
  await using db = await Varve.open(temporaryDirectory(), { durability: "buffered" });
  const { calls, options } = joining("");
  const family = await db.columnFamily("long", options);
  const sums = await db.columnFamily("sums", ADD);
  const count = 20_000;
  const writes: Promise<void>[] = [];
  for (let index = 0; index < count; index++) {
    writes.push(family.merge("k", `${index % 10}`), sums.merge("k", index));
    if (index === count / 2) await db.flush();
  }
  await Promise.all(writes);
  const expected = "0123456789".repeat(count / 10);
  for (let round = 0; round < 2; round++) {
    assert.equal(family.getSync("k"), expected);
    assert.equal(await family.get("k"), expected);
    assert.deepEqual([...family.values({ reverse: true })], [expected]);
    assert.equal(await see(sums, "k"), BigInt((count * (count - 1)) / 2));
    await db.flush();
  }
  const [, , operands] = calls[0] as [string, undefined, string[]];
  assert.equal(operands.length, count, "one call has them all");
});

test("merged keys are read from the disk off the event loop, too", async () => {
  const path = temporaryDirectory();
  const { options } = joining("");
  const open = async () => {
    const db = await Varve.open(path, { durability: "buffered", blockCacheSize: 64 * 1024 });
    return { db, family: await db.columnFamily("cold", options) };
  };
  const keyOf = (index: number) => `k${String(index).padStart(5, "0")}`;
  {
    const { db, family } = await open();
    for (let index = 0; index < 2_000; index++) family.putSync(keyOf(index), "b".repeat(200));
    await db.flush();
    for (let index = 0; index < 2_000; index += 3) family.mergeSync(keyOf(index), `${index}`);
    await db.flush();
    for (let index = 0; index < 2_000; index += 5) family.mergeSync(keyOf(index), "!");
    await db.close();
  }
  const { db, family } = await open();
  const keys = Array.from({ length: 2_000 }, (_, index) => keyOf(index));
  const expected = keys.map((_, index) =>
    "b".repeat(200) + (index % 3 === 0 ? index : "") + (index % 5 === 0 ? "!" : "")
  );
  assert.deepEqual(await family.getMany(keys), expected);
  const present = await Promise.all(keys.map((key) => family.has(key)));
  assert.ok(present.every(Boolean));
  assert.deepEqual(await Array.fromAsync(family.values()), expected);
  await db.close();
});

test("acknowledged merges survive a crash once each, in order; a killed process loses none", async () => {
  for (let seed = 0; seed < 20; seed++) {
    using disk = new SimulatedDisk({ seed });
    let db = await Varve.open("/data", { ...APPEND, disk });
    await db.merge("k", "a");
    await db.merge("k", "b");
    if (seed % 2 === 0) await db.flush();
    await db.merge("k", "c", { durability: "buffered" });
    await db.merge("k", "d", { durability: "buffered" });
    disk.crash();
    db = await Varve.open("/data", { ...APPEND, disk });
    const found = db.getSync("k")!;
    assert.ok(["ab", "abc", "abcd"].includes(found), `seed ${seed}: ${found}`);
    await db.merge("k", "e", { durability: "buffered" });
    disk.kill();
    db = await Varve.open("/data", { ...APPEND, disk });
    assert.equal(db.getSync("k"), `${found}e`);
    await db.close();
  }
});

test("a read-only store folds as the writing one did, and takes an operator without storing it", async () => {
  const path = temporaryDirectory();
  {
    await using db = await Varve.open(path, ADD);
    await db.put("k", 1);
    await db.merge("k", 2);
    await db.columnFamily("plain", TEXT);
  }
  const readOnly = true;
  await assert.rejects(
    Varve.open(path, { ...ADD, mergeOperator: "min", readOnly }),
    coded("ERR_INVALID_ARGUMENT"),
  );
  {
    await using db = await Varve.open(path, { ...ADD, readOnly });
    assert.equal(await see(db, "k"), 3n);
    await assert.rejects(db.merge("k", 1), coded("ERR_READ_ONLY"));
    await assert.rejects(db.deleteRange({}), coded("ERR_READ_ONLY"));
    const plain = await db.columnFamily("plain", APPEND);
    assert.deepEqual([...plain.entries()], []);
  }
  await using db = await Varve.open(path, ADD);
  const plain = await db.columnFamily("plain", joining().options);
  await plain.merge("k", "v");
  assert.equal(plain.getSync("k"), "v");
});
