/** Job records: 1,024 of them, and as many callers as want one. */
import assert from "node:assert/strict";
import { JOB_COUNT, Lane, Opcode } from "../../src/native/layout.gen.ts";
import { Jobs } from "../../src/native/jobs.ts";
import { native } from "../../src/native/library.ts";
import { closeDirectory, openDirectory } from "../../src/native/store_handle.ts";
import { runTask, takeJob, type Task } from "../../src/native/task.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { Varve } from "../../mod.ts";

test("more gets than job records, none of them cached: all are answered", async () => {
  const directory = temporaryDirectory();
  const count = 3000;
  {
    await using db = await Varve.open(directory, { durability: "buffered" });
    for (let index = 0; index < count; index++) {
      db.putSync(`key ${String(index).padStart(6, "0")}`, new Uint8Array(1000).fill(index));
    }
    await db.flush();
  }
  native().call.varve_cache_resize(0); // whatever other tests left there
  await using db = await Varve.open(directory, { blockCacheSize: 65_536 });
  const before = db.stats().read;
  const values = await Promise.all(
    Array.from({ length: count }, (_, index) => db.get(`key ${String(index).padStart(6, "0")}`)),
  );
  for (const [index, value] of values.entries()) {
    assert.equal(value!.length, 1000);
    assert.equal(value![999], index & 0xff);
  }
  assert.ok(db.stats().read.cacheMisses > before.cacheMisses, "some did miss the cache");
  native().call.varve_cache_resize(64 << 20);
});

test("tasks that find no job record wait, and go on in turn when one is released", async () => {
  const { handle } = openDirectory(0, temporaryDirectory(), true, false, 2);
  const jobs = new Jobs(handle, false);
  const held = Array.from({ length: JOB_COUNT }, () => jobs.take(Opcode.directorySync, Lane.read)!);
  assert.equal(new Set(held).size, JOB_COUNT);
  assert.equal(jobs.take(Opcode.directorySync, Lane.read), undefined);
  let ended = 0;
  const one = function* (): Task<void> {
    const job = yield* takeJob(jobs, Opcode.directorySync, Lane.read);
    yield job;
    assert.equal(jobs.result(job), 0);
    jobs.release(job);
    ended++;
  };
  const tasks = Array.from({ length: 50 }, () => runTask(jobs, one()));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(ended, 0);
  jobs.release(held.pop()!);
  await Promise.all(tasks);
  assert.equal(ended, 50);
  for (const job of held) jobs.release(job);
  jobs.end();
  closeDirectory(handle);
});

test("a record that is in flight is refused a second time, with a code", () => {
  const { handle } = openDirectory(0, temporaryDirectory(), true, false, 1);
  const jobs = new Jobs(handle, false);
  const job = jobs.take(Opcode.directorySync, Lane.log)!;
  let done = 0;
  jobs.submit(job, () => done++);
  assert.throws(() => jobs.submit(job, () => done++), /submitted once/);
  jobs.drive(() => done > 0);
  assert.equal(done, 1);
  jobs.release(job);
  jobs.end();
  closeDirectory(handle);
});

test("completions are told once each, whichever thread ran them", async () => {
  const { handle } = openDirectory(0, temporaryDirectory(), true, false, 4);
  const jobs = new Jobs(handle, false);
  const told = new Map<number, number>();
  jobs.hold();
  for (let round = 0; round < 5; round++) {
    const batch = Array.from(
      { length: 500 },
      (_, index) => jobs.take(Opcode.directoryList, index % 2 === 0 ? Lane.read : Lane.background)!,
    );
    told.clear();
    for (const job of batch) jobs.submit(job, (one) => told.set(one, (told.get(one) ?? 0) + 1));
    if (round % 2 === 0) jobs.drive(() => jobs.outstanding === 0);
    else while (jobs.outstanding > 0) await new Promise((resolve) => setTimeout(resolve, 1));
    assert.equal(told.size, 500);
    assert.ok([...told.values()].every((count) => count === 1));
    for (const job of batch) jobs.release(job);
  }
  jobs.unhold();
  jobs.end();
  closeDirectory(handle);
});
