/**
 * Files made to mislead: numbers, lengths and counts of any size under checksums that are right. What such a store says is what
 * its maker wrote; asked for is an error with a code or an answer, soon, and in bounded memory.
 */
import assert from "node:assert/strict";
import { test } from "../harness.ts";
import { processStatus } from "../api/support.ts";
import { seed } from "../crash/support.ts";
import {
  checksumOfRecord,
  decodeManifest,
  encodeManifestRecord,
  encodePointer,
  MANIFEST_HEADER_BYTES,
} from "../../src/format/manifest_file.ts";
import {
  BlobAddress,
  BLOCK_BYTES,
  EntryType,
  LogEntry,
  LogFrame,
  LogRun,
  LogSegmentHeader,
} from "../../src/native/layout.gen.ts";
import { native } from "../../src/native/library.ts";
import { below, chanceOf, isWhole, randomBytes } from "./chance.ts";
import {
  closedStore,
  diskWith,
  type Files,
  killedStore,
  look,
  openOn,
  withFile,
} from "./specimen.ts";

const ROUNDS = isWhole ? 20_000 : 500;
/** The files take some hundred kilobytes; a length that was believed takes gigabytes. */
const MEMORY_KIB_MAX = 400_000;

/** Words that lengths, counts and numbers go wrong with. */
const WORDS = [
  0,
  1,
  7,
  8,
  0x7f,
  0xff,
  0x8000,
  0xffff,
  0x10000,
  0x7fffffff,
  0x80000000,
  0xfffffff0,
  0xffffffff,
];

function checksum(bytes: Uint8Array): number {
  return native().call.varve_checksum(bytes, bytes.length) >>> 0;
}

/** Changes one place: a byte, or a word, or some bytes at random. */
function disturb(bytes: Uint8Array, from: number, to: number, chance: () => number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const offset = from + below(chance, Math.max(to - from, 1));
  const word = offset - offset % 4;
  switch (below(chance, 4)) {
    case 0:
      bytes[offset] = [0, 0x7f, 0x80, 0xff][below(chance, 4)];
      break;
    case 1:
      if (word + 4 <= to) view.setUint32(word, WORDS[below(chance, WORDS.length)], true);
      break;
    case 2:
      if (word + 4 <= to) {
        view.setUint32(word, view.getUint32(word, true) + below(chance, 9) - 4, true);
      }
      break;
    default:
      bytes.set(randomBytes(chance, Math.min(to - offset, 1 + below(chance, 12))), offset);
  }
}

/** Looks at every round's files: anything but an error with a code is thrown by `look`. Returns how many were refused. */
async function refusals(files: () => Files): Promise<number> {
  const before = processStatus("VmHWM");
  let refused = 0;
  for (let round = 0; round < ROUNDS; round++) {
    try {
      if (await look(files()) !== "intact") refused++;
    } catch (error) {
      throw new Error(`round ${round}, VARVE_SEED=${seed}: ${error}`, { cause: error });
    }
  }
  const after = processStatus("VmHWM");
  if (before !== undefined && after !== undefined) {
    assert.ok(after - before < MEMORY_KIB_MAX, `${after - before} KiB were taken`);
  }
  return refused;
}

test(`a pointer that names any manifest (VARVE_SEED=${seed})`, async () => {
  const { files } = await closedStore();
  for (const number of [0, 1, 45, 2 ** 31, 2 ** 32, 2 ** 53 - 1, 1e16 - 2]) {
    const pointer = encodePointer(number);
    assert.equal(await look(withFile(files, "CURRENT", pointer)), "ERR_CORRUPTION", String(number));
  }
});

test(`manifests whose records were changed and sealed again (VARVE_SEED=${seed})`, async () => {
  const { files } = await closedStore();
  const name = [...files.keys()].find((file) => file.startsWith("MANIFEST"))!;
  const content = files.get(name)!;
  const { header, records } = decodeManifest(content, name);
  const chance = chanceOf("manifests");
  const refused = await refusals(() => {
    const made = content.slice();
    let chain = header.checksum;
    let offset = MANIFEST_HEADER_BYTES;
    const chosen = below(chance, records.length);
    for (const [index, { payload }] of records.entries()) {
      let changed = payload.slice();
      if (index === chosen) {
        if (below(chance, 4) === 0) changed = changed.slice(0, below(chance, changed.length));
        else {for (let count = 1 + below(chance, 3); count > 0; count--) {
            disturb(changed, 0, changed.length, chance);
          }}
      }
      const record = encodeManifestRecord(changed, chain);
      made.set(record, offset);
      offset += record.length;
      chain = checksumOfRecord(record);
    }
    return withFile(files, name, made.fill(0, offset));
  });
  assert.ok(refused > ROUNDS / 4, `${refused} of ${ROUNDS} were refused`);
});

// Manifest numbers have up to sixteen digits, and the last of those are no safe integers.
// A pointer that named one, with the right checksum, was refused as an argument that the caller never gave.
// It is damage like any other.
test("a pointer to a manifest whose number is too large for a number is ERR_CORRUPTION", async () => {
  const { files } = await closedStore();
  const pointer = encodePointer(1e16 - 2);
  assert.equal(await look(withFile(files, "CURRENT", pointer)), "ERR_CORRUPTION");
});

// A range delete that ended before it began came from a log made to mislead, and got into a memtable.
// The first cursor over it read the address before an empty list of bounds: the process was gone.
// Nobody writes such an entry, so replay takes it for what it is.
test("a log with a range delete that ends before it begins is ERR_CORRUPTION", async () => {
  const { files } = await killedStore();
  let changed = 0;
  const made = withEntriesChanged(files, (log, entry) => {
    if (typeAt(log, entry) !== EntryType.deleteRange) return;
    const key = entry + LogEntry.BYTES;
    assert.equal(String.fromCharCode(log.getUint8(key), log.getUint8(key + 4)), "bc");
    log.setUint8(key + 4, "a".charCodeAt(0));
    changed++;
  });
  assert.equal(changed, 1);
  assert.equal(await look(made), "ERR_CORRUPTION");
});

// Memory was taken for whatever length an address claimed, and the segment asked after that.
test("a value that claims more bytes than its segment has is ERR_CORRUPTION to every reader", async () => {
  const { files } = await killedStore();
  for (const bytes of [300_000, 500_000_000, 2 ** 30, 2 ** 30 + 1, 2 ** 32 - 1]) {
    let changed = 0;
    const made = withEntriesChanged(files, (log, entry) => {
      const length = entry + LogEntry.BYTES + 4 + BlobAddress.bytes;
      if (typeAt(log, entry) !== EntryType.putBlob || log.getUint32(length, true) !== 2_000) return;
      log.setUint32(length, bytes, true);
      changed++;
    });
    assert.equal(changed, 1);
    using disk = diskWith(made);
    await using db = await openOn(disk);
    const family = await db.columnFamily("left");
    assert.throws(() => family.getSync("b"), { code: "ERR_CORRUPTION" }, String(bytes));
    await assert.rejects(family.get("b"), { code: "ERR_CORRUPTION" }, String(bytes));
    assert.throws(() => [...family.entries()], { code: "ERR_CORRUPTION" }, String(bytes));
  }
});

function typeAt(log: DataView, entry: number): number {
  return log.getUint32(entry, true) & 0xff;
}

/** The files with the first entry of each frame of the first log segment changed, and the frames sealed again. */
function withEntriesChanged(
  files: Files,
  change: (log: DataView, entry: number) => void,
): Files {
  const name = [...files.keys()].find((file) => file.endsWith(".log"))!;
  const made = files.get(name)!.slice();
  const view = new DataView(made.buffer);
  const frames = framesOf(made, parseInt(name));
  for (const frame of frames) change(view, frame + LogFrame.BYTES + LogRun.BYTES);
  sealAgain(made, frames);
  return withFile(files, name, made);
}

/** Checksums that are right again, and each frame's word of the one before. */
function sealAgain(log: Uint8Array, frames: readonly number[]): void {
  const view = new DataView(log.buffer);
  for (const [index, frame] of frames.entries()) {
    if (index > 0) {
      view.setUint32(frame + LogFrame.chain, view.getUint32(frames[index - 1], true), true);
    }
    view.setUint32(frame, checksum(log.slice(frame + 4, frameEnd(view, frame))), true);
  }
}

/** Where the frame at an offset says that it ends. */
function frameEnd(log: DataView, frame: number): number {
  return frame + LogFrame.BYTES + log.getUint32(frame + LogFrame.payloadBytes, true);
}

/** Where the frames of a segment begin, in order. */
function framesOf(content: Uint8Array, number: number): number[] {
  const view = new DataView(content.buffer, content.byteOffset);
  const frames: number[] = [];
  for (let offset = BLOCK_BYTES; offset + LogFrame.BYTES <= content.length; offset += 8) {
    const end = frameEnd(view, offset);
    if (view.getFloat64(offset + LogFrame.segment, true) !== number) continue;
    if (end > content.length) continue;
    if (checksum(content.slice(offset + 4, end)) === view.getUint32(offset, true)) {
      frames.push(offset);
    }
  }
  return frames;
}

test(`log frames whose runs and entries were changed and sealed again (VARVE_SEED=${seed})`, async () => {
  const { files } = await killedStore();
  const name = [...files.keys()].find((file) => file.endsWith(".log"))!;
  const content = files.get(name)!;
  const frames = framesOf(content, parseInt(name));
  assert.ok(frames.length >= 5, `${frames.length} frames`);
  const chance = chanceOf("frames");
  const refused = await refusals(() => {
    const made = content.slice();
    const frame = frames[below(chance, frames.length)];
    // Of the header only what says how far the log was synced: the rest is what makes it this frame.
    const from = below(chance, 4) === 0 ? frame + LogFrame.syncedSegment : frame + LogFrame.BYTES;
    disturb(made, from, frameEnd(new DataView(made.buffer), frame), chance);
    sealAgain(made, frames);
    return withFile(files, name, made);
  });
  assert.ok(refused > ROUNDS / 20, `${refused} of ${ROUNDS} were refused`);
});

test(`segment headers that were changed and sealed again (VARVE_SEED=${seed})`, async () => {
  const { files } = await closedStore();
  const name = [...files.keys()].find((file) => file.endsWith(".log"))!;
  const content = files.get(name)!;
  const chance = chanceOf("headers");
  const start = LogSegmentHeader.checksum + 4;
  const refused = await refusals(() => {
    const made = content.slice();
    disturb(made, start, LogSegmentHeader.BYTES, chance);
    new DataView(made.buffer).setUint32(
      LogSegmentHeader.checksum,
      checksum(made.slice(start, LogSegmentHeader.BYTES)),
      true,
    );
    return withFile(files, name, made);
  });
  assert.ok(refused > ROUNDS / 4, `${refused} of ${ROUNDS} were refused`);
});

test("a header that claims the rest of the segment, at every block: the search for frames gives up", async () => {
  const { files } = await killedStore();
  const name = [...files.keys()].filter((each) => each.endsWith(".log")).toSorted().at(-1)!;
  const blockCount = 400;
  const log = new Uint8Array(files.get(name)!.length + blockCount * BLOCK_BYTES);
  log.set(files.get(name)!);
  const view = new DataView(log.buffer);
  const first = files.get(name)!.length;
  for (let place = first; place < log.length; place += BLOCK_BYTES) {
    view.setFloat64(place + LogFrame.segment, Number.parseInt(name, 10), true);
    view.setUint32(place + LogFrame.payloadBytes, log.length - place - LogFrame.BYTES, true);
  }
  assert.equal(await look(withFile(files, name, log)), "ERR_CORRUPTION");
});
