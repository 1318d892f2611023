/** Opening, attaching and closing: which calls meet in one store, and what is left when the last one goes. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join, relative } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { Varve } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { coded, openDescriptors, outcomeOf, processStatus, soon, tally, text } from "./support.ts";

const OPENS = 1_000;

test("open makes the store and its missing parents", async () => {
  const path = join(temporaryDirectory(), "a", "b", "c");
  await using db = await Varve.open(path);
  await db.put("k", "v");
  assert.equal(text(await db.get("k")), "v");
  assert.ok(existsSync(join(path, "CURRENT")));
});

test("what was put is there after close and open, and after closeSync and openSync", async () => {
  const path = temporaryDirectory();
  const first = await Varve.open(path);
  await first.put("a", "1");
  await first.close();
  const second = Varve.openSync(path);
  assert.equal(text(second.getSync("a")), "1");
  second.putSync("b", "2");
  second.closeSync();
  await using third = await Varve.open(path);
  assert.deepEqual((await third.getMany(["a", "b"])).map(text), ["1", "2"]);
});

test("a second open attaches, whichever way the path is spelled", async () => {
  const parent = temporaryDirectory();
  const path = join(parent, "store");
  const link = join(parent, "link");
  await using db = await Varve.open(path);
  symlinkSync(path, link);
  const spellings: (string | URL)[] = [
    path,
    `${path}/`,
    join(path, "."),
    `${parent}/x/../store`.replace("/x/..", "/./"),
    relative(process.cwd(), path),
    link,
    pathToFileURL(path),
    pathToFileURL(link),
  ];
  for (const [index, spelling] of spellings.entries()) {
    await using other = await Varve.open(spelling);
    using third = Varve.openSync(spelling);
    await other.put("k", String(index));
    assert.equal(text(db.getSync("k")), String(index), `through ${spelling}`);
    assert.equal(text(third.getSync("k")), String(index), `through ${spelling}`);
  }
});

test("an attaching open has its options checked, and the running ones stay", async () => {
  const path = temporaryDirectory();
  await using db = await Varve.open(path, { writeBufferSize: 1 << 20 });
  await assert.rejects(
    Varve.open(path, { writeBufferSize: 1 } as never),
    coded("ERR_INVALID_ARGUMENT"),
  );
  assert.throws(
    () => Varve.openSync(path, { durability: "always" } as never),
    coded("ERR_INVALID_ARGUMENT"),
  );
  await assert.rejects(Varve.open(path, { errorIfExists: true }), coded("ERR_EXISTS"));
  await using other = await Varve.open(path, { writeBufferSize: 1 << 22, durability: "buffered" });
  await other.put("k", "v");
  assert.equal(text(db.getSync("k")), "v");
});

test("a refused attach does not take the running store down", async () => {
  const path = temporaryDirectory();
  await using db = await Varve.open(path);
  for (let round = 0; round < 3; round++) {
    await assert.rejects(Varve.open(path, { errorIfExists: true }), coded("ERR_EXISTS"));
  }
  await db.put("k", "v");
  assert.equal(text(db.getSync("k")), "v");
});

test("durability is each handle's own", async () => {
  const path = temporaryDirectory();
  await using sync = await Varve.open(path);
  await using buffered = await Varve.open(path, { durability: "buffered" });
  await buffered.put("a", "1");
  assert.equal(sync.stats().write.syncGroups, 0);
  await sync.put("b", "2");
  assert.equal(sync.stats().write.syncGroups, 1);
});

test("the last close closes, and an earlier one ends only its own handle", async () => {
  const path = temporaryDirectory();
  const first = await Varve.open(path);
  const second = await Varve.open(path);
  await first.close();
  assert.throws(() => first.getSync("k"), coded("ERR_CLOSED"));
  await second.put("k", "v");
  await second.close();
  assert.throws(() => second.getSync("k"), coded("ERR_CLOSED"));
  await Varve.destroy(path);
  assert.equal(existsSync(path), false);
});

test("closing twice is fine, one after the other and at the same time", async () => {
  const path = temporaryDirectory();
  const db = await Varve.open(path);
  db.put("k", "v");
  await soon(Promise.all([db.close(), db.close(), db[Symbol.asyncDispose]()]), "closing");
  await db.close();
  db.closeSync();
  db[Symbol.dispose]();
  const again = Varve.openSync(path);
  again.closeSync();
  again.closeSync();
  await soon(again.close(), "closing");
});

test("closeSync during close ends when the store is closed", async () => {
  const path = temporaryDirectory();
  const db = await Varve.open(path);
  const written = db.put("k", "v");
  const closing = db.close();
  db.closeSync();
  await soon(Promise.all([written, closing]), "what was pending");
  await Varve.destroy(path);
});

test("closing a handle twice while another one keeps the store open returns at once", async () => {
  const path = temporaryDirectory();
  const first = await Varve.open(path);
  await using second = await Varve.open(path);
  const closing = first.close();
  first.closeSync();
  await soon(closing, "closing");
  await first.close();
  await second.put("k", "v");
});

test("an open during another open, and during a close, gets the store", async () => {
  const path = temporaryDirectory();
  const [a, b, c] = await soon(
    Promise.all([Varve.open(path), Varve.open(path), Varve.open(path)]),
    "opening thrice",
  );
  await a.put("k", "v");
  const closing = Promise.all([a.close(), b.close(), c.close()]);
  const again = await soon(Varve.open(path), "opening during a close");
  await closing;
  assert.equal(text(again.getSync("k")), "v");
  await again.close();
});

test("openSync during an open, and during a close, gets the store", async () => {
  const path = temporaryDirectory();
  const opening = Varve.open(path);
  const blocking = Varve.openSync(path);
  blocking.putSync("k", "v");
  const first = await soon(opening, "the pending open");
  blocking.closeSync();
  const closing = first.close();
  const again = Varve.openSync(path);
  assert.equal(text(again.getSync("k")), "v");
  await soon(closing, "the pending close");
  again.closeSync();
});

test("opens and closes of many callers at once leave one sound store", async () => {
  const path = temporaryDirectory();
  const visit = async (caller: number) => {
    for (let round = 0; round < 10; round++) {
      await using db = await Varve.open(path, { durability: "buffered" });
      await db.put(`${caller}-${round}`, "v");
    }
  };
  await soon(Promise.all(Array.from({ length: 16 }, (_, caller) => visit(caller))), "all visits");
  await using db = await Varve.open(path);
  assert.equal(await db.count(), 160);
  await db.verify();
});

test("close waits for writes that were issued before it, and they are there after a reopen", async () => {
  const path = temporaryDirectory();
  const db = await Varve.open(path);
  const users = await db.columnFamily("users");
  const pending = [
    ...Array.from({ length: 64 }, (_, index) => db.put(`sync-${index}`, "v")),
    ...Array.from(
      { length: 64 },
      (_, index) => users.put(`buffered-${index}`, "v", { durability: "buffered" }),
    ),
    ...Array.from(
      { length: 64 },
      (_, index) => db.put(`volatile-${index}`, "v", { durability: "volatile" }),
    ),
    db.batch().put("b", "1").put(users, "b", "2").write(),
  ];
  const outcomes = Promise.all(pending.map(outcomeOf));
  await soon(db.close(), "close");
  assert.deepEqual(tally(await soon(outcomes, "the writes")), { ok: pending.length });
  await using again = await Varve.open(path);
  assert.equal(await again.count(), 129);
  assert.equal(await (await again.columnFamily("users")).count(), 65);
});

test("closeSync commits the writes that are pending", async () => {
  const path = temporaryDirectory();
  const db = await Varve.open(path);
  const pending = Array.from({ length: 64 }, (_, index) => db.put(`k${index}`, "v"));
  const outcomes = Promise.all(pending.map(outcomeOf));
  db.closeSync();
  assert.deepEqual(tally(await soon(outcomes, "the writes")), { ok: 64 });
  await using again = await Varve.open(path);
  assert.equal(await again.count(), 64);
});

test("close with reads, iterators, counts, flushes and writes in flight: each ends with a result or ERR_CLOSED", async () => {
  const path = temporaryDirectory();
  {
    await using db = await Varve.open(path, { writeBufferSize: 1 << 20, durability: "buffered" });
    for (let index = 0; index < 20_000; index++) db.put(`k${index}`, "v".repeat(100));
    await db.flush();
  }
  for (const blocking of [false, true]) {
    // Opened anew: no block is in this store's memory.
    const db = await Varve.open(path);
    const walk = async () => {
      for await (const _ of db.entries());
    };
    const pending: Promise<unknown>[] = [
      ...Array.from({ length: 20 }, walk),
      ...Array.from({ length: 64 }, (_, index) => db.put(`z${index}`, "v")),
      ...Array.from({ length: 100 }, (_, index) => db.get(`k${index * 100}`)),
      db.getMany(["k1", "k15000"]),
      db.count(),
      db.verify(),
      db.flush(),
      db.sync(),
      db.columnFamily("made"),
    ];
    const outcomes = Promise.all(pending.map(outcomeOf));
    if (blocking) db.closeSync();
    else await soon(db.close(), "close");
    const { ok = 0, ERR_CLOSED = 0, ...others } = tally(await soon(outcomes, "what was pending"));
    assert.deepEqual(others, {});
    assert.ok(ok >= 64, "the writes are kept");
    assert.equal(ok + ERR_CLOSED, pending.length);
  }
  await using db = await Varve.open(path);
  assert.equal(await db.count(), 20_064);
  await db.verify();
});

test("use after close is ERR_CLOSED, whichever method it is", async () => {
  const path = temporaryDirectory();
  const db = await Varve.open(path);
  const users = await db.columnFamily("users");
  const snapshot = db.snapshot();
  const batch = db.batch().put("k", "v");
  const rows = db.entries();
  await db.put("k", "v");
  const iterator = rows[Symbol.iterator]();
  const asyncIterator = rows[Symbol.asyncIterator]();
  await db.close();
  for (const family of [db, users]) {
    const asynchronous: [string, () => Promise<unknown>][] = [
      ["get", () => family.get("k")],
      ["get from a snapshot", () => family.get("k", { snapshot })],
      ["getMany", () => family.getMany(["k"])],
      ["has", () => family.has("k")],
      ["put", () => family.put("k", "v")],
      ["delete", () => family.delete("k")],
      ["count", () => family.count()],
    ];
    for (const [name, call] of asynchronous) {
      await assert.rejects(call(), coded("ERR_CLOSED"), name);
    }
    const synchronous: [string, () => unknown][] = [
      ["getSync", () => family.getSync("k")],
      ["getManySync", () => family.getManySync(["k"])],
      ["hasSync", () => family.hasSync("k")],
      ["putSync", () => family.putSync("k", "v")],
      ["deleteSync", () => family.deleteSync("k")],
      ["countSync", () => family.countSync()],
      ["entries", () => [...family.entries()]],
      ["keys", () => [...family.keys()]],
      ["values", () => [...family.values()]],
    ];
    for (const [name, call] of synchronous) assert.throws(call, coded("ERR_CLOSED"), name);
  }
  const asynchronous: [string, () => Promise<unknown>][] = [
    ["columnFamily", () => db.columnFamily("users")],
    ["dropColumnFamily", () => db.dropColumnFamily("users")],
    ["batch with operations", () => db.batch([{ type: "put", key: "k", value: "v" }])],
    ["write of a batch", () => batch.write()],
    ["sync", () => db.sync()],
    ["flush", () => db.flush()],
    ["verify", () => db.verify()],
    ["next of an iterator", () => asyncIterator.next()],
  ];
  for (const [name, call] of asynchronous) await assert.rejects(call(), coded("ERR_CLOSED"), name);
  const synchronous: [string, () => unknown][] = [
    ["columnFamilySync", () => db.columnFamilySync("users")],
    ["columnFamilies", () => db.columnFamilies()],
    ["dropColumnFamilySync", () => db.dropColumnFamilySync("users")],
    ["batch", () => db.batch()],
    ["batchSync", () => db.batchSync([])],
    ["writeSync of a batch", () => batch.writeSync()],
    ["snapshot", () => db.snapshot()],
    ["syncSync", () => db.syncSync()],
    ["flushSync", () => db.flushSync()],
    ["stats", () => db.stats()],
    ["addEventListener", () => db.addEventListener("flush", () => {})],
    ["next of an iterator", () => iterator.next()],
  ];
  for (const [name, call] of synchronous) assert.throws(call, coded("ERR_CLOSED"), name);
  snapshot[Symbol.dispose]();
});

test("methods without Sync never throw in the call", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const wrong = Symbol("no key") as never;
  const calls = [
    () => Varve.open(wrong),
    () => Varve.open(temporaryDirectory(), 7 as never),
    () => Varve.destroy(wrong),
    () => db.get(wrong),
    () => db.getMany(wrong),
    () => db.getMany([wrong]),
    () => db.has(wrong),
    () => db.put(wrong, "v"),
    () => db.put("k", wrong),
    () => db.put("k", "v", wrong),
    () => db.delete(wrong),
    () => db.count({ gte: wrong }),
    () => db.columnFamily(wrong),
    () => db.dropColumnFamily(wrong),
    () => db.batch([wrong]),
    () => db.batch(wrong),
  ];
  for (const call of calls) {
    const promise: Promise<unknown> = call();
    await assert.rejects(promise, coded("ERR_INVALID_ARGUMENT"), String(call));
  }
});

test("1,000 opens and closes leave descriptors, threads and files flat", async () => {
  const path = temporaryDirectory();
  const cycle = async (index: number) => {
    if (index % 2 === 0) {
      const db = Varve.openSync(path, { durability: "buffered" });
      if (index % 100 === 0) db.putSync(`k${index}`, "v");
      db.closeSync();
    } else {
      await using db = await Varve.open(path, { durability: "buffered" });
      if (index % 100 === 1) await db.put(`k${index}`, "v");
    }
  };
  for (let index = 0; index < 50; index++) await cycle(index);
  const before = [openDescriptors(), processStatus("Threads")];
  const filesBefore = readdirSync(path).length;
  for (let index = 50; index < OPENS; index++) await cycle(index);
  const [descriptors, threads] = [openDescriptors(), processStatus("Threads")];
  if (descriptors !== undefined) assert.ok(descriptors <= before[0]! + 2, "descriptors");
  if (threads !== undefined) assert.ok(threads <= before[1]! + 8, "threads");
  assert.ok(readdirSync(path).length <= filesBefore + 24, readdirSync(path).join(" "));
  await using db = await Varve.open(path);
  assert.equal(await db.count(), 20);
});

test("destroy removes the store and leaves what is not its own", async () => {
  const path = temporaryDirectory();
  const inner = join(path, "store");
  const db = await Varve.open(inner);
  await db.put("k", "v");
  await assert.rejects(Varve.destroy(inner), coded("ERR_LOCKED"));
  assert.equal(text(await db.get("k")), "v");
  await db.flush();
  await db.close();
  mkdirSync(join(inner, "mine"));
  await Varve.destroy(inner);
  assert.deepEqual(readdirSync(inner), ["mine"]);
  await Varve.destroy(pathToFileURL(inner));
  await using fresh = await Varve.open(inner);
  assert.equal(await fresh.count(), 0);
});
