/**
 * With any fault an operation took effect or threw, readers see what was acknowledged and nothing else, and no later
 * acknowledgement stands on what failed.
 */
import assert from "node:assert/strict";
import { Varve, VarveError } from "../../mod.ts";
import { SimulatedDisk } from "../../testing.ts";
import { test } from "../harness.ts";
import { requireCrashes } from "./crash_run.ts";
import { Driver, PATH } from "./driver.ts";
import { isSame, show } from "./history.ts";
import { PROGRAMS } from "./programs.ts";
import { crashes, seed, SMALL } from "./support.ts";

test(`an operation took effect or threw, whatever fails, over 1,000 crashes (VARVE_SEED=${seed})`, () =>
  requireCrashes("faults", 1_000));

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

/** Programs that change the tree's files; the stories above meet these places rarely. */
const PLACES = [
  "tables that are compacted",
  "log segments that flushes let go",
  "a manifest that is begun anew, again and again",
];
/** A quick run takes some of the places, others with every seed. */
const STRIDE = crashes(0) >= 1000 ? 1 : 3;

for (const name of PLACES) {
  test(`each write and each sync fails once, for whoever waits and for whoever does not, in: ${name} (VARVE_SEED=${seed})`, async () => {
    for (const kind of ["sync", "write", "syncDirectory"] as const) {
      for (let skip = seed % STRIDE, isMet = true; isMet; skip += STRIDE) {
        using disk = new SimulatedDisk({ seed: seed + skip });
        const driver = new Driver(disk);
        await driver.open();
        disk.failNext(kind, "EIO", { skip });
        await driver.run(PROGRAMS[name]);
        isMet = disk.operations.some((line) => line.endsWith("EIO"));
        disk.clearFaults();
        if (driver.isOpen) {
          const [seen, expected] = [driver.state(), driver.history.visible()];
          assert.ok(
            isSame(seen, expected),
            `${kind} ${skip}: ${show(seen)}, not ${show(expected)}`,
          );
        }
        // What the failed call left may be there, or not.
        if (skip % 2 === 0) disk.kill();
        else disk.crash();
        await driver.recover();
        disk.crash();
        await driver.recover();
      }
    }
  });
}

// A log segment that could not be made ahead of its need was held against the put that came to need it, much later. A full disk
// that had room again refused puts for it.
// What a put is told is what was tried for it.
test("a log segment that could not be made ahead is made when a put needs it", async () => {
  using disk = new SimulatedDisk({ seed });
  await using db = await Varve.open(PATH, { ...SMALL, disk });
  await db.put("first", "1");
  disk.failNext("allocate", "ENOSPC");
  for (let index = 0; index < 40; index++) await db.put(`k${index}`, "x".repeat(5_000));
  assert.ok(disk.operations.some((line) => / allocate .*ENOSPC/.test(line)), "the fault was met");
});
