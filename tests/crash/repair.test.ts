/** Repairs on the simulated disk: a crash, or a fault, at every operation of one. */
import assert from "node:assert/strict";
import { Varve, VarveError } from "../../mod.ts";
import { type DiskOperationName, SimulatedDisk } from "../../testing.ts";
import { test } from "../harness.ts";
import { crashes, seed, seeded, SMALL } from "./support.ts";

const PATH = "/home/user/data";
const SYNCED = 24;
const WRITTEN = 30;

/**
 * Numbered writes over two families: tables, several segments, and a tail that is not synced; with `large` the values lie in blob
 * segments. The process dies.
 */
async function fill(disk: SimulatedDisk, large: boolean): Promise<void> {
  const blobThreshold = large ? 4_096 : Infinity;
  const db = await Varve.open(PATH, { ...SMALL, blobThreshold, disk });
  const left = await db.columnFamily("left");
  for (let index = 0; index < WRITTEN; index++) {
    const durability = index < SYNCED ? "sync" : "buffered";
    const family = index % 2 === 0 ? db : left;
    await family.put(keyOf(index), "x".repeat(5_000), { durability });
    if (index === 7 || index === 15) await db.flush();
  }
  disk.kill();
}

function keyOf(index: number): string {
  return String(index).padStart(4, "0");
}

/** How many of the writes are there; they must be the first ones. */
async function open(disk: SimulatedDisk): Promise<number> {
  await using db = await Varve.open(PATH, { ...SMALL, disk, createIfMissing: false });
  await db.verify();
  const left = await db.columnFamily("left");
  for (const value of [...db.values(), ...left.values()]) assert.equal(value.length, 5_000);
  const keys = [...db.keys(), ...left.keys()].map((key) => new TextDecoder().decode(key)).sort();
  assert.deepEqual(keys, keys.map((_, index) => keyOf(index)));
  assert.ok(keys.length >= SYNCED, `${keys.length} of ${SYNCED} synced writes are left`);
  return keys.length;
}

/** A repair that was cut short is done again. */
async function recover(disk: SimulatedDisk): Promise<number> {
  try {
    return await open(disk);
  } catch (error) {
    if (!(error instanceof VarveError) || error.code !== "ERR_CORRUPTION") throw error;
    await Varve.repair(PATH, { disk });
    return await open(disk);
  }
}

test(`a crash behind every operation of a repair: it is done, or can be done again, and what was synced is there (VARVE_SEED=${seed})`, () =>
  seeded(async () => {
    for (const large of [false, true]) {
      const operations = await crashEverywhere(large);
      assert.ok(operations > 15, `it took ${operations} operations`);
    }
  }));

/** After how many operations a repair is done, about. */
async function crashEverywhere(large: boolean): Promise<number> {
  const step = Math.max(1, Math.round(250 / crashes(250)));
  for (let point = 0;; point += step) {
    using disk = new SimulatedDisk({ seed: seed + point });
    await fill(disk, large);
    disk.crashAfter(point);
    const outcome = await Varve.repair(PATH, { disk }).then(() => "done", (error) => error.code);
    disk.crash();
    const found = await recover(disk);
    disk.crash();
    assert.equal(await open(disk), found, "what a recovery found is gone");
    if (outcome === "done") return point;
    assert.equal(outcome, "ERR_CLOSED");
  }
}

test(`a repair after the power failed: the log ends where bytes or values are missing (VARVE_SEED=${seed})`, () =>
  seeded(async () => {
    const found = new Set<number>();
    for (let round = 0; round < crashes(40); round++) {
      using disk = new SimulatedDisk({ seed: seed + round });
      await fill(disk, round % 2 === 1);
      disk.crash();
      await Varve.repair(PATH, { disk });
      disk.crash();
      found.add(await open(disk));
    }
    assert.ok(found.size > 1, `all stores had ${[...found]} writes`);
  }));

test(`any operation of a repair may fail: it is done or throws, and can be done again (VARVE_SEED=${seed})`, () =>
  seeded(async () => {
    const kinds: DiskOperationName[] = ["create", "write", "sync", "rename", "unlink", "list"];
    kinds.push("link", "allocate", "open", "makeDirectory", "syncDirectory");
    let failures = 0;
    for (const kind of kinds) {
      for (let skip = 0; skip < 12; skip++) {
        using disk = new SimulatedDisk({ seed: seed + skip });
        await fill(disk, skip % 2 === 1);
        disk.failNext(kind, "EIO", { skip });
        const outcome = await Varve.repair(PATH, { disk }).then(
          () => "done",
          (error) => error.code,
        );
        disk.clearFaults();
        if (outcome !== "done") {
          assert.equal(outcome, "ERR_IO", `${kind} ${skip}`);
          failures++;
        }
        await recover(disk);
      }
    }
    assert.ok(failures > 20, `${failures} faults met a repair`);
  }));

test("a repair that ran to its end lost nothing, and says so", async () => {
  for (const large of [false, true]) {
    using disk = new SimulatedDisk({ seed: 1 });
    await fill(disk, large);
    const report = await Varve.repair(PATH, { disk });
    assert.deepEqual([report.lostTables, report.lostLogs, report.lostBlobs], [[], [], []]);
    assert.deepEqual(report.columnFamilies, ["default", "left"]);
    assert.equal(report.tables, 4);
    assert.equal(report.blobs > 0, large);
    disk.crash();
    assert.equal(await open(disk), WRITTEN);
  }
});
