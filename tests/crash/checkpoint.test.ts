/** Checkpoints on the simulated disk: a crash, or a fault, at every operation of one. */
import assert from "node:assert/strict";
import { Varve, VarveError } from "../../mod.ts";
import { type DiskOperationName, everyCrash, SimulatedDisk } from "../../testing.ts";
import { test } from "../harness.ts";
import { stateOf } from "./driver.ts";
import { isSame, show, type State } from "./history.ts";
import { crashes, seed, seeded, SMALL } from "./support.ts";

const PATH = "/home/user/data";
const COPY = "/backup/today/copy";
/** All values in log and tables, and those from 1 KiB on in blob segments. */
const THRESHOLDS = [Infinity, 1024];

/** No file that got a second name is written, cut off or lengthened from then on, under either. */
function assertLinkedStay(operations: readonly string[]): void {
  const linked = new Set<string>();
  for (const line of operations) {
    const [, kind, path] = line.split(" ");
    const name = path?.split("/").at(-1) ?? "";
    if (kind === "link") linked.add(name);
    if (!linked.has(name)) continue;
    assert.ok(!["write", "truncate", "allocate"].includes(kind), line);
  }
}

/** A store whose state is spread over tables, a log of several segments, and memory alone. */
async function fill(db: Varve): Promise<void> {
  const left = await db.columnFamily("left");
  await db.put("a", "1".repeat(3_000));
  await left.put("a", "2");
  await db.flush();
  await db.put("b", "3".repeat(40_000));
  await db.put("c", "4".repeat(40_000), { durability: "buffered" });
  await left.put("d", "5", { durability: "volatile" });
  await db.put("e", "6", { durability: "buffered" });
  await left.put("e", "7".repeat(5_000), { durability: "volatile" });
}

async function openCopy(disk: SimulatedDisk): Promise<State | undefined> {
  try {
    await using db = await Varve.open(COPY, { ...SMALL, disk, createIfMissing: false });
    await db.verify();
    return stateOf(db);
  } catch (error) {
    if (error instanceof VarveError && error.code === "ERR_NOT_FOUND") return undefined;
    throw error;
  }
}

interface Promised {
  readonly state: State;
  /** Whether the checkpoint had resolved. */
  readonly made: boolean;
}

for (const blobThreshold of THRESHOLDS) {
  test(`a crash behind every operation of a checkpoint, values in segments from ${blobThreshold}: it is whole or not there, and the original loses nothing (VARVE_SEED=${seed})`, () =>
    seeded(async () => {
      const { crashes: count } = await everyCrash<Promised>(
        async (disk, note) => {
          const db = await Varve.open(PATH, { ...SMALL, disk, blobThreshold });
          await fill(db);
          await db.sync();
          const state = stateOf(db);
          note({ state, made: false });
          await db.checkpoint(COPY);
          note({ state, made: true });
          await db.put("later", "7".repeat(2_000));
          await db.close();
        },
        async (disk, notes) => {
          const last = notes.at(-1);
          const found = await openCopy(disk);
          if (last === undefined) return assert.equal(found, undefined);
          if (last.made) assert.ok(found !== undefined, "the checkpoint is gone");
          if (found !== undefined) {
            assert.ok(isSame(found, last.state), `${show(found)} instead of ${show(last.state)}`);
          }
          await using db = await Varve.open(PATH, { ...SMALL, disk, blobThreshold });
          const original = stateOf(db);
          original.get("default")!.delete("later");
          // What was volatile may be gone with the crash.
          for (const state of [original, last.state]) {
            for (const key of ["d", "e"]) state.get("left")!.delete(key);
          }
          assert.ok(isSame(original, last.state), `${show(original)} is left of the original`);
          if (found === undefined) {
            // What the crash left is in nobody's way.
            await db.checkpoint(COPY);
            assert.ok((await openCopy(disk)) !== undefined);
          } else {
            await assert.rejects(db.checkpoint(COPY), { code: "ERR_EXISTS" });
          }
          assertLinkedStay(disk.operations);
        },
        { seed, outcomes: Math.max(1, Math.ceil(crashes(250) / 60)) },
      );
      assert.ok(count > 60);
    }));
}

test(`any operation of a checkpoint may fail: it is made or it throws, and nothing of it stays in the way (VARVE_SEED=${seed})`, () =>
  seeded(async () => {
    const kinds: DiskOperationName[] = [
      "create",
      "write",
      "sync",
      "allocate",
      "truncate",
      "rename",
      "unlink",
      "makeDirectory",
      "syncDirectory",
      "open",
      "read",
      "list",
      "link",
    ];
    let failures = 0;
    for (const [at, kind] of kinds.entries()) {
      for (let skip = 0; skip < 20; skip++) {
        const blobThreshold = THRESHOLDS[(at + skip + seed) % 2];
        using disk = new SimulatedDisk({ seed: seed + skip });
        const db = await Varve.open(PATH, { ...SMALL, disk, blobThreshold });
        await fill(db);
        const state = stateOf(db);
        disk.failNext(kind, "EIO", { skip });
        const outcome = await db.checkpoint(COPY).then(() => "made", (error) => error);
        disk.clearFaults();
        if (outcome !== "made") {
          assert.ok(outcome instanceof VarveError && outcome.code === "ERR_IO", String(outcome));
          failures++;
        }
        assert.ok(isSame(stateOf(db), state), `${kind} ${skip}: readers see something else`);
        const found = await openCopy(disk);
        if (outcome === "made") assert.ok(found !== undefined);
        if (found !== undefined) assert.ok(isSame(found, state), `${kind} ${skip}: ${show(found)}`);
        // A failure of the store's own, while it flushed, may have ended its writes.
        if (found === undefined && db.stats().failure === null) {
          await db.checkpoint(COPY);
          assert.ok(isSame((await openCopy(disk))!, state));
        }
        await db.close().catch((error) => assert.equal(error.code, "ERR_IO"));
      }
    }
    assert.ok(failures > 30, `${failures} faults met a checkpoint`);
  }));

test(`a full disk: ERR_NO_SPACE, and the checkpoint is made when there is room (VARVE_SEED=${seed})`, () =>
  seeded(async () => {
    using disk = new SimulatedDisk({ seed });
    await using db = await Varve.open(PATH, { ...SMALL, disk });
    await fill(db);
    await db.flush();
    await db.put("f", "8".repeat(30_000));
    disk.capacity = 1;
    await assert.rejects(db.checkpoint(COPY), { code: "ERR_NO_SPACE" });
    disk.clearFaults();
    await db.put("g", "9");
    await db.checkpoint(COPY);
    assert.ok(isSame((await openCopy(disk))!, stateOf(db)));
  }));
