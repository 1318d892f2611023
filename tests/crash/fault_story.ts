/**
 * Random programs and random faults: an operation took effect or threw, readers see what was acknowledged and nothing else, and
 * no later acknowledgement stands on what failed.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type DiskOperationName, type Latency, storeOperations } from "../../testing.ts";
import { CountedDisk } from "./counted_disk.ts";
import { Driver } from "./driver.ts";
import { isSame, show } from "./history.ts";

const KINDS: readonly DiskOperationName[] = [
  "create",
  "write",
  "sync",
  "sync",
  "allocate",
  "rename",
  "unlink",
  "makeDirectory",
  "syncDirectory",
  "open",
  "read",
  "list",
];

const story = fc.record({
  before: storeOperations(fc, { all: true, maxLength: 6 }),
  faults: fc.array(
    fc.record({
      kind: fc.constantFrom(...KINDS),
      errno: fc.constantFrom("EIO", "EIO", "ENOSPC", "EDQUOT", "EROFS", "EINTR"),
      skip: fc.oneof(fc.nat(3), fc.nat(12)),
      count: fc.constantFrom(1, 1, 1, 3, 1000),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  /** Bytes of room that are left when the faults begin; undefined: enough. */
  room: fc.option(fc.nat(300_000), { nil: undefined }),
  operations: storeOperations(fc, {
    all: true,
    durabilities: ["sync", "sync", "buffered", "buffered", "buffered", "volatile"],
  }),
  /** Steps by which syncs and writes answer late, at most. */
  late: fc.constantFrom(0, 0, 5, 30),
  /** From where on values are large. */
  blobThreshold: fc.constantFrom(1024, Infinity),
  /** How the store ends: closed, its process killed, or its power gone; and whether the power goes after that. */
  end: fc.constantFrom("close", "kill", "crash"),
  crashAfterwards: fc.boolean(),
  later: storeOperations(fc, { all: true, maxLength: 6 }),
});

type Story = typeof story extends fc.Arbitrary<infer T> ? T : never;

async function withstands(diskSeed: number, told: Story): Promise<void> {
  const latency: Latency = [0, told.late];
  using disk = new CountedDisk({ seed: diskSeed, latency: { sync: latency, write: latency } });
  const driver = new Driver(disk, told.blobThreshold);
  await driver.open();
  await driver.run(told.before);
  for (const { kind, errno, skip, count } of told.faults) {
    disk.failNext(kind, errno, { skip, count });
  }
  if (told.room !== undefined) disk.capacity = told.room;
  await driver.run(told.operations);
  disk.clearFaults();
  if (driver.isOpen) {
    const seen = driver.state();
    const expected = driver.history.visible();
    assert.ok(
      isSame(seen, expected),
      `readers see ${show(seen)}, acknowledged was ${show(expected)}`,
    );
    if (told.end === "close") await driver.close();
  }
  if (told.end === "crash") disk.crash();
  else disk.kill();
  await driver.recover();
  if (told.crashAfterwards) {
    disk.crash();
    await driver.recover();
  }
  await driver.run(told.later);
  disk.crash();
  await driver.recover();
}

export const faultProperty = fc.asyncProperty(fc.nat(), story, withstands);
