/** Short programs, and a crash behind every one of their disk operations, recovery's included. */
import assert from "node:assert/strict";
import { everyCrash, SimulatedDisk, type StoreOperation } from "../../testing.ts";
import { test } from "../harness.ts";
import { Driver } from "./driver.ts";
import { isSame, show } from "./history.ts";
import { COLLECTED, FLUSHED_UNLOGGED, FOLDED, PROGRAMS } from "./programs.ts";
import { CountedDisk } from "./counted_disk.ts";
import { crashes, isQuick, seed, seeded } from "./support.ts";

/**
 * Each of them with its values in the log, and again with those from 1 KiB on in blob segments; in a quick look one or the other, by
 * the seed.
 */
const CASES = Object.entries(PROGRAMS).flatMap(([name, operations], index) => {
  const both = [
    { name, operations, blobThreshold: Infinity },
    { name: `${name}, with large values`, operations: enlarged(operations), blobThreshold: 1024 },
  ];
  return isQuick ? [both[(index + seed) % 2]] : both;
});

/** The same program with a large value wherever a small one was put. */
function enlarged(operations: readonly StoreOperation[]): StoreOperation[] {
  return operations.map((operation) => {
    if (operation.type !== "write") return operation;
    const changes = operation.changes.map((change) =>
      "bytes" in change && change.bytes !== undefined
        ? { ...change, bytes: change.bytes + 3000 }
        : change
    );
    return { ...operation, changes };
  });
}

CASES.push(
  { name: "garbage of large values", operations: COLLECTED, blobThreshold: 1024 },
  { name: "large values that no log has", operations: FLUSHED_UNLOGGED, blobThreshold: 1024 },
);

test("that program leaves garbage in segments, and it is collected", async () => {
  using disk = new SimulatedDisk({ seed });
  const driver = new Driver(disk, 1024);
  await driver.open();
  await driver.run(COLLECTED);
  // Only who waits for something moves a simulated disk's jobs on.
  while (driver.db.stats().compaction.running > 0) await driver.db.verify();
  const { blobs, compaction } = driver.db.stats();
  assert.ok(blobs.segmentsRemoved > 0, JSON.stringify(blobs));
  assert.ok(compaction.blobBytes > 0, JSON.stringify({ compaction, blobs }));
  await driver.close();
});

test("chains of that length are folded, whenever compactions come upon them", async () => {
  using disk = new SimulatedDisk({ seed });
  const driver = new Driver(disk);
  await driver.open();
  await driver.run(FOLDED);
  const { entriesIn, entriesOut } = driver.db.stats().compaction;
  assert.ok(entriesIn >= 70 && entriesOut <= 2, JSON.stringify({ entriesIn, entriesOut }));
  await driver.close();
});

for (const [index, { name, operations, blobThreshold }] of CASES.entries()) {
  test(`a crash behind every operation of: ${name} (VARVE_SEED=${seed})`, () =>
    seeded(async () => {
      const outcomes = isQuick ? 1 : Math.max(1, Math.ceil(crashes(180) / 60));
      const { crashes: count } = await everyCrash<Driver>(
        async (disk, note) => {
          const driver = new Driver(disk, blobThreshold);
          note(driver);
          await driver.open();
          await driver.run(operations);
        },
        async (disk, [driver]) => {
          if (driver === undefined) return;
          const found = await driver.recover();
          disk.crash();
          await driver.open();
          const again = driver.state();
          assert.ok(isSame(found, again), `${show(found)} became ${show(again)}`);
        },
        // All of them begin alike: each gets other outcomes of that.
        { seed: seed + 100 * index, outcomes },
      );
      assert.ok(count > 20);
    }));
}

/** A quick run takes some of the places, others with every seed; a long one (`VARVE_CRASHES`) takes every one. */
const isLong = crashes(0) >= 1000;
const STRIDE = isLong ? 1 : isQuick ? 41 : 7;

for (const [name, operations] of Object.entries(PROGRAMS)) {
  test(`a crash behind every operation of the recovery after one, and of the one after that: ${name} (VARVE_SEED=${seed})`, () =>
    seeded(async () => {
      const count = (await operationsOf(operations)).filter((line) => /^\d/.test(line)).length;
      let recoveries = 0;
      for (let first = seed % STRIDE; first <= count; first += STRIDE) {
        // Until a recovery ends before its power fails.
        for (let second = 0, isWhole = false; !isWhole; second++) {
          using disk = new CountedDisk({ seed: seed + first * 64 + second });
          const driver = new Driver(disk);
          disk.crashAfter(first);
          await openAndRun(driver, operations);
          disk.crash();
          disk.crashAfter(second);
          isWhole = await openAndRun(driver, []);
          disk.crash();
          disk.crashAfter((seed + second) % (second + 3));
          await openAndRun(driver, []);
          disk.crash();
          const found = await driver.recover();
          disk.crash();
          await driver.open();
          const again = driver.state();
          assert.ok(isSame(found, again), `${show(found)} became ${show(again)}`);
          recoveries++;
        }
      }
      assert.ok(recoveries > 20, `${recoveries} recoveries`);
    }));
}

test("the programs do what they are there for", async () => {
  const did = async (name: string, pattern: RegExp): Promise<number> => {
    const lines = await operationsOf(PROGRAMS[name]);
    return lines.filter((line) => pattern.test(line)).length;
  };
  const rollovers = await did("a manifest that is begun anew, again and again", / to CURRENT$/);
  assert.ok(rollovers > 3, `${rollovers} pointers were renamed`);
  const segments = await did("log segments that flushes let go", / (unlink|rename) .*\.log\b/);
  assert.ok(segments > 1, `${segments} segments went`);
  const again = await did("log segments that are written again", /\.temporary to .*\.log$/);
  assert.ok(again > 1, `${again} segments were written again`);
  const tables = await did("volatile writes between others, flushed and not", / create .*\.table$/);
  assert.ok(tables > 3, `${tables} tables were made`);
  const compacted = await did("tables that are compacted", / unlink .*\.table$/);
  assert.ok(compacted > 5, `${compacted} tables were compacted away`);
});

/** What the disk does when nothing crashes. */
async function operationsOf(operations: readonly StoreOperation[]): Promise<readonly string[]> {
  using disk = new SimulatedDisk({ seed });
  const driver = new Driver(disk);
  await driver.open();
  await driver.run(operations);
  return disk.operations;
}

/** Whether the store was open when the power failed, or at the end. */
async function openAndRun(driver: Driver, operations: readonly StoreOperation[]): Promise<boolean> {
  try {
    await driver.open();
  } catch (error) {
    if ((error as { code?: string }).code !== "ERR_CLOSED") throw error;
    return false;
  }
  await driver.run(operations);
  return true;
}
