/** `db.checkpoint(dir)`: a copy that opens as a store of its own. */
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Varve } from "../../mod.ts";
import { SimulatedDisk } from "../../testing.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { assertBytes, valueOf } from "./large_support.ts";
import { coded, keyOf, soon, text } from "./support.ts";

function rows(db: Varve): Record<string, string | undefined> {
  return Object.fromEntries([...db.entries()].map(([key, value]) => [text(key)!, text(value)]));
}

test("a checkpoint has what was committed before it, of every durability and family, and outlives the original", async () => {
  const root = temporaryDirectory();
  const [path, copy] = [join(root, "store"), join(root, "deep", "copy")];
  {
    await using db = await Varve.open(path);
    const users = await db.columnFamily("users");
    await db.put("in a table", "1");
    await users.put("in a table too", "2");
    await db.flush();
    await db.put("synced", "3");
    void db.put("buffered", "4", { durability: "buffered" });
    void users.put("volatile", "5", { durability: "volatile" });
    await db.checkpoint(copy);
    await db.put("later", "6");
    await db.delete("synced");
    assert.equal(text(await db.get("later")), "6");
  }
  await using db = await Varve.open(copy, { createIfMissing: false });
  assert.deepEqual(rows(db), { "buffered": "4", "in a table": "1", "synced": "3" });
  const users = await db.columnFamily("users");
  assert.deepEqual([...users.keys()].map(text), ["in a table too", "volatile"]);
  await db.verify();
  // Both go their own ways.
  await db.put("copy", "7");
  await db.flush();
  {
    await using original = await Varve.open(path);
    assert.deepEqual(Object.keys(rows(original)), ["buffered", "in a table", "later"]);
    await original.put("original", "8");
    await original.flush();
    await original.verify();
  }
  await Varve.destroy(path);
  assert.ok(!existsSync(path));
  await db.verify();
  assert.equal(text(await db.get("in a table")), "1");
  assert.equal(text(await db.get("copy")), "7");
});

test("tables are shared, whatever is written to again is not", async () => {
  const root = temporaryDirectory();
  const [path, copy] = [join(root, "store"), join(root, "copy")];
  await using db = await Varve.open(path);
  await db.put("a", "1");
  await db.flush();
  await db.put("b", "2");
  await db.checkpoint(pathToFileURL(copy));
  for (const name of readdirSync(copy)) {
    const { ino, nlink } = statSync(join(copy, name));
    const shared = existsSync(join(path, name)) && statSync(join(path, name)).ino === ino;
    assert.equal(shared, name.endsWith(".table"), name);
    assert.equal(nlink, shared ? 2 : 1, name);
  }
  assert.deepEqual(readdirSync(root).sort(), ["copy", "store"]);
});

test("a shared table is not changed by whatever becomes of the store", async () => {
  const root = temporaryDirectory();
  const copy = join(root, "copy");
  const db = await Varve.open(join(root, "store"));
  const family = await db.columnFamily("f");
  for (let index = 0; index < 1_000; index++) void family.put(keyOf(index), "v".repeat(100));
  await db.flush();
  await db.checkpoint(copy);
  const tables = () =>
    readdirSync(copy).filter((name) => name.endsWith(".table"))
      .map((name) => [name, readFileSync(join(copy, name)).toString("base64")]);
  const before = tables();
  assert.equal(before.length, 1);
  await db.dropColumnFamily("f");
  for (let round = 0; round < 3; round++) {
    for (let index = 0; index < 1_000; index++) void db.put(keyOf(index), `${round}`);
    await db.flush();
  }
  await db.close();
  assert.deepEqual(tables(), before);
  await using again = await Varve.open(copy);
  assert.equal(await (await again.columnFamily("f")).count(), 1_000);
});

test("large values are shared in their segments, which nobody writes to any more", async () => {
  const root = temporaryDirectory();
  const [path, copy] = [join(root, "store"), join(root, "copy")];
  const options = { walSegmentSize: 256 * 1024, writeBufferSize: 256 * 1024 };
  const values = Array.from({ length: 30 }, (_, index) => valueOf(index, 70_000 + index));
  const check = async (store: Varve, where: string) => {
    for (const [index, value] of values.entries()) {
      assertBytes(await store.get(keyOf(index)), value, `${where}: ${index}`);
    }
    await store.verify();
  };
  const db = await Varve.open(path, options);
  for (const [index, value] of values.slice(0, 20).entries()) await db.put(keyOf(index), value);
  await db.flush();
  for (const [index, value] of values.entries()) {
    if (index >= 20) void db.put(keyOf(index), value, { durability: "buffered" });
  }
  const late = db.put(keyOf(29), values[29], { durability: "volatile" });
  await late;
  const during = Array.from({ length: 10 }, (_, index) => db.put(`later ${index}`, values[index]));
  const made = db.checkpoint(copy);
  for (let index = 0; index < 10; index++) db.putSync(`sync ${index}`, values[index]);
  await Promise.all([made, ...during]);
  const shared = () =>
    readdirSync(copy).filter((name) => name.endsWith(".blob"))
      .map((name) => [name, readFileSync(join(copy, name)).toString("base64")]);
  const before = shared();
  assert.ok(before.length > 2);
  for (const [name] of before) assert.equal(statSync(join(copy, name)).nlink, 2, name);
  await check(db, "the original");
  for (let round = 0; round < 3; round++) {
    for (let index = 0; index < 30; index += 2) await db.put(keyOf(index), values[29 - index]);
    await db.compact();
  }
  await db.close();
  assert.deepEqual(shared(), before);
  {
    await using first = await Varve.open(copy, options);
    await check(first, "the copy");
    await first.put("its own", values[0]);
    for (let round = 0; round < 3; round++) {
      for (let index = 0; index < 30; index += 3) {
        await first.put(`${round} ${index}`, values[index]);
      }
      await first.compact();
    }
    await check(first, "the copy, in use");
  }
  await using again = await Varve.open(path, options);
  for (let index = 0; index < 30; index++) {
    const value = index % 2 === 0 ? values[29 - index] : values[index];
    assertBytes(await again.get(keyOf(index)), value, `the original: ${index}`);
  }
});

test("verify reads large values, of memory and of tables", async () => {
  for (const isFlushed of [false, true]) {
    const root = temporaryDirectory();
    const db = await Varve.open(root);
    await db.put("a", valueOf(1, 100_000));
    await db.put("b", valueOf(2, 100_000));
    if (isFlushed) await db.flush();
    await db.verify();
    const [name] = readdirSync(root).filter((name) => name.endsWith(".blob"));
    const content = readFileSync(join(root, name));
    for (const [at, offset] of [[4096 + 200, 4096], [4096 + 102_400 + 7, 4096 + 102_400], [9, 0]]) {
      content[at] ^= 1;
      writeFileSync(join(root, name), content);
      await assert.rejects(db.verify(), {
        code: "ERR_CORRUPTION",
        path: join(root, name),
        offset,
      });
      content[at] ^= 1;
    }
    writeFileSync(join(root, name), content);
    await db.verify();
    await db.close();
  }
});

test("an empty directory is a fine target; a full one, a file and a link are ERR_EXISTS and stay", async () => {
  const root = temporaryDirectory();
  await using db = await Varve.open(join(root, "store"));
  await db.put("a", "1");
  mkdirSync(join(root, "empty"));
  await db.checkpoint(join(root, "empty"));
  mkdirSync(join(root, "full"));
  writeFileSync(join(root, "full", "notes.txt"), "mine");
  writeFileSync(join(root, "file"), "mine");
  symlinkSync(join(root, "nowhere"), join(root, "link"));
  for (const name of ["empty", "full", "file", "link", "store"]) {
    await assert.rejects(db.checkpoint(join(root, name)), coded("ERR_EXISTS"), name);
  }
  assert.equal(readFileSync(join(root, "full", "notes.txt"), "utf8"), "mine");
  assert.equal(readFileSync(join(root, "file"), "utf8"), "mine");
  assert.deepEqual(readdirSync(root).sort(), ["empty", "file", "full", "link", "store"]);
  await using copy = await Varve.open(join(root, "empty"));
  assert.deepEqual(rows(copy), { a: "1" });
});

test("a target without a name, a closed store and a read-only one are refused", async () => {
  const root = temporaryDirectory();
  const db = await Varve.open(join(root, "store"));
  for (const path of ["", "/", ".", `${root}/..`, `${root}/.`, "a\0b", 7]) {
    const refused = db.checkpoint(path as string);
    await assert.rejects(refused, coded("ERR_INVALID_ARGUMENT"), String(path));
  }
  await db.close();
  await assert.rejects(db.checkpoint(join(root, "copy")), coded("ERR_CLOSED"));
  await using reader = await Varve.open(join(root, "store"), { readOnly: true });
  await assert.rejects(reader.checkpoint(join(root, "copy")), coded("ERR_READ_ONLY"));
  assert.ok(!existsSync(join(root, "copy")));
});

test("a checkpoint in the store's own directory, of an empty store, of one just recovered, of a copy", async () => {
  const path = temporaryDirectory();
  {
    await using db = await Varve.open(path);
    await db.checkpoint(`${path}/first/`);
    await db.put("a", "1");
  }
  {
    await using db = await Varve.open(path);
    await db.checkpoint(`${path}/second`);
    await db.flush();
    await db.checkpoint(`${path}/third`);
  }
  {
    await using db = await Varve.open(`${path}/third`);
    await db.checkpoint(`${path}/fourth`);
  }
  const found: Record<string, unknown> = {};
  for (const name of ["first", "second", "third", "fourth"]) {
    await using db = await Varve.open(`${path}/${name}`, { createIfMissing: false });
    await db.verify();
    found[name] = rows(db);
  }
  assert.deepEqual(found, { first: {}, second: { a: "1" }, third: { a: "1" }, fourth: { a: "1" } });
});

test("checkpoints under load: each is a prefix of the writes, batches whole, over families and segments", async () => {
  const root = temporaryDirectory();
  await using db = await Varve.open(join(root, "store"), {
    writeBufferSize: 64 * 1024,
    walSegmentSize: 64 * 1024,
    durability: "buffered",
  });
  const left = await db.columnFamily("left");
  let written = 0;
  let stopped = false;
  const writing = (async () => {
    for (; !stopped; written++) {
      const value = String(written).padEnd(500, "x");
      await db.batch().put(keyOf(written), value).put(left, keyOf(written), value).write();
    }
  })();
  const copies: { path: string; atLeast: number }[] = [];
  for (let index = 0; index < 5; index++) {
    const before = written;
    while (written < before + 300) await new Promise((resolve) => setImmediate(resolve));
    const path = join(root, `copy-${index}`);
    copies.push({ path, atLeast: written });
    await soon(db.checkpoint(path), "a checkpoint");
  }
  stopped = true;
  await writing;
  for (const { path, atLeast } of copies) {
    await using copy = await Varve.open(path, { createIfMissing: false });
    await copy.verify();
    const keys = [...copy.keys()].map(text);
    assert.deepEqual([...(await copy.columnFamily("left")).keys()].map(text), keys);
    assert.ok(keys.length >= atLeast && keys.length <= written, `${keys.length} of ${written}`);
    assert.equal(keys.at(-1), keyOf(keys.length - 1));
  }
  await db.verify();
});

test("two checkpoints with one target: one is made, the other finds it there", async () => {
  const root = temporaryDirectory();
  await using db = await Varve.open(join(root, "store"));
  await db.put("a", "1");
  const copy = join(root, "copy");
  const outcomes = await Promise.allSettled([db.checkpoint(copy), db.checkpoint(copy)]);
  assert.deepEqual(outcomes.map(({ status }) => status), ["fulfilled", "rejected"]);
  assert.equal((outcomes[1] as PromiseRejectedResult).reason.code, "ERR_EXISTS");
});

test("close does not wait for a checkpoint to come to its end", async () => {
  const root = temporaryDirectory();
  const db = await Varve.open(join(root, "store"));
  for (let index = 0; index < 50; index++) {
    await db.put(keyOf(index), "v");
    await db.flush();
  }
  const checkpoint = db.checkpoint(join(root, "copy")).then(() => "made", (error) => error.code);
  await soon(db.close(), "close");
  assert.ok(["made", "ERR_CLOSED"].includes(await checkpoint));
  await using again = await Varve.open(join(root, "store"));
  assert.equal(await again.count(), 50);
});

test("where there are no links, tables are copied", async () => {
  for (const errno of ["EXDEV", "EPERM", "EOPNOTSUPP"]) {
    using disk = new SimulatedDisk({ seed: 1 });
    const db = await Varve.open("/store", { disk });
    await db.put("a", "1");
    await db.flush();
    await db.put("b", "2");
    await db.flush();
    disk.failNext("link", errno, { count: 2 });
    await db.checkpoint("/copies/copy");
    await db.close();
    disk.crash();
    await using copy = await Varve.open("/copies/copy", { disk, createIfMissing: false });
    await copy.verify();
    assert.deepEqual(rows(copy), { a: "1", b: "2" });
  }
});
