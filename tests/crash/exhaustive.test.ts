/** Short programs, and a crash behind every one of their disk operations, recovery's included. */
import assert from "node:assert/strict";
import { everyCrash, SimulatedDisk, type StoreOperation } from "../../testing.ts";
import { test } from "../harness.ts";
import { Driver } from "./driver.ts";
import { isSame, show } from "./history.ts";
import { crashes, seed, seeded } from "./support.ts";

function write(
  changes: Readonly<Record<string, number | undefined>>,
  durability: "sync" | "buffered" = "sync",
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

/** Each of them with its values in the log, and again with those from 1 KiB on in blob segments. */
const CASES = Object.entries(PROGRAMS).flatMap(([name, operations]) => [
  { name, operations, blobThreshold: Infinity },
  { name: `${name}, with large values`, operations: enlarged(operations), blobThreshold: 1024 },
]);

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

for (const { name, operations, blobThreshold } of CASES) {
  test(`a crash behind every operation of: ${name} (VARVE_SEED=${seed})`, () =>
    seeded(async () => {
      const outcomes = Math.max(1, Math.ceil(crashes(250) / 60));
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
        { seed, outcomes },
      );
      assert.ok(count > 20);
    }));
}

test(`recovery can crash behind every one of its operations, twice (VARVE_SEED=${seed})`, () =>
  seeded(async () => {
    for (const first of crashPoints()) {
      for (let second = 0; second < 8; second++) {
        using disk = new SimulatedDisk({ seed: seed + first * 16 + second });
        const driver = new Driver(disk);
        disk.crashAfter(first);
        await openAndRun(driver, PROGRAMS["a flush, and writes behind it"]);
        for (const point of [second, 7 - second]) {
          disk.crash();
          disk.crashAfter(point);
          await openAndRun(driver, []);
        }
        disk.crash();
        await driver.recover();
      }
    }
  }));

/** Where the first crash comes: every operation in a long run, every third otherwise. */
function crashPoints(): number[] {
  const step = Math.max(1, Math.round(1200 / crashes(400)));
  return Array.from({ length: Math.ceil(70 / step) }, (_, index) => index * step);
}

async function openAndRun(driver: Driver, operations: readonly StoreOperation[]): Promise<void> {
  try {
    await driver.open();
  } catch (error) {
    if ((error as { code?: string }).code !== "ERR_CLOSED") throw error;
    return;
  }
  await driver.run(operations);
}
