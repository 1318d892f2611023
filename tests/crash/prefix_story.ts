/** Random programs, power failures and kills: what every crash leaves is a prefix with all that was promised. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { VarveError } from "../../mod.ts";
import { type Latency, type StoreOperation, storeOperations } from "../../testing.ts";
import { CountedDisk } from "./counted_disk.ts";
import { Driver } from "./driver.ts";
import { isSame, show } from "./history.ts";

interface Round {
  readonly operations: readonly StoreOperation[];
  /** Disk operations until the power fails; those that come later crash at the end. */
  readonly crashAfter: number;
  /** The same for one recovery after the other. */
  readonly recoveries: readonly number[];
  /** Whether the process dies instead, and the power fails only then, or not at all. */
  readonly killed: boolean;
}

const rounds = fc.array(
  fc.record({
    operations: storeOperations(fc, {
      all: true,
      durabilities: ["sync", "sync", "buffered", "buffered", "buffered", "volatile"],
    }),
    crashAfter: fc.oneof(fc.nat(40), fc.nat(250)),
    recoveries: fc.array(fc.nat(14), { maxLength: 2 }),
    killed: fc.boolean(),
  }),
  { minLength: 1, maxLength: 3 },
);

/** How the disk answers: late, by up to so many steps, and in pieces; and what goes to blob segments. */
const manner = fc.record({
  late: fc.constantFrom(0, 0, 3, 40),
  short: fc.constantFrom(0, 0, 0.3),
  /** From where on values are large: most of them are at the first figure. */
  blobThreshold: fc.constantFrom(1024, Infinity),
});

type Manner = typeof manner extends fc.Arbitrary<infer T> ? T : never;

async function survives(
  diskSeed: number,
  { late, short, blobThreshold }: Manner,
  story: readonly Round[],
): Promise<void> {
  const latency: Latency = [0, late];
  using disk = new CountedDisk({
    seed: diskSeed,
    latency: { sync: latency, write: latency, create: latency, syncDirectory: latency },
    faults: { write: { probability: short, errno: "short" } },
  });
  const driver = new Driver(disk, blobThreshold);
  for (const { operations, crashAfter, recoveries, killed } of story) {
    disk.crashAfter(crashAfter);
    if (await opened(driver)) await driver.run(operations);
    if (killed) disk.kill();
    else disk.crash();
    for (const operation of recoveries) {
      disk.crashAfter(operation);
      await opened(driver);
      disk.crash();
    }
    const found = await driver.recover();
    disk.crash();
    await driver.open();
    const again = driver.state();
    assert.ok(isSame(found, again), `${show(found)} became ${show(again)} by a second crash`);
    disk.crash();
  }
}

async function opened(driver: Driver): Promise<boolean> {
  try {
    await driver.open();
    return true;
  } catch (error) {
    if (error instanceof VarveError && error.code === "ERR_CLOSED") return false;
    throw error;
  }
}

export const prefixProperty = fc.asyncProperty(fc.nat(), manner, rounds, survives);
