/** Column families: made, found again, dropped, made anew; and what their names may be. */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Varve } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { coded, openDescriptors, outcomeOf, soon, text } from "./support.ts";

test("families are maps of their own, listed with default first", async () => {
  const path = temporaryDirectory();
  {
    await using db = await Varve.open(path);
    assert.deepEqual(db.columnFamilies(), ["default"]);
    const b = await db.columnFamily("b");
    const a = db.columnFamilySync("a");
    await Promise.all([db.put("k", "default"), a.put("k", "a"), b.put("k", "b")]);
    assert.deepEqual(db.columnFamilies(), ["default", "a", "b"]);
    assert.deepEqual([db, a, b].map((family) => text(family.getSync("k"))), ["default", "a", "b"]);
    assert.deepEqual([db, a, b].map(({ name }) => name), ["default", "a", "b"]);
    await db.flush();
    a.deleteSync("k");
    assert.deepEqual([db, a, b].map((family) => text(family.getSync("k"))), [
      "default",
      undefined,
      "b",
    ]);
  }
  await using db = await Varve.open(path);
  assert.deepEqual(db.columnFamilies(), ["default", "a", "b"]);
  assert.equal(text(db.columnFamilySync("b").getSync("k")), "b");
});

test('a name leads to one family, from every handle; "default" is the store itself', async () => {
  const path = temporaryDirectory();
  await using db = await Varve.open(path);
  await using other = await Varve.open(path);
  const handles = await soon(
    Promise.all([db, other, db].map((one) => one.columnFamily("users"))),
    "making a family thrice at once",
  );
  await handles[0].put("k", "v");
  for (const handle of handles) assert.equal(text(handle.getSync("k")), "v");
  const itself = await db.columnFamily("default");
  await itself.put("d", "1");
  assert.equal(text(other.getSync("d")), "1");
  assert.deepEqual(db.columnFamilies(), ["default", "users"]);
});

test("any string of 1 to 255 bytes of UTF-8 is a name, and never becomes part of a path", async () => {
  const parent = temporaryDirectory();
  const path = join(parent, "store");
  const names = [
    "../x",
    "../../../../../../tmp/varve-escape",
    "/etc/passwd",
    "a/b",
    ".",
    "..",
    "a\0b",
    "\n",
    " ",
    "CURRENT",
    "LOCK",
    "000001.log",
    "é".repeat(127),
    "x".repeat(255),
    "\u{1f600}",
    "__proto__",
    "constructor",
    "toString",
  ];
  {
    await using db = await Varve.open(path);
    for (const name of names) await (await db.columnFamily(name)).put("name", name);
    await db.flush();
    assert.deepEqual(
      new Set(Object.keys(db.stats().columnFamilies)),
      new Set(["default", ...names]),
    );
  }
  await using db = await Varve.open(path);
  assert.deepEqual(new Set(db.columnFamilies()), new Set(["default", ...names]));
  for (const name of names) {
    assert.equal(text((await db.columnFamily(name)).getSync("name")), name);
  }
  assert.deepEqual(readdirSync(parent), ["store"]);
  assert.equal(existsSync("/tmp/varve-escape"), false);
  for (const name of readdirSync(path)) {
    assert.match(name, /^(\d+\.\w+|MANIFEST-\d+|CURRENT|LOCK|FAMILIES)$/);
  }
});

test("other names are ERR_INVALID_ARGUMENT", async () => {
  await using db = await Varve.open(temporaryDirectory());
  for (const name of ["", "x".repeat(256), "é".repeat(128), "\ud800", 7, null, undefined, {}]) {
    await assert.rejects(db.columnFamily(name as never), coded("ERR_INVALID_ARGUMENT"));
    assert.throws(() => db.columnFamilySync(name as never), coded("ERR_INVALID_ARGUMENT"));
    await assert.rejects(db.dropColumnFamily(name as never), coded("ERR_INVALID_ARGUMENT"));
  }
  await assert.rejects(
    db.columnFamily("f", { writeBufferSize: 1 }),
    coded("ERR_INVALID_ARGUMENT"),
  );
  assert.deepEqual(db.columnFamilies(), ["default"]);
});

test("dropping default is ERR_INVALID_ARGUMENT, dropping what is not there ERR_NOT_FOUND", async () => {
  await using db = await Varve.open(temporaryDirectory());
  await assert.rejects(db.dropColumnFamily("default"), coded("ERR_INVALID_ARGUMENT"));
  assert.throws(() => db.dropColumnFamilySync("default"), coded("ERR_INVALID_ARGUMENT"));
  await assert.rejects(db.dropColumnFamily("nobody"), coded("ERR_NOT_FOUND"));
  assert.throws(() => db.dropColumnFamilySync("nobody"), coded("ERR_NOT_FOUND"));
});

test("every use of a dropped family's handle is ERR_COLUMN_FAMILY_DROPPED", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const users = await db.columnFamily("users");
  const twin = await db.columnFamily("users");
  await users.put("k", "v");
  const rows = users.entries();
  const iterator = rows[Symbol.iterator]();
  const asyncIterator = rows[Symbol.asyncIterator]();
  using snapshot = db.snapshot();
  await db.dropColumnFamily("users");
  assert.deepEqual(db.columnFamilies(), ["default"]);
  const dropped = coded("ERR_COLUMN_FAMILY_DROPPED");
  for (const family of [users, twin]) {
    await assert.rejects(family.get("k"), dropped);
    await assert.rejects(family.get("k", { snapshot }), dropped);
    await assert.rejects(family.getMany(["k"]), dropped);
    await assert.rejects(family.has("k"), dropped);
    await assert.rejects(family.put("k", "v"), dropped);
    await assert.rejects(family.delete("k"), dropped);
    await assert.rejects(family.count(), dropped);
    assert.throws(() => family.getSync("k"), dropped);
    assert.throws(() => family.putSync("k", "v"), dropped);
    assert.throws(() => family.deleteSync("k"), dropped);
    assert.throws(() => family.countSync(), dropped);
    assert.throws(() => [...family.entries()], dropped);
  }
  assert.throws(() => [...rows], dropped);
  assert.throws(() => iterator.next(), dropped);
  await assert.rejects(asyncIterator.next(), dropped);
  await db.put("k", "v");
});

test("a family made again under its name shows nothing old: not from memory, tables, log, nor a snapshot", async () => {
  const path = temporaryDirectory();
  for (const how of ["memory", "tables", "both", "reopen"] as const) {
    await using db = await Varve.open(path);
    const old = await db.columnFamily("f");
    for (let index = 0; index < 100; index++) old.put(`k${index}`, "old");
    await db.sync();
    if (how !== "memory") await db.flush();
    if (how === "both") await old.put("k0", "newer");
    using snapshot = db.snapshot();
    await db.dropColumnFamily("f");
    if (how === "reopen") continue;
    const fresh = await db.columnFamily("f");
    assert.equal(await fresh.count(), 0);
    assert.equal(fresh.getSync("k0"), undefined);
    assert.equal(fresh.getSync("k0", { snapshot }), undefined);
    await fresh.put("k0", "fresh");
    assert.throws(() => old.getSync("k0"), coded("ERR_COLUMN_FAMILY_DROPPED"));
    assert.deepEqual([...fresh.entries()].map((row) => row.map(text)), [["k0", "fresh"]]);
    await db.dropColumnFamily("f");
  }
  await using db = await Varve.open(path);
  assert.deepEqual(db.columnFamilies(), ["default"]);
  assert.equal(await (await db.columnFamily("f")).count(), 0);
  await db.verify();
});

test("drop and make again in one turn, in call order", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const old = await db.columnFamily("f");
  await old.put("k", "old");
  const [, fresh] = await soon(
    Promise.all([db.dropColumnFamily("f"), db.columnFamily("f")]),
    "both",
  );
  assert.equal(await fresh.count(), 0);
  await fresh.put("k", "new");
  assert.equal(text(fresh.getSync("k")), "new");
  assert.deepEqual(db.columnFamilies(), ["default", "f"]);
});

test("a drop meets reads, iterators, writes and a flush in flight: each ends with a result or a code", async () => {
  const path = temporaryDirectory();
  {
    await using db = await Varve.open(path, { durability: "buffered" });
    const family = await db.columnFamily("f");
    for (let index = 0; index < 20_000; index++) family.put(`k${index}`, "v".repeat(100));
    await db.flush();
  }
  await using db = await Varve.open(path);
  const family = await db.columnFamily("f");
  const walk = async () => {
    for await (const _ of family.entries());
  };
  const pending = [
    ...Array.from({ length: 10 }, walk),
    ...Array.from({ length: 50 }, (_, index) => family.get(`k${index * 100}`)),
    ...Array.from({ length: 50 }, (_, index) => family.put(`z${index}`, "v")),
    family.count(),
    db.flush(),
    db.verify(),
  ].map(outcomeOf);
  await soon(db.dropColumnFamily("f"), "the drop");
  for (const outcome of await soon(Promise.all(pending), "what was in flight")) {
    assert.match(outcome, /^(ok|ERR_COLUMN_FAMILY_DROPPED)$/);
  }
  await db.put("k", "v");
  await db.verify();
});

test("a dropped family's tables are removed, under a snapshot too", async () => {
  const path = temporaryDirectory();
  await using db = await Varve.open(path);
  const family = await db.columnFamily("f");
  await family.put("k", "v".repeat(10_000));
  await db.flush();
  const tables = () => readdirSync(path).filter((name) => name.endsWith(".table")).length;
  assert.equal(tables(), 1);
  using _snapshot = db.snapshot();
  await db.dropColumnFamily("f");
  assert.equal(tables(), 0);
});

test("300 families made and dropped, with tables, leave files and descriptors flat", async () => {
  const path = temporaryDirectory();
  await using db = await Varve.open(path, { durability: "volatile" });
  const before = openDescriptors();
  for (let index = 0; index < 300; index++) {
    const family = await db.columnFamily(`f${index % 7}`);
    assert.equal(await family.count(), 0);
    await family.put("k", "v");
    if (index % 10 === 0) await db.flush();
    if (index % 2 === 0) await db.dropColumnFamily(family.name);
    else db.dropColumnFamilySync(family.name);
  }
  assert.deepEqual(db.columnFamilies(), ["default"]);
  if (before !== undefined) assert.ok(openDescriptors()! <= before + 3, "descriptors");
  assert.ok(readdirSync(path).length < 20, readdirSync(path).join(" "));
});

test("families' own options hold, from open and from columnFamily", async () => {
  const path = temporaryDirectory();
  await using db = await Varve.open(path, {
    columnFamilies: { users: { keyEncoding: "utf8", valueEncoding: "json" } },
  });
  const users = await db.columnFamily("users") as unknown as {
    put(key: string, value: unknown): Promise<void>;
    getSync(key: string): unknown;
  };
  await users.put("1", { name: "Ada" });
  assert.deepEqual(users.getSync("1"), { name: "Ada" });
  const raw = await db.columnFamily("users", { valueEncoding: "utf8" });
  assert.equal(raw.getSync("1" as never), '{"name":"Ada"}');
});
