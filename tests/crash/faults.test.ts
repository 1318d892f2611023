/**
 * With any fault an operation took effect or threw, readers see what was acknowledged and nothing else, and no later
 * acknowledgement stands on what failed.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { Varve, VarveError } from "../../mod.ts";
import {
  type DiskOperationName,
  type Latency,
  SimulatedDisk,
  storeOperations,
} from "../../testing.ts";
import { test } from "../harness.ts";
import { Driver, PATH } from "./driver.ts";
import { isSame, show } from "./history.ts";
import { crashes, seed, seeded, SMALL } from "./support.ts";

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
  before: storeOperations(fc, { maxLength: 6 }),
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
  operations: storeOperations(fc),
  /** Steps by which syncs and writes answer late, at most. */
  late: fc.constantFrom(0, 0, 5, 30),
  /** How the store ends: closed, its process killed, or its power gone; and whether the power goes after that. */
  end: fc.constantFrom("close", "kill", "crash"),
  crashAfterwards: fc.boolean(),
  later: storeOperations(fc, { maxLength: 6 }),
});

type Story = typeof story extends fc.Arbitrary<infer T> ? T : never;

async function withstands(diskSeed: number, told: Story): Promise<void> {
  const latency: Latency = [0, told.late];
  using disk = new SimulatedDisk({ seed: diskSeed, latency: { sync: latency, write: latency } });
  const driver = new Driver(disk);
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

test(`an operation took effect or threw, whatever fails (VARVE_SEED=${seed})`, () =>
  seeded(async () => {
    const property = fc.asyncProperty(fc.nat(), story, withstands);
    await fc.assert(property, { seed, numRuns: crashes(300) });
  }));

test("after a failed sync nothing is acknowledged until the store is opened again", async () => {
  for (let skip = 0; skip < 4; skip++) {
    using disk = new SimulatedDisk({ seed: seed + skip });
    const db = await Varve.open(PATH, { ...SMALL, disk });
    await db.put("a", "1");
    disk.failNext("sync", "EIO", { skip });
    let failed = false;
    for (let index = 0; index < 12; index++) {
      const outcome = await db.put(`k${index}`, "v").then(() => "done", (error) => error);
      if (outcome === "done") assert.ok(!failed, "a put is acknowledged after a sync failed");
      else {
        assert.ok(outcome instanceof VarveError && outcome.code === "ERR_IO");
        assert.equal(outcome.errnoName, "EIO");
        failed = true;
      }
      assert.equal(new TextDecoder().decode(await db.get("a")), "1");
    }
    assert.ok(failed);
    await assert.rejects(db.flush(), { code: "ERR_IO" });
    await assert.rejects(db.sync(), { code: "ERR_IO" });
    await assert.rejects(db.columnFamily("new"), { code: "ERR_IO" });
    await db.close();
    const again = await Varve.open(PATH, { ...SMALL, disk });
    await again.put("b", "2");
    disk.crash();
    const last = await Varve.open(PATH, { ...SMALL, disk });
    assert.deepEqual((await last.getMany(["a", "b"])).map((value) => value?.[0]), [49, 50]);
  }
});

test("a full disk refuses writes, keeps reading, opens, and goes on when there is room", async () => {
  using disk = new SimulatedDisk({ seed });
  const db = await Varve.open(PATH, { ...SMALL, disk });
  await db.put("first", "1");
  disk.capacity = 0;
  const refused: string[] = [];
  for (let index = 0; index < 40; index++) {
    await db.put(`k${index}`, "x".repeat(5000)).catch((error) => refused.push(error.code));
  }
  assert.ok(refused.length > 0);
  assert.deepEqual(new Set(refused), new Set(["ERR_NO_SPACE"]));
  assert.equal(new TextDecoder().decode(await db.get("first")), "1");
  disk.kill();
  const full = await Varve.open(PATH, { ...SMALL, disk });
  assert.equal(new TextDecoder().decode(await full.get("first")), "1");
  await assert.rejects(full.put("no", "room"), { code: "ERR_NO_SPACE" });
  disk.clearFaults();
  await full.put("room", "again");
  await full.close();
});
