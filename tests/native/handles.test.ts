/** Handles: use after close is a code, never a signal; two stores in one process do not meet. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { Code, Opcode } from "../../src/native/layout.gen.ts";
import { native } from "../../src/native/library.ts";
import { Jobs } from "../../src/native/jobs.ts";
import { closeDirectory, openDirectory } from "../../src/native/store_handle.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { Varve } from "../../mod.ts";

const { call } = native();
const FOREIGN = [-1, 0, 1 << 20, 2 ** 31 - 1, -(2 ** 31)];

test("a closed store's handle is a code at every call that takes one", () => {
  const { handle } = openDirectory(0, temporaryDirectory(), true, false, 1);
  assert.ok(call.varve_store_region(handle) > 0);
  closeDirectory(handle);
  for (const store of [handle, ...FOREIGN]) {
    assert.equal(call.varve_store_close(store), Code.closed);
    assert.equal(call.varve_store_region(store), Code.closed);
    assert.equal(call.varve_job_run(store, 0), Code.closed);
    assert.equal(call.varve_job_submit(store, 0), Code.closed);
    assert.equal(call.varve_store_step(store), Code.closed);
    assert.equal(call.varve_store_wait(store, 0, 1000), Code.closed);
  }
});

test("handles of versions, tables, cursors and memtables that are none are a code", () => {
  for (const handle of FOREIGN) {
    assert.ok(call.varve_version_release(handle) < -4095);
    assert.ok(call.varve_table_release(handle) < -4095);
    assert.ok(call.varve_cursor_close(handle) < -4095);
    assert.ok(call.varve_cursor_fill(handle, 1, 1, 0) < -4095);
    assert.ok(call.varve_memtable_release(handle) < -4095);
    assert.ok(call.varve_cursor_open(handle) < -4095);
    assert.ok(call.varve_version_create(handle, 1) < -4095);
    assert.ok(call.varve_get(handle, handle, 1, 1, 0) < -4095);
  }
});

test("a handle's number is not given again while somebody may still hold it", () => {
  const path = temporaryDirectory();
  const seen = new Set<number>();
  for (let round = 0; round < 50; round++) {
    const { handle } = openDirectory(0, path, true, false, 1);
    assert.ok(!seen.has(handle));
    seen.add(handle);
    closeDirectory(handle);
  }
});

test("job records that are none, and opcodes that are none, are codes", () => {
  const { handle } = openDirectory(0, temporaryDirectory(), true, false, 1);
  const jobs = new Jobs(handle, false);
  for (const index of [1024, 1025, 2 ** 31, 2 ** 32 - 1]) {
    assert.equal(call.varve_job_run(handle, index), Code.invalid);
    assert.equal(call.varve_job_submit(handle, index), Code.invalid);
  }
  for (const opcode of [0, 99, 2 ** 32 - 1]) {
    const job = jobs.take(opcode, 0)!;
    jobs.run(job);
    assert.ok(jobs.result(job) < -4095, String(jobs.result(job)));
    jobs.release(job);
  }
  // Arguments of noughts: each opcode refuses them or finds no such file.
  for (const opcode of Object.values(Opcode)) {
    const job = jobs.take(opcode, 2)!;
    jobs.run(job);
    jobs.release(job);
  }
  jobs.end();
  closeDirectory(handle);
});

test("every method of a closed store is ERR_CLOSED, its iterators and snapshots too", async () => {
  const db = await Varve.open(temporaryDirectory());
  const family = await db.columnFamily("family");
  await db.put("key", "value");
  const iterator = db.entries()[Symbol.iterator]();
  iterator.next();
  const snapshot = db.snapshot();
  await db.close();
  await db.close();
  db.closeSync();
  const attempts: (() => unknown)[] = [
    () => db.getSync("key"),
    () => db.getSync("key", { snapshot }),
    () => db.putSync("key", "value"),
    () => db.deleteSync("key"),
    () => db.hasSync("key"),
    () => db.getManySync(["key"]),
    () => db.batchSync([{ type: "put", key: "key", value: "value" }]),
    () => [...db.entries()],
    () => db.snapshot(),
    () => db.stats(),
    () => db.flushSync(),
    () => db.syncSync(),
    () => db.columnFamilySync("family"),
    () => db.columnFamilies(),
    () => family.getSync("key"),
    () => family.putSync("key", "value"),
    () => db.get("key"),
    () => db.put("key", "value"),
    () => db.delete("key"),
    () => db.flush(),
    () => db.sync(),
    () => db.verify(),
    () => db.columnFamily("family"),
    () => family.put("key", "value"),
  ];
  for (const attempt of attempts) {
    await assert.rejects(async () => await attempt(), { code: "ERR_CLOSED" }, String(attempt));
  }
  snapshot[Symbol.dispose]();
});

test("close with writes and iterators in flight: all settle, none harms the other", async () => {
  const path = temporaryDirectory();
  const db = await Varve.open(path, { writeBufferSize: 65_536 });
  for (let index = 0; index < 500; index++) {
    db.putSync(`key ${index}`, new Uint8Array(300), { durability: "buffered" });
  }
  const iterators = Array.from({ length: 20 }, () => db.entries()[Symbol.asyncIterator]());
  await Promise.all(iterators.map((iterator) => iterator.next()));
  const writes = Array.from({ length: 64 }, (_, index) => db.put(`late ${index}`, "value"));
  const nexts = iterators.map((iterator) => iterator.next());
  const closing = db.close();
  const settled = await Promise.allSettled([...writes, ...nexts, closing]);
  for (const { status, reason } of settled as { status: string; reason?: { code: string } }[]) {
    if (status === "rejected") assert.equal(reason!.code, "ERR_CLOSED");
  }
  await using again = await Varve.open(path);
  for (let index = 0; index < 64; index++) {
    const done = settled[index].status === "fulfilled";
    if (done) assert.ok(again.hasSync(`late ${index}`), `write ${index} was acknowledged`);
  }
});

test("two stores in one process share nothing, and two handles of one store share all", async () => {
  const root = temporaryDirectory();
  const [one, other] = await Promise.all([
    Varve.open(join(root, "one")),
    Varve.open(join(root, "other")),
  ]);
  const writes: Promise<void>[] = [];
  for (let index = 0; index < 200; index++) {
    writes.push(one.put(`key ${index}`, `one ${index}`), other.put(`key ${index}`, "other"));
  }
  await Promise.all(writes);
  using same = Varve.openSync(join(root, "other", "..", "one"));
  assert.deepEqual(same.getSync("key 7"), new TextEncoder().encode("one 7"));
  assert.deepEqual(other.getSync("key 7"), new TextEncoder().encode("other"));
  assert.equal(one.stats().sequence, 200);
  await one.close();
  assert.deepEqual(same.getSync("key 199"), new TextEncoder().encode("one 199"));
  same.putSync("after", "close of the other handle");
  await other.close();
  assert.throws(() => other.getSync("key"), { code: "ERR_CLOSED" });
});
