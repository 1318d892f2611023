/** Durability levels, flush, sync, verify, statistics and events. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type FlushEvent, Varve, type VarveError } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { coded, soon, text } from "./support.ts";

test("sync syncs, buffered goes to the log without a sync, volatile not even there", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const { write: start } = db.stats();
  await db.put("a", "1");
  const { write: afterSync, log } = db.stats();
  assert.equal(afterSync.syncGroups, start.syncGroups + 1);
  assert.equal(log.synced, true);
  await db.put("b", "2", { durability: "buffered" });
  const buffered = db.stats();
  assert.equal(buffered.write.syncGroups, afterSync.syncGroups);
  assert.equal(buffered.log.synced, false);
  await db.put("c", "3", { durability: "volatile" });
  const afterVolatile = db.stats();
  assert.equal(afterVolatile.log.offset, buffered.log.offset);
  assert.equal(afterVolatile.write.writesIn, buffered.write.writesIn);
  assert.equal(text(db.getSync("c")), "3");
});

test("sync() makes what was buffered before it durable, and costs nothing when nothing is owed", async () => {
  await using db = await Varve.open(temporaryDirectory(), { durability: "buffered" });
  db.put("a", "1");
  await db.sync();
  assert.equal(db.stats().log.synced, true);
  const { syncs } = db.stats().write;
  await db.sync();
  db.syncSync();
  assert.equal(db.stats().write.syncs, syncs);
  db.putSync("b", "2");
  db.syncSync();
  assert.equal(db.stats().log.synced, true);
  assert.ok(db.stats().write.syncs > syncs);
});

test("syncInterval syncs what is buffered, without being asked", async () => {
  await using db = await Varve.open(temporaryDirectory(), {
    durability: "buffered",
    syncInterval: 20,
  });
  await db.put("a", "1");
  const synced = async () => {
    while (!db.stats().log.synced) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  await soon(synced(), "the interval's sync", 2_000);
});

test("close keeps buffered and volatile writes", async () => {
  const path = temporaryDirectory();
  for (const durability of ["buffered", "volatile"] as const) {
    const db = await Varve.open(path, { durability });
    const family = await db.columnFamily("f");
    await Promise.all([db.put(durability, "v"), family.put(durability, "v")]);
    if (durability === "buffered") await db.close();
    else db.closeSync();
  }
  await using db = await Varve.open(path);
  const family = await db.columnFamily("f");
  for (const durability of ["buffered", "volatile"]) {
    assert.equal(text(db.getSync(durability)), "v");
    assert.equal(text(family.getSync(durability)), "v");
  }
});

test("flush turns what is in memory into tables, once", async () => {
  const path = temporaryDirectory();
  await using db = await Varve.open(path, { durability: "buffered" });
  const family = await db.columnFamily("f");
  const tables = () => readdirSync(path).filter((name) => name.endsWith(".table")).length;
  db.put("a", "1"); // issued, not awaited: flush covers it
  family.put("b", "2", { durability: "volatile" });
  await db.flush();
  assert.equal(tables(), 2);
  const { columnFamilies } = db.stats();
  assert.deepEqual(columnFamilies.default.levels.map(({ files }) => files), [1]);
  assert.equal(columnFamilies.f.memtableEntries, 0);
  await db.flush();
  db.flushSync();
  assert.equal(tables(), 2);
  assert.equal(text(db.getSync("a")), "1");
  assert.equal(text(await family.get("b")), "2");
});

test("flushes at once, and while writing, all end with everything in tables", async () => {
  await using db = await Varve.open(temporaryDirectory(), { durability: "buffered" });
  const pending: Promise<void>[] = [];
  for (let round = 0; round < 10; round++) {
    for (let index = 0; index < 100; index++) pending.push(db.put(`${round}-${index}`, "v"));
    pending.push(db.flush(), db.flush());
  }
  await soon(Promise.all(pending), "flushes");
  assert.equal(db.stats().columnFamilies.default.memtableEntries, 0);
  assert.equal(await db.count(), 1_000);
});

test("verify passes on a sound store, and names file and offset of damage in a table", async () => {
  const path = temporaryDirectory();
  {
    await using db = await Varve.open(path, { durability: "buffered" });
    for (let index = 0; index < 5_000; index++) db.put(`k${index}`, `value ${index}`);
    await db.flush();
    await db.put("logged", "v");
    await db.verify();
  }
  const table = readdirSync(path).find((name) => name.endsWith(".table"))!;
  const file = join(path, table);
  const content = readFileSync(file);
  content[10_000] ^= 1;
  writeFileSync(file, content);
  await using db = await Varve.open(path);
  await assert.rejects(db.verify(), (error: VarveError) => {
    assert.equal(error.code, "ERR_CORRUPTION");
    assert.equal(error.path, file);
    assert.equal(typeof error.offset, "number");
    return true;
  });
  // What is not in the damaged block stays readable, and what is there is an error, not a wrong answer.
  let readable = 0;
  for (let index = 0; index < 5_000; index += 10) {
    try {
      assert.equal(text(db.getSync(`k${index}`)), `value ${index}`);
      readable++;
    } catch (error) {
      assert.equal((error as VarveError).code, "ERR_CORRUPTION");
    }
  }
  assert.ok(readable > 400);
  assert.equal(text(db.getSync("logged")), "v");
  await assert.rejects(db.count(), coded("ERR_CORRUPTION"));
  assert.throws(() => [...db.entries()], coded("ERR_CORRUPTION"));
  await assert.rejects(Array.fromAsync(db.entries()), coded("ERR_CORRUPTION"));
});

test("verify reads the log's and the manifest's checksums too", async () => {
  const path = temporaryDirectory();
  await using db = await Varve.open(path);
  for (let index = 0; index < 100; index++) {
    await db.put(`k${index}`, "v".repeat(100), {
      durability: index % 10 === 0 ? "sync" : "buffered",
    });
  }
  await db.sync();
  await db.verify();
  for (const kind of [/\.log$/, /^MANIFEST/]) {
    const file = join(path, readdirSync(path).find((name) => kind.test(name))!);
    const sound = readFileSync(file);
    const damaged = Uint8Array.from(sound);
    damaged[kind.test("000001.log") ? 4_200 : 40] ^= 1;
    writeFileSync(file, damaged);
    await assert.rejects(db.verify(), coded("ERR_CORRUPTION"), file);
    writeFileSync(file, sound);
  }
  await db.verify();
});

test("statistics are a plain object that survives JSON, and count what happened", async () => {
  await using db = await Varve.open(temporaryDirectory());
  await Promise.all(Array.from({ length: 10 }, (_, index) => db.put(`k${index}`, "v")));
  await db.batch().put("a", "1").put("b", "2").write();
  await db.get("k1");
  db.getSync("missing");
  const stats = db.stats();
  assert.deepEqual(JSON.parse(JSON.stringify(stats)), stats);
  assert.equal(stats.write.batches, 11);
  assert.equal(stats.write.entries, 12);
  assert.equal(stats.write.groups, 2);
  assert.equal(stats.read.gets, 2);
  assert.equal(stats.sequence, 12);
  assert.equal(stats.failure, null);
  await db.flush();
  assert.equal(db.stats().flush.count, 1);
  assert.ok(db.stats().flush.bytes > 0);
});

test("events: a flush says what it did, listeners can be removed, and bad ones are refused", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const users = await db.columnFamily("users");
  const seen: FlushEvent[] = [];
  const listener = (event: FlushEvent) => seen.push(event);
  db.addEventListener("flush", listener);
  await users.put("k", "v");
  await db.flush();
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.equal(seen.length, 1);
  assert.equal(seen[0].columnFamily, "users");
  assert.equal(seen[0].entries, 1);
  assert.ok(seen[0].bytes > 0 && seen[0].milliseconds >= 0);
  db.removeEventListener("flush", listener);
  await users.put("k", "w");
  await db.flush();
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.equal(seen.length, 1);
  assert.throws(
    () => db.addEventListener("explosion" as never, () => {}),
    coded("ERR_INVALID_ARGUMENT"),
  );
  assert.throws(() => db.addEventListener("flush", 7 as never), coded("ERR_INVALID_ARGUMENT"));
});

test("stalls are counted and told: writers that outrun flushes", async () => {
  await using db = await Varve.open(temporaryDirectory(), {
    writeBufferSize: 64 * 1024,
    maxWriteBuffers: 2,
    durability: "buffered",
  });
  const reasons = new Set<string>();
  db.addEventListener("stall", ({ reason }) => reasons.add(reason));
  const pending = Array.from({ length: 3_000 }, (_, index) => db.put(`k${index}`, "v".repeat(300)));
  await soon(Promise.all(pending), "the writes");
  for (let index = 0; index < 3_000; index++) db.putSync(`s${index}`, "v".repeat(300));
  await new Promise((resolve) => setTimeout(resolve, 0));
  const { stall } = db.stats();
  assert.ok(stall.count > 0);
  assert.ok(reasons.size > 0);
});
