/** Repairs on the simulated disk: a crash, or a fault, at every operation of one. */
import assert from "node:assert/strict";
import { Varve, VarveError } from "../../mod.ts";
import { type DiskOperationName, SimulatedDisk } from "../../testing.ts";
import { test } from "../harness.ts";
import { crashes, seed, seeded, SMALL } from "./support.ts";

const PATH = "/home/user/data";
const SYNCED = 24;
const WRITTEN = 30;

/** Numbered writes over two families: tables, several segments, and a tail that is not synced. The process dies. */
async function fill(disk: SimulatedDisk): Promise<void> {
  const db = await Varve.open(PATH, { ...SMALL, disk });
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
    let cutShort = 0;
    const step = Math.max(1, Math.round(250 / crashes(250)));
    for (let point = 0, done = false; !done; point += step) {
      using disk = new SimulatedDisk({ seed: seed + point });
      await fill(disk);
      disk.crashAfter(point);
      const outcome = await Varve.repair(PATH, { disk }).then(() => "done", (error) => error.code);
      done = outcome === "done";
      if (!done) {
        assert.equal(outcome, "ERR_CLOSED");
        cutShort++;
      }
      disk.crash();
      const found = await recover(disk);
      disk.crash();
      assert.equal(await open(disk), found, "what a recovery found is gone");
    }
    assert.ok(cutShort > 20, `${cutShort} crashes`);
  }));

test(`any operation of a repair may fail: it is done or throws, and can be done again (VARVE_SEED=${seed})`, () =>
  seeded(async () => {
    const kinds: DiskOperationName[] = ["create", "write", "sync", "rename", "unlink", "list"];
    kinds.push("link", "allocate", "open", "makeDirectory", "syncDirectory");
    let failures = 0;
    for (const kind of kinds) {
      for (let skip = 0; skip < 12; skip++) {
        using disk = new SimulatedDisk({ seed: seed + skip });
        await fill(disk);
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
  using disk = new SimulatedDisk({ seed: 1 });
  await fill(disk);
  const report = await Varve.repair(PATH, { disk });
  assert.deepEqual(report.lostTables, []);
  assert.deepEqual(report.columnFamilies, ["default", "left"]);
  assert.equal(report.tables, 4);
  disk.crash();
  assert.equal(await open(disk), WRITTEN);
});
