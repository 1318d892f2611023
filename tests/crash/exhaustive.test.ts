/** Short programs, and a crash behind every one of their disk operations, recovery's included. */
import assert from "node:assert/strict";
import {
  everyCrash,
  SimulatedDisk,
  type StoreOperation,
  type WriteDurability,
} from "../../testing.ts";
import { test } from "../harness.ts";
import { Driver } from "./driver.ts";
import { isSame, show } from "./history.ts";
import { CountedDisk } from "./counted_disk.ts";
import { crashes, seed, seeded } from "./support.ts";

function write(
  changes: Readonly<Record<string, number | undefined>>,
  durability: WriteDurability = "sync",
  awaited = true,
): StoreOperation {
  const list = Object.entries(changes).map(([name, bytes]) => {
    const [family, key] = name.split("/");
    return { family, key, bytes };
  });
  return { type: "write", changes: list, durability, awaited };
}

const reopen: StoreOperation = { type: "reopen" };
const flush: StoreOperation = { type: "flush", awaited: true };

const PROGRAMS: Readonly<Record<string, readonly StoreOperation[]>> = {
  "one put": [write({ "default/a": 1 })],
  "buffered puts and one sync": [
    write({ "default/a": 1 }, "buffered"),
    write({ "default/b": 700 }, "buffered"),
    write({ "default/a": 5000 }, "buffered"),
    { type: "sync", awaited: true },
    write({ "default/a": undefined }, "buffered"),
  ],
  "families made, written in one batch, dropped and made again": [
    { type: "createFamily", family: "left" },
    { type: "createFamily", family: "right" },
    write({ "default/a": 1, "left/a": 2, "right/a": 3 }),
    write({ "default/a": 4, "left/a": 5, "right/a": undefined }, "buffered"),
    { type: "dropFamily", family: "left" },
    { type: "createFamily", family: "left" },
    write({ "left/b": 6 }),
  ],
  "a flush, and writes behind it": [
    write({ "default/a": 1 }),
    { type: "createFamily", family: "left" },
    write({ "left/a": 1, "default/b": 2 }, "buffered"),
    flush,
    write({ "left/a": undefined, "default/b": 3 }, "buffered"),
    flush,
    write({ "left/c": 9 }),
  ],
  "log segments that follow each other": [
    write({ "default/a": 20_000 }),
    write({ "default/b": 20_000 }, "buffered"),
    write({ "default/c": 20_000 }, "buffered"),
    write({ "default/d": 20_000 }),
    write({ "default/a": 20_000 }, "buffered", false),
    write({ "default/e": 50_000 }, "buffered", false),
    write({ "default/b": 1 }),
  ],
  "log segments that flushes let go": [
    write({ "default/a": 30_000 }),
    write({ "default/b": 30_000 }),
    flush,
    write({ "default/c": 30_000 }, "buffered", false),
    write({ "default/d": 30_000 }),
    flush,
    reopen,
    write({ "default/e": 30_000 }),
    write({ "default/a": 30_000 }, "buffered"),
    write({ "default/b": 30_000 }),
  ],
  "a manifest that is begun anew, again and again": [
    write({ "default/a": 1 }),
    ...Array.from({ length: 6 }, (_, round): StoreOperation[] => [
      { type: "createFamily", family: `a family with a name that takes its room ${round}` },
      write({ [`a family with a name that takes its room ${round}/a`]: 2 }, "buffered"),
      flush,
      { type: "dropFamily", family: `a family with a name that takes its room ${round}` },
      write({ "default/b": round }),
    ]).flat(),
    reopen,
    { type: "createFamily", family: "left" },
    write({ "left/a": 1 }),
  ],
  "volatile writes between others, flushed and not": [
    write({ "default/a": 1 }, "volatile"),
    write({ "default/a": 2, "default/b": 2 }),
    { type: "createFamily", family: "left" },
    write({ "left/a": 3, "default/b": 3 }, "volatile"),
    write({ "left/b": 4 }, "buffered"),
    flush,
    write({ "default/a": 5, "left/a": undefined }, "volatile"),
    write({ "default/c": 6 }),
    write({ "default/a": undefined }, "buffered"),
    write({ "default/c": 7 }, "volatile", false),
    reopen,
    write({ "default/d": 8 }, "volatile"),
    write({ "default/d": 40_000 }, "volatile"),
    write({ "default/e": 40_000 }, "volatile"),
    write({ "default/f": 10 }),
  ],
  "closed and opened again": [
    write({ "default/a": 1 }, "buffered"),
    reopen,
    write({ "default/b": 2 }, "buffered"),
    flush,
    reopen,
    reopen,
    write({ "default/a": undefined }),
    write({ "default/c": 3 }, "buffered", false),
    reopen,
  ],
  "merges, range deletes and entries that expire": [
    { type: "createFamily", family: "right" },
    write({ "default/a": 1, "right/b": 5 }),
    {
      type: "write",
      changes: [
        { family: "default", key: "a", operandBytes: 3 },
        { family: "right", key: "b", operandBytes: 400 },
        { family: "right", key: "c", operandBytes: 1 },
      ],
      durability: "sync",
      awaited: true,
    },
    {
      type: "expire",
      change: { family: "default", key: "d", bytes: 30 },
      ttl: 10,
      durability: "buffered",
      awaited: false,
    },
    flush,
    {
      type: "write",
      changes: [
        { family: "right", from: "c", to: undefined },
        { family: "right", key: "d", operandBytes: 2 },
        { family: "default", key: "d", operandBytes: 2 },
      ],
      durability: "buffered",
      awaited: true,
    },
    { type: "advance", milliseconds: 10 },
    { type: "sync", awaited: true },
    reopen,
    flush,
    {
      type: "write",
      changes: [{ family: "default", from: "a", to: "b" }],
      durability: "sync",
      awaited: true,
    },
  ],
};

for (const [name, operations] of Object.entries(PROGRAMS)) {
  test(`a crash behind every operation of: ${name} (VARVE_SEED=${seed})`, () =>
    seeded(async () => {
      const outcomes = Math.max(1, Math.ceil(crashes(180) / 60));
      const { crashes: count } = await everyCrash<Driver>(
        async (disk, note) => {
          const driver = new Driver(disk);
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
        { seed, outcomes },
      );
      assert.ok(count > 20);
    }));
}

/** A quick run takes some of the places, others with every seed; a long one (`VARVE_CRASHES`) takes every one. */
const isLong = crashes(0) >= 1000;
const STRIDE = isLong ? 1 : 7;

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
  const segments = await did("log segments that flushes let go", / unlink .*\.log$/);
  assert.ok(segments > 1, `${segments} segments went`);
  const tables = await did("volatile writes between others, flushed and not", / create .*\.table$/);
  assert.ok(tables > 3, `${tables} tables were made`);
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
