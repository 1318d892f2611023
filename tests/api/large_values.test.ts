/** Values beyond `blobThreshold`: written to blob segments, read by address, wherever the address lies. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { type Durability, Varve, VarveError } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { assertBytes, SIZES, valueOf } from "./large_support.ts";
import { coded, keyOf, text } from "./support.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const DURABILITIES: readonly Durability[] = ["sync", "buffered", "volatile"];

function blobFiles(path: string): string[] {
  return readdirSync(path).filter((name) => name.endsWith(".blob")).sort();
}

/** A value that only blob segments hold: where in the store's files it stands. */
function filesWith(path: string, value: Uint8Array): string[] {
  return readdirSync(path).filter((name) => {
    const file = `${path}/${name}`;
    return statSync(file).size > 0 && readFileSync(file).includes(value.subarray(0, 64));
  }).map((name) => name.replace(/^.*\./, ""));
}

/** Reads every value in every way that there is. */
async function check(db: Varve, values: ReadonlyMap<string, Uint8Array>, where: string) {
  for (const [key, value] of values) {
    const what = `${where}: ${value.length} bytes`;
    assertBytes(db.getSync(key), value, `${what}, getSync`);
    assertBytes(await db.get(key), value, `${what}, get`);
    assert(db.hasSync(key) && await db.has(key), what);
  }
  const keys = [...values.keys()];
  const many = await db.getMany(keys);
  const manySync = db.getManySync(keys);
  const rows = [...db.entries()];
  const reversed = [...db.entries({ reverse: true })].reverse();
  const awaited = await Array.fromAsync(db.entries());
  assert.deepEqual(rows.map(([key]) => text(key)), keys.toSorted(), where);
  keys.forEach((key, index) => {
    const value = values.get(key)!;
    assertBytes(many[index], value, `${where}: getMany`);
    assertBytes(manySync[index], value, `${where}: getManySync`);
  });
  keys.toSorted().forEach((key, index) => {
    const value = values.get(key)!;
    assertBytes(rows[index][1], value, `${where}: entries`);
    assertBytes(reversed[index][1], value, `${where}: entries backwards`);
    assertBytes(awaited[index][1], value, `${where}: entries, awaited`);
  });
  assert.deepEqual([...db.keys()].map(text), keys.toSorted(), `${where}: keys`);
  assert.equal(await db.count(), keys.length, where);
}

for (const durability of DURABILITIES) {
  test(`values of any size come back, from memory, from tables and after a reopen: ${durability}`, async () => {
    const path = temporaryDirectory();
    const values = new Map(SIZES.map((size, index) => [keyOf(index), valueOf(index, size)]));
    {
      await using db = await Varve.open(path, { durability });
      const [first, ...rest] = values;
      db.putSync(...first);
      await Promise.all(rest.map(([key, value]) => db.put(key, value)));
      await check(db, values, "memtable");
      await db.flush();
      await check(db, values, "table");
      const { blobs } = db.stats();
      const large = SIZES.filter((size) => size >= 64 * KIB);
      assert.equal(blobs.valuesWritten, large.length);
      assert.equal(blobs.valueBytes, large.reduce((sum, size) => sum + size, 0));
      assert.equal(blobs.aligned, large.filter((size) => size % 4096 === 0).length);
      assert.equal(blobs.segments, blobFiles(path).length);
    }
    await using db = await Varve.open(path, { durability });
    await check(db, values, "reopened");
    db.putSync("later", "v");
    assert.equal(text(db.getSync("later")), "v");
  });
}

test("a value from the threshold on lies in a blob segment, a smaller one does not", async () => {
  const path = temporaryDirectory();
  await using db = await Varve.open(path, { blobThreshold: 2048, durability: "buffered" });
  const [small, large] = [valueOf(1, 2047), valueOf(2, 2048)];
  await db.put("small", small);
  assert.deepEqual(blobFiles(path), []);
  await db.put("large", large);
  assert.equal(blobFiles(path).length, 1);
  await db.put("text", "ü".repeat(1024));
  assert.equal(db.stats().blobs.valuesWritten, 2);
  await db.flush();
  assert.deepEqual(filesWith(path, large), ["blob"]);
  assert(!filesWith(path, small).includes("blob"));
  assertBytes(db.getSync("large"), large, "large");
  assert.equal(text(db.getSync("text")), "ü".repeat(1024));
});

test("with an infinite threshold there are no blob segments", async () => {
  const path = temporaryDirectory();
  await using db = await Varve.open(path, { blobThreshold: Infinity, durability: "buffered" });
  const value = valueOf(3, 3 * MIB);
  await db.put("k", value);
  await db.flush();
  assert.deepEqual(blobFiles(path), []);
  assertBytes(await db.get("k"), value, "inline");
});

test("each family has its own threshold", async () => {
  const path = temporaryDirectory();
  await using db = await Varve.open(path, { durability: "buffered" });
  const low = await db.columnFamily("low", { blobThreshold: 1024 });
  const never = await db.columnFamily("never", { blobThreshold: Infinity });
  const value = valueOf(4, 70 * KIB);
  await db.batch().put("k", value).put(low, "k", value).put(never, "k", value).put(low, "s", "v")
    .write();
  assert.equal(db.stats().blobs.valuesWritten, 2);
  for (const family of [db, low, never]) assertBytes(family.getSync("k"), value, family.name);
  assert.equal(text(low.getSync("s")), "v");
});

test("the caller may reuse a value's memory at once", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const shared = valueOf(5, 200_000);
  const expected = shared.slice();
  const writing = db.put("put", shared);
  const batch = db.batch().put("batch", shared).put("small", "v");
  shared.fill(0xee);
  await writing;
  await batch.write();
  assertBytes(db.getSync("put"), expected, "put");
  assertBytes(db.getSync("batch"), expected, "batch");
  const read = db.getSync("put")!;
  read.fill(0);
  assertBytes(await db.get("put"), expected, "what a reader got is its own");
});

test("large and small writes commit in call order, and a batch is there whole", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const order: string[] = [];
  const note = (name: string) => () => order.push(name);
  const large = valueOf(6, MIB);
  const writes = [
    db.put("k", large).then(note("large")),
    db.put("k", "small").then(note("small")),
    db.batch([
      { type: "put", key: "k", value: valueOf(7, 300_000) },
      { type: "put", key: "k2", value: valueOf(8, 70_000) },
      { type: "delete", key: "k" },
    ]).then(note("batch")),
  ];
  db.putSync("last", valueOf(9, 100_000));
  assert.equal(db.getSync("k"), undefined, "the batch's delete is its last word");
  assertBytes(db.getSync("k2"), valueOf(8, 70_000), "k2");
  await Promise.all(writes);
  assert.deepEqual(order, ["large", "small", "batch"]);
});

test("many writers at once, and more bytes than native memory takes", async () => {
  await using db = await Varve.open(temporaryDirectory(), { durability: "buffered" });
  const sizes = Array.from({ length: 300 }, (_, index) => 64 * KIB + (index * 7919) % 200_000);
  await Promise.all(sizes.map((size, index) => db.put(keyOf(index), valueOf(index, size))));
  for (const [index, size] of sizes.entries()) {
    assertBytes(await db.get(keyOf(index)), valueOf(index, size), `value ${index}`);
  }
  const big = Array.from({ length: 36 }, (_, index) => valueOf(index, 8 * MIB));
  await Promise.all(big.map((value, index) => db.put(`big ${index}`, value)));
  for (const [index, value] of big.entries()) {
    assertBytes(db.getSync(`big ${index}`), value, `big ${index}`);
  }
});

test("a snapshot keeps the value that it saw, an iterator the ones that it began with", async () => {
  await using db = await Varve.open(temporaryDirectory(), { durability: "buffered" });
  const [before, after] = [valueOf(10, 90_000), valueOf(11, 80_000)];
  await db.put("a", before);
  await db.put("b", before);
  using snapshot = db.snapshot();
  const rows = db.entries()[Symbol.iterator]();
  assertBytes(rows.next().value![1], before, "first row");
  await db.put("a", after);
  await db.put("b", after);
  await db.flush();
  assertBytes(db.getSync("a", { snapshot }), before, "snapshot");
  assertBytes(await db.get("b", { snapshot }), before, "snapshot, awaited");
  assertBytes(db.getSync("a"), after, "present");
  assertBytes(rows.next().value![1], before, "second row");
  await db.deleteRange({ gte: "a" });
  assert.equal(db.getSync("a"), undefined);
  assertBytes(db.getSync("a", { snapshot }), before, "snapshot, behind a range tombstone");
});

test("a large value expires", async () => {
  const path = temporaryDirectory();
  const value = valueOf(12, 70_000);
  {
    await using db = await Varve.open(path);
    await db.put("short", value, { ttl: 60_000 });
    db.putSync("long", value, { ttl: 1e12 });
    await db.put("gone", value);
    await db.put("gone", value, { ttl: 1e-3 });
    while (db.hasSync("gone")) await new Promise((resolve) => setImmediate(resolve));
    for (const where of ["memtable", "table"]) {
      assertBytes(db.getSync("short"), value, where);
      assertBytes(await db.get("long"), value, where);
      assert.equal(await db.get("gone"), undefined, where);
      assert.deepEqual([...db.keys()].map(text), ["long", "short"], where);
      if (where === "memtable") await db.flush();
    }
  }
  await using db = await Varve.open(path);
  assertBytes(db.getSync("long"), value, "reopened");
  assert.equal(db.getSync("gone"), undefined);
});

test("operands apply to a large value, by the library and by a user's operator", async () => {
  await using db = await Varve.open(temporaryDirectory(), { durability: "buffered" });
  const appended = await db.columnFamily("append", { mergeOperator: "append" });
  const counted = await db.columnFamily("lengths", {
    valueEncoding: "utf8",
    mergeOperator: {
      name: "lengths",
      merge: (_key, existing: string | undefined, operands: string[]) =>
        `${existing?.length ?? 0} and ${operands.length}`,
    },
  });
  const value = valueOf(13, 70_000);
  const expected = new Uint8Array([...value, 1, 2]);
  await appended.put("k", value);
  await counted.put("k", "x".repeat(70_000));
  for (const [operand, length] of [[1, 70_001], [2, 70_002]] as const) {
    await appended.merge("k", new Uint8Array([operand]));
    await counted.merge("k", "more");
    assertBytes(appended.getSync("k"), expected.subarray(0, length), "memtable");
  }
  for (const where of ["memtable", "table"]) {
    assertBytes(await appended.get("k"), expected, where);
    for (const reverse of [false, true]) {
      assertBytes([...appended.values({ reverse })][0], expected, `${where}, reverse: ${reverse}`);
      assert.deepEqual([...counted.values({ reverse })], ["70000 and 2"], where);
    }
    assert.equal(await counted.get("k"), "70000 and 2", where);
    await db.flush();
  }
});

test("json and text of any length are values like others", async () => {
  await using db = await Varve.open(temporaryDirectory(), { valueEncoding: "json" });
  const rows = Array.from({ length: 5_000 }, (_, index) => ({ index, name: `name ${index} ü` }));
  await db.put("rows", rows);
  assert.equal(db.stats().blobs.valuesWritten, 1);
  assert.deepEqual(await db.get("rows"), rows);
  const names = await db.columnFamily("names", { valueEncoding: "utf8" });
  const long = "grüße ".repeat(30_000);
  names.putSync("k", long);
  assert.equal(names.getSync("k"), long);
  await assert.rejects(names.put("k", `${long}\ud800`), coded("ERR_INVALID_ARGUMENT"));
  assert.throws(() => db.batch().put(names, "k", `${long}\ud800`), coded("ERR_INVALID_ARGUMENT"));
  assert.equal(await names.get("k"), long);
});

test("a damaged value is ERR_CORRUPTION with file and offset, and costs no other", async () => {
  const path = temporaryDirectory();
  {
    await using db = await Varve.open(path);
    await db.put("a", valueOf(14, 100_000));
    await db.put("b", valueOf(15, 100_000));
    await db.flush();
  }
  const [name] = blobFiles(path);
  const file = `${path}/${name}`;
  const content = readFileSync(file);
  content[4096 + 50_000] ^= 1;
  writeFileSync(file, content);
  await using db = await Varve.open(path);
  const damage = (error: unknown) => {
    assert(error instanceof VarveError, String(error));
    assert.equal(error.code, "ERR_CORRUPTION");
    assert.equal(error.path?.split("/").at(-1), name);
    assert.equal(error.offset, 4096);
    return true;
  };
  assert.throws(() => db.getSync("a"), damage);
  await assert.rejects(db.get("a"), damage);
  await assert.rejects(db.getMany(["b", "a"]), damage);
  assert.throws(() => [...db.entries()], damage);
  await assert.rejects(Array.fromAsync(db.entries()), damage);
  assert(db.hasSync("a"), "whether there is one is another question");
  assertBytes(db.getSync("b"), valueOf(15, 100_000), "b");
  assert.equal([...db.keys()].length, 2);
});

test("a lost segment is ERR_CORRUPTION for its values alone", async () => {
  const path = temporaryDirectory();
  {
    await using db = await Varve.open(path);
    await db.put("large", valueOf(16, 100_000));
    await db.put("small", "v");
    await db.flush();
  }
  const [name] = blobFiles(path);
  const content = readFileSync(`${path}/${name}`);
  writeFileSync(`${path}/${name}`, content.subarray(0, 4096 + 4096));
  await using db = await Varve.open(path);
  assert.throws(() => db.getSync("large"), coded("ERR_CORRUPTION"));
  await assert.rejects(db.get("large"), coded("ERR_CORRUPTION"));
  assert.equal(text(db.getSync("small")), "v");
});
