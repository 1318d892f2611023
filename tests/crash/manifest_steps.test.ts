/**
 * What the manifest's own steps promise when they return, before anything that comes later can make up for them: the store that
 * opens a directory syncs it once more, and would hide a sync that a step left out.
 */
import assert from "node:assert/strict";
import { openDirectory } from "../../src/native/store_handle.ts";
import { simulatedDiskOf } from "../../src/native/simulated_disks.ts";
import { runTaskSync } from "../../src/native/task.ts";
import { Foundation } from "../../src/store/store.ts";
import { Manifest } from "../../src/tree/manifest.ts";
import { Varve } from "../../mod.ts";
import { everyCrash, SimulatedDisk } from "../../testing.ts";
import { test } from "../harness.ts";
import { seed } from "./support.ts";

const PATH = "/data";
const STORE_ID = { low: 1, high: 2 };
const OUTCOMES = 40;

/** Gives a test the store's directory, and lets the power fail when it is done. */
function untilPowerFails(disk: SimulatedDisk, use: (foundation: Foundation) => void): void {
  const { id } = simulatedDiskOf(disk)!;
  const { handle } = openDirectory(id, PATH, true, false, 2);
  const foundation = new Foundation(handle, PATH, id, true);
  use(foundation);
  disk.crash();
  foundation.release();
}

/** The families that the manifest on the disk names. */
function familiesOf(disk: SimulatedDisk): string[] {
  let names: string[] = [];
  untilPowerFails(disk, ({ jobs, files, health }) => {
    const manifest = runTaskSync(jobs, Manifest.open(files, health, false));
    names = Array.from(manifest.state.families.values(), ({ name }) => name);
  });
  return names;
}

test(`a manifest that was made is there, pointer and all, when the power fails at once (VARVE_SEED=${seed})`, () => {
  for (let outcome = 0; outcome < OUTCOMES; outcome++) {
    using disk = new SimulatedDisk({ seed: seed + outcome });
    untilPowerFails(disk, ({ jobs, files, health }) => {
      runTaskSync(jobs, Manifest.create(files, health, STORE_ID));
    });
    assert.deepEqual(familiesOf(disk), ["default"], `outcome ${outcome}`);
  }
});

test(`an edit that began the manifest anew is there when the power fails at once (VARVE_SEED=${seed})`, () => {
  for (let outcome = 0; outcome < OUTCOMES; outcome++) {
    using disk = new SimulatedDisk({ seed: seed + outcome });
    const names = ["default"];
    untilPowerFails(disk, ({ jobs, files, health }) => {
      const manifest = runTaskSync(jobs, Manifest.create(files, health, STORE_ID));
      const first = manifest.number;
      for (let id = 1; manifest.number === first; id++) {
        const name = `a family with a long name ${id}`;
        names.push(name);
        const createdFamilies = [{ id, name }];
        runTaskSync(jobs, manifest.append(() => ({ createdFamilies, nextFamilyId: id + 1 })));
      }
    });
    assert.deepEqual(familiesOf(disk), names, `outcome ${outcome}`);
  }
});

test(`a crash behind every operation of a store's making leaves a store, or what the next open makes one of (VARVE_SEED=${seed})`, async () => {
  const { crashes } = await everyCrash<string>(
    async (disk, note) => {
      const db = await Varve.open(PATH, { disk });
      note("made");
      await db.close();
    },
    async (disk, notes) => {
      await using db = await Varve.open(PATH, { disk, createIfMissing: notes.length === 0 });
      assert.deepEqual(db.columnFamilies(), ["default"]);
    },
    { seed, outcomes: OUTCOMES },
  );
  assert.ok(crashes > 15 * OUTCOMES);
});
