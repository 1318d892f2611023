/** Log segments that are written again: whatever stands in them already counts for nothing, and they cost a header. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { native } from "../../src/native/library.ts";
import { BLOCK_BYTES, LogEntry, LogFrame, LogRun } from "../../src/native/layout.gen.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { inspectFile, Varve } from "../../mod.ts";
import { SimulatedDisk } from "../../testing.ts";

const PATH = "/store";
const SMALL = { walSegmentSize: 65_536, writeBufferSize: 65_536 };
const VALUE_BYTES = 5 * BLOCK_BYTES;
const KEY_BYTES = 8;
/** Where in its value a put has the next block's start. */
const BLOCK_IN_VALUE = BLOCK_BYTES - LogFrame.BYTES - LogRun.BYTES - LogEntry.BYTES - KEY_BYTES;

const nameOf = (segment: number): string => `${segment}`.padStart(6, "0") + ".log";
const keyOf = (index: number): string => `${index}`.padStart(KEY_BYTES, "0");

/** The numbers of the segments that were made of older ones. */
function reused(disk: SimulatedDisk): number[] {
  return disk.operations.flatMap((line) => {
    const found = /rename \S+\.temporary to (?:\S*\/)?(\d+)\.log/.exec(line);
    return found === null ? [] : [Number(found[1])];
  });
}

/** Synced puts of `value`, until so many segments were made of older ones. Returns how many. */
async function fill(disk: SimulatedDisk, db: Varve, value: Uint8Array, segments: number) {
  let written = 0;
  while (reused(disk).length < segments) {
    assert.ok(written < 5000, "segments are used again");
    await db.put(keyOf(written++), value);
  }
  return written;
}

function keepsSome(disk: SimulatedDisk): boolean {
  return disk.files(PATH).some(({ name }) => name.endsWith(".temporary"));
}

/** Synced puts of `value`, until a segment is kept that nobody needs. Returns how many. */
async function fillUntilKept(disk: SimulatedDisk, db: Varve, value: Uint8Array) {
  let written = 0;
  while (!keepsSome(disk)) {
    assert.ok(written < 1000, "a segment is kept");
    await db.put(keyOf(written++), value);
  }
  return written;
}

test("under synced writes and flushes old segments become new ones, and a crash or a close keeps everything", async () => {
  for (const closed of [false, true]) {
    using disk = new SimulatedDisk({ seed: 3 });
    const db = await Varve.open(PATH, { ...SMALL, disk, durability: "sync" });
    const value = new Uint8Array(1000).fill(1);
    const written = await fill(disk, db, value, 20);
    const made = disk.operations.filter((line) => /allocate \S+\.log/.test(line)).length;
    assert.ok(made <= 15, `${made} segments were made anew beside 20 that were not`);
    if (closed) {
      await db.close();
      assert.ok(!keepsSome(disk), "a close leaves none");
    } else {
      disk.crash();
    }
    const again = await Varve.open(PATH, { ...SMALL, disk });
    for (let index = 0; index < written; index++) {
      assert.ok(sameBytes(again.getSync(keyOf(index)), value), `put ${index} of ${written}`);
    }
    await again.close();
  }
});

test("frames that a user wrote as a value do not count in a segment that is made of theirs", async () => {
  // The first run says which number the segment will have, the second has frames of that number in every value.
  let number = 0;
  for (const run of ["plain", "forged"]) {
    using disk = new SimulatedDisk({ seed: 5 });
    const db = await Varve.open(PATH, { ...SMALL, disk, durability: "sync" });
    const value = run === "plain" ? new Uint8Array(VALUE_BYTES).fill(1) : forgedValue(number);
    const written = await fill(disk, db, value, 3);
    const found = reused(disk).at(-1)!;
    if (run === "plain") number = found;
    else assert.equal(found, number, "both runs are the same");
    disk.kill();

    const content = disk.readFile(`${PATH}/${nameOf(number)}`);
    // Of the put before, the last one in the file, they lie behind the end of the log.
    const places = placesOf(content, forgedFrame(number)).filter((place) =>
      place > VALUE_BYTES * 1.5
    );
    assert.equal(places.length > 0, run === "forged", `frames at ${places}`);
    const again = await Varve.open(PATH, { ...SMALL, disk });
    assert.ok(sameBytes(again.getSync(keyOf(written - 1)), value));
    await again.close();
  }
});

test("a log that turns to buffered writes gives back the space of a segment that it had kept", async () => {
  using disk = new SimulatedDisk({ seed: 3 });
  const db = await Varve.open(PATH, { ...SMALL, disk, durability: "sync" });
  const value = new Uint8Array(VALUE_BYTES).fill(1);
  const written = await fillUntilKept(disk, db, value);
  for (let buffered = 0; keepsSome(disk); buffered++) {
    assert.ok(buffered < 100, "the segment is given back");
    await db.put(keyOf(written + buffered), value, { durability: "buffered" });
  }
  await db.close();
});

test("a flush that finds the disk full takes the space that the log had kept", async () => {
  using disk = new SimulatedDisk({ seed: 3 });
  const db = await Varve.open(PATH, { ...SMALL, disk, durability: "sync" });
  // Padded to blocks, they fill several segments before a flush lets go of them.
  await fillUntilKept(disk, db, new Uint8Array(1000).fill(1));
  await db.put("another", new Uint8Array(VALUE_BYTES).fill(2));
  assert.ok(keepsSome(disk));
  // Less than the table takes.
  disk.capacity = 8192 + disk.files(PATH).reduce((sum, { bytes }) => sum + bytes, 0);
  await db.flush();
  assert.equal(db.stats().columnFamilies.default.memtableEntries, 0);
  await db.close();
});

test("a segment that a checkpoint copies is not written again before it has", async () => {
  using disk = new SimulatedDisk({ seed: 3 });
  const db = await Varve.open(PATH, { ...SMALL, disk, durability: "sync" });
  const value = new Uint8Array(VALUE_BYTES).fill(1);
  const written = await fill(disk, db, value, 2);
  disk.delay("link", 5000);
  const changed = value.map((byte) => byte + 1);
  let isCopied = false;
  const copied = db.checkpoint("/copy").then(() => isCopied = true);
  for (let index = 0; index < 30; index++) await db.put(keyOf(index), changed);
  assert.ok(!isCopied, "the puts are over first");
  disk.delay("link", 0);
  await copied;
  await fill(disk, db, value, 6);
  await db.close();

  const copy = await Varve.open("/copy", { ...SMALL, disk });
  for (let index = 0; index < written; index++) {
    const found = copy.getSync(keyOf(index))!;
    assert.equal(found.length, VALUE_BYTES);
    // The copy is of some moment among the puts.
    assert.ok(found[0] <= 2 && found.every((byte) => byte === found[0]), `put ${index}`);
  }
  await copy.close();
});

test("a segment made of an older one is shown as such, and what it still holds is no damage", async () => {
  using disk = new SimulatedDisk({ seed: 3 });
  const db = await Varve.open(PATH, { ...SMALL, disk, durability: "sync" });
  await fill(disk, db, new Uint8Array(VALUE_BYTES).fill(1), 1);
  disk.kill();
  const [number] = reused(disk);
  const path = join(temporaryDirectory(), nameOf(number));
  writeFileSync(path, disk.readFile(`${PATH}/${nameOf(number)}`));
  const kinds: string[] = [];
  for await (const { kind, fields } of inspectFile(path)) {
    kinds.push(kind);
    if (kind === "header") assert.equal(fields.reused, true);
  }
  assert.ok(kinds.includes("frame"), `${kinds}`);
});

function sameBytes(found: Uint8Array | undefined, value: Uint8Array): boolean {
  return found?.length === value.length && value.every((byte, index) => byte === found[index]);
}

/** A value with such a frame at every block's start. */
function forgedValue(number: number): Uint8Array {
  const value = new Uint8Array(VALUE_BYTES).fill(1);
  const frame = forgedFrame(number);
  for (let at = BLOCK_IN_VALUE; at + frame.length <= value.length; at += BLOCK_BYTES) {
    value.set(frame, at);
  }
  return value;
}

/** A sound frame of a new file of that number, which says that far more of the log was synced than there is. */
function forgedFrame(number: number): Uint8Array {
  const frame = new Uint8Array(LogFrame.BYTES);
  const view = new DataView(frame.buffer);
  view.setFloat64(LogFrame.segment, number, true);
  view.setFloat64(LogFrame.syncedSegment, number, true);
  view.setFloat64(LogFrame.syncedOffset, 1e6, true);
  const covered = frame.slice(LogFrame.checksum + 4);
  view.setUint32(LogFrame.checksum, native().call.varve_checksum(covered, covered.length), true);
  return frame;
}

/** The blocks that begin with these bytes. */
function placesOf(content: Uint8Array, front: Uint8Array): number[] {
  const places: number[] = [];
  for (let at = 0; at + front.length <= content.length; at += BLOCK_BYTES) {
    if (front.every((byte, index) => content[at + index] === byte)) places.push(at);
  }
  return places;
}
