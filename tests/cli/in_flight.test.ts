import assert from "node:assert/strict";
import { setImmediate } from "node:timers";
import { forEachInFlight } from "../../src/cli/in_flight.ts";
import { test } from "../harness.ts";

/** Long enough for the producer to fill every place. */
const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

test("forEachInFlight() starts in order and keeps to its bounds", async () => {
  const started: number[] = [];
  let jobs = 0, weight = 0, jobsMost = 0, weightMost = 0;
  const items = [5, 1, 1, 1, 9, 4, 4, 4, 1];
  await forEachInFlight(
    items,
    { jobsMax: 3, weightMax: 8, weigh: (item) => item },
    async (item) => {
      started.push(item);
      jobsMost = Math.max(jobsMost, ++jobs);
      weight += item;
      if (jobs > 1) weightMost = Math.max(weightMost, weight);
      await nextTurn();
      jobs--;
      weight -= item;
    },
  );
  assert.deepEqual(started, items);
  assert.equal(jobsMost, 3);
  assert.ok(weightMost <= 8, `${weightMost}`);
});

test("forEachInFlight() throws the first failure when all jobs have ended, and starts no more", async () => {
  const other = Promise.withResolvers<void>();
  const started: number[] = [];
  let ended = 0;
  const all = forEachInFlight([1, 2, 3, 4], { jobsMax: 2 }, async (item) => {
    started.push(item);
    if (item === 1) throw new Error("first");
    await other.promise;
    ended++;
  });
  other.resolve();
  await assert.rejects(all, /first/);
  assert.equal(ended, started.length - 1);
  assert.ok(!started.includes(4));
});

test("forEachInFlight() throws what its source throws", async () => {
  async function* source(): AsyncGenerator<number> {
    yield await 1;
    throw new Error("the source");
  }
  await assert.rejects(forEachInFlight(source(), { jobsMax: 2 }, async () => {}), /the source/);
});
