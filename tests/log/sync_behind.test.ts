/** A sync that no writer waits for goes on beside the writers. */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { test } from "../harness.ts";
import { Varve } from "../../mod.ts";
import { SimulatedDisk } from "../../testing.ts";

const PATH = "/store";
const LATE_STEPS = 400;

/** Turns of the event loop, each at most one step of the disk, until it settles. */
async function turnsOf(promise: Promise<unknown>): Promise<number> {
  let settled = false;
  promise.finally(() => settled = true);
  let turns = 0;
  for (; !settled; turns++) await setImmediate();
  return turns;
}

test("writers do not wait for the sync of the log that a flush needs", async () => {
  using disk = new SimulatedDisk({ seed: 7 });
  const db = await Varve.open(PATH, { disk, durability: "buffered" });
  await db.put("before", "1");
  disk.delay("sync", LATE_STEPS);
  const flushed = db.flush();
  for (let round = 0; round < 3; round++) {
    const turns = await turnsOf(db.put(`meanwhile ${round}`, "1"));
    assert.ok(turns < LATE_STEPS / 4, `${turns} turns`);
  }
  assert.equal(db.stats().log.synced, false);
  const turns = await turnsOf(flushed);
  assert.ok(turns > LATE_STEPS / 2, `the flush itself waited ${turns} turns`);
  assert.equal(db.stats().log.synced, false, "what came meanwhile is not synced");

  disk.crash();
  disk.delay("sync", 0);
  const again = await Varve.open(PATH, { disk });
  assert.ok(again.getSync("before"));
  await again.close();
});

test("what comes during the sync of large values is not taken for synced with them", async () => {
  using disk = new SimulatedDisk({ seed: 7 });
  const db = await Varve.open(PATH, { disk, durability: "buffered", blobThreshold: 1024 });
  const value = new Uint8Array(3000).fill(7);
  await db.put("before", value);
  disk.delay("sync", LATE_STEPS);
  const flushed = db.flush();
  for (const key of ["meanwhile", "and then"]) {
    const turns = await turnsOf(db.put(key, value));
    assert.ok(turns < LATE_STEPS / 4, `${turns} turns`);
  }
  disk.delay("sync", 0);
  await flushed;
  // The log's file was synced after that put, its value was not: a sync has it to do.
  assert.equal(db.stats().log.synced, false);
  await db.sync();
  assert.equal(db.stats().log.synced, true);

  disk.crash();
  const again = await Varve.open(PATH, { disk });
  assert.deepEqual(again.getSync("and then"), value);
  await again.close();
});
