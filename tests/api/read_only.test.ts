/** `readOnly`: reads everything, the log included, and changes no file. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { cpSync, statSync } from "node:fs";
import { join } from "node:path";
import { type OpenOptions, Varve } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { coded, linesOf, listing, soon, startChild, text } from "./support.ts";

const HOLDER = new URL("./holder_child.ts", import.meta.url);

/** Names, sizes and times of change of the directory and all in it. */
function state(directory: string): unknown {
  const times = (path: string) => {
    const { size, mtimeMs, ctimeMs, mode } = statSync(path);
    return [size, mtimeMs, ctimeMs, mode];
  };
  return [times(directory), listing(directory, times)];
}

/** A store with tables and with entries that only its log holds. */
async function makeStore(options?: OpenOptions): Promise<string> {
  const path = join(temporaryDirectory(), "store");
  await using db = await Varve.open(path, options);
  const users = await db.columnFamily("users");
  for (let index = 0; index < 1_000; index++) db.put(`k${index}`, `v${index}`);
  await users.put("1", "Ada");
  await db.flush();
  await db.put("logged", "1");
  await users.put("logged", "2", { durability: "buffered" });
  return path;
}

async function readEverything(path: string): Promise<void> {
  await using db = await Varve.open(path, { readOnly: true });
  assert.deepEqual(db.columnFamilies(), ["default", "users"]);
  const users = await db.columnFamily("users");
  assert.equal(text(await db.get("k500")), "v500");
  assert.equal(text(db.getSync("logged")), "1");
  assert.equal(text(users.getSync("logged")), "2");
  assert.equal(await db.count(), 1_001);
  assert.equal([...db.entries()].length, 1_001);
  using snapshot = db.snapshot();
  assert.equal(text(await db.get("k1", { snapshot })), "v1");
  await db.verify();
  await db.sync();
  JSON.stringify(db.stats());
}

test("a read-only store reads tables and log, and changes no file", async () => {
  for (const options of [{}, { directIo: false, durability: "buffered" }] as const) {
    const path = await makeStore(options);
    const before = state(path);
    await readEverything(path);
    Varve.openSync(path, { readOnly: true }).closeSync();
    assert.deepEqual(state(path), before);
  }
});

test("a store that was not closed is read, too, and left as the crash left it", async () => {
  const path = join(temporaryDirectory(), "copy");
  {
    await using db = await Varve.open(join(path, "..", "running"));
    await db.columnFamily("users").then((users) => users.put("logged", "2"));
    await db.batch(Array.from({ length: 1_000 }, (_, index) => (
      { type: "put", key: `k${index}`, value: `v${index}` }
    )));
    await db.put("logged", "1");
    // What a kill would leave: the files as they are now.
    cpSync(db.stats().path, path, { recursive: true });
  }
  const before = state(path);
  await readEverything(path);
  await readEverything(path);
  assert.deepEqual(state(path), before);
  await using db = await Varve.open(path);
  assert.equal(await db.count(), 1_001);
});

test("every write to a read-only store is ERR_READ_ONLY", async () => {
  const path = await makeStore();
  await using db = await Varve.open(path, { readOnly: true });
  const users = await db.columnFamily("users");
  const before = state(path);
  const asynchronous: [string, () => Promise<unknown>][] = [
    ["put", () => db.put("k", "v")],
    ["volatile put", () => db.put("k", "v", { durability: "volatile" })],
    ["delete", () => users.delete("k")],
    ["batch", () => db.batch([{ type: "put", key: "k", value: "v" }])],
    ["write", () => db.batch().put("k", "v").write()],
    ["drop", () => db.dropColumnFamily("users")],
    ["flush", () => db.flush()],
  ];
  for (const [name, call] of asynchronous) {
    await assert.rejects(call(), coded("ERR_READ_ONLY"), name);
  }
  const synchronous: [string, () => unknown][] = [
    ["putSync", () => db.putSync("k", "v")],
    ["deleteSync", () => users.deleteSync("k")],
    ["batchSync", () => db.batchSync([{ type: "delete", key: "k" }])],
    ["writeSync", () => db.batch().put("k", "v").writeSync()],
    ["dropColumnFamilySync", () => db.dropColumnFamilySync("users")],
    ["flushSync", () => db.flushSync()],
  ];
  for (const [name, call] of synchronous) assert.throws(call, coded("ERR_READ_ONLY"), name);
  assert.deepEqual(state(path), before);
  assert.equal(db.hasSync("k"), false);
});

test("a family that is not there cannot be made by a read-only store", async () => {
  await using db = await Varve.open(await makeStore(), { readOnly: true });
  await assert.rejects(db.columnFamily("new"), (error: { code: string }) => {
    assert.match(error.code, /^ERR_(READ_ONLY|NOT_FOUND)$/);
    return true;
  });
  assert.deepEqual(db.columnFamilies(), ["default", "users"]);
});

test("a writing handle on a store that runs read-only is ERR_READ_ONLY, a reading one on a writing store attaches", async () => {
  const path = await makeStore();
  {
    await using reader = await Varve.open(path, { readOnly: true });
    await assert.rejects(Varve.open(path), coded("ERR_READ_ONLY"));
    assert.throws(() => Varve.openSync(path), coded("ERR_READ_ONLY"));
    await using second = await Varve.open(path, { readOnly: true });
    assert.equal(await second.count(), await reader.count());
  }
  await using writer = await Varve.open(path);
  await using reader = await Varve.open(path, { readOnly: true });
  await writer.put("k", "new");
  assert.equal(text(reader.getSync("k")), "new");
});

test("a reader in another process keeps a writer out, and lets another reader in", async () => {
  const path = await makeStore();
  const child = startChild(HOLDER, path, "readOnly");
  const ended = once(child, "close");
  assert.equal((await soon(linesOf(child).next(), "the child's open")).value, "open");
  await assert.rejects(Varve.open(path), coded("ERR_LOCKED"));
  await readEverything(path);
  child.stdin.end();
  await ended;
});
