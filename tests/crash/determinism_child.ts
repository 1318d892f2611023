/** Runs one program on a simulated disk and prints what the disk did. Argument: the seed. */
import process from "node:process";
import { SimulatedDisk, type StoreOperation } from "../../testing.ts";
import { Driver } from "./driver.ts";

export const OPERATIONS: readonly StoreOperation[] = [
  { type: "createFamily", family: "left" },
  ...Array.from({ length: 40 }, (_, index): StoreOperation => ({
    type: "write",
    changes: [
      { family: "left", key: "abcde"[index % 5], bytes: (index * 977) % 9000 },
      { family: "default", key: "abcde"[index % 3], bytes: index % 7 === 0 ? undefined : 30 },
    ],
    durability: index % 3 === 0 ? "sync" : "buffered",
    awaited: index % 4 === 0,
  })),
  ...Array.from({ length: 12 }, (_, index): StoreOperation => ({
    type: "write",
    changes: [
      { family: "left", key: "abcde"[index % 5], operandBytes: (index * 517) % 3000 },
      { family: "default", from: "abcde"[index % 4], to: index % 3 === 0 ? undefined : "e" },
    ],
    durability: "buffered",
    awaited: index % 4 === 0,
  })),
  {
    type: "expire",
    change: { family: "left", key: "a", bytes: 9 },
    ttl: 5,
    durability: "sync",
    awaited: true,
  },
  { type: "advance", milliseconds: 5 },
  { type: "flush", awaited: false },
  { type: "sync", awaited: true },
  { type: "reopen" },
  { type: "dropFamily", family: "left" },
];

export async function run(seed: number): Promise<string> {
  using disk = new SimulatedDisk({ seed, faults: { unlink: { probability: 0.2 } } });
  const driver = new Driver(disk);
  for (const crashAfter of [55, 200]) {
    disk.crashAfter(crashAfter);
    await driver.open();
    await driver.run(OPERATIONS);
    disk.crash();
    await driver.recover();
    disk.crash();
  }
  return disk.operations.join("\n");
}

if (import.meta.main) process.stdout.write(await run(Number(process.argv[2])));
