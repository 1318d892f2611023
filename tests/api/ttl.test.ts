/** `ttl`: what has expired is deleted, by a clock that never goes back, for whoever looks from when. */
import assert from "node:assert/strict";
import { type ReadOptions, Varve } from "../../mod.ts";
import { SimulatedDisk } from "../../testing.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { coded } from "./support.ts";

const TEXT = { keyEncoding: "utf8", valueEncoding: "utf8" } as const;

async function openOn(disk: SimulatedDisk) {
  return await Varve.open("/data", { ...TEXT, disk });
}

type Text = Awaited<ReturnType<typeof openOn>>;

/** Every way of reading one key. */
async function see(db: Text, key: string, options: ReadOptions = {}) {
  const value = db.getSync(key, options);
  assert.equal(await db.get(key, options), value);
  assert.deepEqual(await db.getMany([key, key], options), [value, value]);
  assert.deepEqual(db.getManySync([key], options), [value]);
  const there = value !== undefined;
  assert.equal(db.hasSync(key, options), there);
  assert.equal(await db.has(key, options), there);
  const range = { gte: key, lte: key, ...options };
  assert.deepEqual([...db.entries(range)], there ? [[key, value]] : []);
  assert.deepEqual([...db.keys({ ...range, reverse: true })], there ? [key] : []);
  assert.deepEqual(await Array.fromAsync(db.values(range)), there ? [value] : []);
  assert.equal(await db.count(range), there ? 1 : 0);
  assert.equal(db.countSync(range), there ? 1 : 0);
  return value;
}

test("an entry is there until its time is up, and then nothing older comes back", async () => {
  using disk = new SimulatedDisk();
  disk.clock = 1_000_000;
  const db = await openOn(disk);
  await db.put("k", "older");
  await db.put("k", "short", { ttl: 100 });
  db.putSync("fraction", "x", { ttl: 0.5 });
  await db.put("stays", "for ever");
  assert.equal(await see(db, "k"), "short");
  assert.equal(await see(db, "fraction"), "x");
  disk.clock += 0.25;
  assert.equal(await see(db, "fraction"), "x");
  disk.clock = 1_000_000.5;
  assert.equal(await see(db, "fraction"), undefined);
  disk.clock = 1_000_099.999;
  assert.equal(await see(db, "k"), "short");
  disk.clock = 1_000_100;
  assert.equal(await see(db, "k"), undefined);
  assert.equal(await see(db, "stays"), "for ever");
  await db.put("k", "new");
  assert.equal(await see(db, "k"), "new");
  await db.close();
});

test("flushed, reopened, killed or crashed: entries expire all the same", async () => {
  for (const end of ["flush", "close", "kill", "crash", "flush and close"]) {
    for (const older of ["nothing", "memtable", "table"]) {
      using disk = new SimulatedDisk({ seed: 3 });
      disk.clock = 5_000;
      let db = await openOn(disk);
      if (older !== "nothing") await db.put("k", "older");
      if (older === "table") await db.flush();
      await db.put("k", "v".repeat(500), { ttl: 1_000 });
      await db.put("long", "v", { ttl: 1e12 });
      if (end.startsWith("flush")) await db.flush();
      if (end.endsWith("close")) await db.close();
      if (end === "kill") disk.kill();
      if (end === "crash") disk.crash();
      if (end !== "flush") db = await openOn(disk);
      const told = `${end}, ${older} below`;
      assert.equal(await see(db, "k"), "v".repeat(500), told);
      disk.clock = 5_999.75;
      assert.equal(await see(db, "k"), "v".repeat(500), told);
      disk.clock = 6_000;
      assert.equal(await see(db, "k"), undefined, told);
      await db.flush();
      assert.equal(await see(db, "k"), undefined, told);
      assert.equal(await see(db, "long"), "v", told);
      await db.close();
      db = await openOn(disk);
      assert.equal(await see(db, "k"), undefined, told);
      await db.close();
    }
  }
});

test("what expired before it was flushed stays deleted, over an older table", async () => {
  using disk = new SimulatedDisk();
  const db = await openOn(disk);
  await db.put("k", "older");
  await db.flush();
  await db.put("k", "short", { ttl: 10 });
  disk.clock += 10;
  await db.flush();
  assert.equal(await see(db, "k"), undefined);
  await db.close();
});

test("snapshots and iterators judge by the moment in which they were made", async () => {
  using disk = new SimulatedDisk();
  disk.clock = 100;
  const db = await openOn(disk);
  for (const key of ["a", "b", "c"]) await db.put(key, key, { ttl: 50 });
  using snapshot = db.snapshot();
  assert.equal(snapshot.time, 100);
  const rows = db.keys()[Symbol.iterator]();
  disk.clock = 200;
  using late = db.snapshot();
  const check = async (): Promise<void> => {
    assert.equal(await see(db, "a", { snapshot }), "a");
    assert.equal(await see(db, "a", { snapshot: late }), undefined);
    assert.equal(await see(db, "a"), undefined);
    assert.equal(await db.count({ snapshot }), 3);
  };
  await check();
  await db.flush();
  await check();
  assert.deepEqual([...rows], ["a", "b", "c"]);
  await db.close();
});

test("an overwritten, deleted or range-deleted entry does not wait for its expiry", async () => {
  using disk = new SimulatedDisk();
  const db = await openOn(disk);
  for (const key of ["a", "b", "c"]) await db.put(key, "short", { ttl: 50 });
  await db.put("a", "long");
  await db.delete("b");
  await db.deleteRange({ gte: "c" });
  for (let round = 0; round < 2; round++) {
    assert.equal(await see(db, "a"), "long");
    assert.equal(await see(db, "b"), undefined);
    assert.equal(await see(db, "c"), undefined);
    disk.clock += 50;
    await db.flush();
  }
  await db.close();
});

test("a clock that was set back, before an open or under a running store, brings nothing back", async () => {
  for (const seenBy of ["get", "snapshot", "iterator", "flush", "put"]) {
    for (const end of ["close", "sync and crash"]) {
      using disk = new SimulatedDisk({ seed: 8 });
      disk.clock = 1_000;
      let db = await openOn(disk);
      await db.put("k", "older");
      await db.put("k", "short", { ttl: 100 });
      await db.close();
      db = await openOn(disk);
      disk.clock = 1_100.5;
      if (seenBy === "get") assert.equal(db.getSync("k"), undefined);
      if (seenBy === "snapshot") db.snapshot()[Symbol.dispose]();
      if (seenBy === "iterator") assert.deepEqual([...db.entries()], []);
      if (seenBy === "flush") await db.flush();
      if (seenBy === "put") await db.put("other", "v", { ttl: 1 });
      disk.clock = 1_000;
      assert.equal(await see(db, "k"), undefined, seenBy);
      if (end === "close") {
        await db.close();
      } else {
        // An edit of the manifest takes the time with it.
        await db.columnFamily("another");
        disk.crash();
      }
      disk.clock = 900;
      db = await openOn(disk);
      assert.equal(await see(db, "k"), undefined, `${seenBy}, ${end}`);
      using snapshot = db.snapshot();
      assert.equal(snapshot.time, 1_100.5);
      await db.put("k2", "v", { ttl: 10 });
      assert.equal(await see(db, "k2"), "v");
      disk.clock = 1_110;
      assert.equal(await see(db, "k2"), "v");
      disk.clock = 1_110.5;
      assert.equal(await see(db, "k2"), undefined);
      await db.close();
    }
  }
});

test("a store without ttl keeps no time: closing it unchanged writes nothing", async () => {
  using disk = new SimulatedDisk();
  let db = await openOn(disk);
  await db.put("k", "v");
  await db.close();
  db = await openOn(disk);
  disk.clock = 1e9;
  db.snapshot()[Symbol.dispose]();
  assert.deepEqual([...db.keys()], ["k"]);
  const before = disk.operationCount;
  await db.close();
  assert.equal(disk.operationCount, before);
});

test("a full disk does not keep a store from closing when only time has gone by", async () => {
  using disk = new SimulatedDisk();
  let db = await openOn(disk);
  await db.put("k", "v", { ttl: 5 });
  await db.close();
  db = await openOn(disk);
  disk.clock += 10;
  assert.equal(await see(db, "k"), undefined);
  disk.capacity = 1;
  await db.close();
  disk.clearFaults();
  db = await openOn(disk);
  assert.equal(await see(db, "k"), undefined);
  await db.close();
});

test("ttl is for put alone, and a positive, finite number", async () => {
  using disk = new SimulatedDisk();
  const db = await openOn(disk);
  for (const ttl of [0, -1, NaN, Infinity, "5", 5n, null, {}]) {
    await assert.rejects(db.put("k", "v", { ttl } as never), coded("ERR_INVALID_ARGUMENT"));
    assert.throws(() => db.putSync("k", "v", { ttl } as never), coded("ERR_INVALID_ARGUMENT"));
  }
  const ttl = { ttl: 5 } as never;
  await assert.rejects(db.delete("k", ttl), coded("ERR_INVALID_ARGUMENT"));
  await assert.rejects(db.merge("k", "v", ttl), coded("ERR_INVALID_ARGUMENT"));
  await assert.rejects(db.deleteRange({}, ttl), coded("ERR_INVALID_ARGUMENT"));
  await assert.rejects(db.batch().put("k", "v").write(ttl), coded("ERR_INVALID_ARGUMENT"));
  await db.put("k", "v", { ttl: Number.MAX_VALUE });
  await db.put("k2", "v", { ttl: Number.MIN_VALUE });
  assert.equal(await see(db, "k"), "v");
  disk.clock = 8.64e15;
  assert.equal(await see(db, "k"), "v");
  await db.close();
});

test("values of every size and encoding come back without the expiry before them", async () => {
  using disk = new SimulatedDisk();
  const db = await Varve.open("/data", { disk });
  const json = await db.columnFamily("json", { keyEncoding: "tuple", valueEncoding: "json" });
  const ttl = { ttl: 1e9 };
  const sizes = [0, 1, 3, 4, 7, 8, 255, 256, 257, 4_095, 4_096, 65_528, 65_536, 300_000];
  const values = sizes.map((size) => new Uint8Array(size).fill(size % 251));
  for (const [index, value] of values.entries()) await db.put(`k${index}`, value, ttl);
  await json.put([1, "a"], { deep: [1, 2, null] }, ttl);
  for (let round = 0; round < 2; round++) {
    for (const [index, value] of values.entries()) {
      assert.deepEqual(db.getSync(`k${index}`), value);
      assert.deepEqual(await db.get(`k${index}`), value);
    }
    assert.deepEqual(
      new Map([...db.entries()].map(([key, value]) => [new TextDecoder().decode(key), value])),
      new Map(values.map((value, index) => [`k${index}`, value])),
    );
    assert.deepEqual([...json.entries()], [[[1, "a"], { deep: [1, 2, null] }]]);
    assert.deepEqual(json.getSync([1, "a"]), { deep: [1, 2, null] });
    await db.flush();
  }
  await db.close();
});

test("on a real disk the clock is the system's", async () => {
  await using db = await Varve.open(temporaryDirectory(), TEXT);
  await db.put("long", "v", { ttl: 3_600_000 });
  await db.put("k", "v", { ttl: 30, durability: "volatile" });
  const expiry = Date.now() + 30;
  while (Date.now() < expiry) assert.equal(db.getSync("long"), "v");
  assert.equal(db.getSync("k"), undefined);
  assert.equal(await db.get("k"), undefined);
  assert.equal(await db.get("long"), "v");
});
