/** Replay in the library: the same memtables as the commit path makes, in pieces as well as at once, and what it leaves to others. */
import assert from "node:assert/strict";
import { Applier } from "../../src/commit/apply.ts";
import { encodeEntry, encodeExpiringEntry } from "../../src/format/log_entry.ts";
import { type EntrySink, FrameWalk } from "../../src/log/frame_walk.ts";
import { SEGMENT_START } from "../../src/log/segment.ts";
import { Memtable } from "../../src/memtable/memtable.ts";
import {
  BlobAddress,
  BLOCK_BYTES,
  EntryType,
  LogFrame,
  LogRun,
  MEMTABLE_HEADER_WORDS,
  MemtableHeader,
} from "../../src/native/layout.gen.ts";
import { native } from "../../src/native/library.ts";
import {
  type Region,
  region as regionOf,
  releaseRegion,
  reserveRegion,
} from "../../src/native/region.ts";
import type { Family } from "../../src/tree/family.ts";
import { coded } from "../api/support.ts";
import { test } from "../harness.ts";

const SEGMENT = 7;

interface Entry {
  readonly type: number;
  readonly family: number;
  readonly key: string;
  readonly value: string | Uint8Array;
  readonly expiry?: number;
}

/** Frames of one run each, as they lie in a segment. */
class Segment {
  readonly region = reserveRegion(16 << 20);
  end = SEGMENT_START;
  #chain = 0;
  #sequence = 1;

  frame(entries: readonly Entry[], atBlock = false): void {
    const { u8, u32, f64 } = this.region;
    const start = atBlock ? Math.ceil(this.end / BLOCK_BYTES) * BLOCK_BYTES : this.end;
    const run = start + LogFrame.BYTES;
    let at = run + LogRun.BYTES;
    for (const { type, family, key, value, expiry } of entries) {
      at = expiry === undefined
        ? encodeEntry(u8, u32, at, type, family, key, value)
        : encodeExpiringEntry(u8, u32, at, type, family, key, value, expiry);
    }
    const end = Math.ceil(at / 8) * 8;
    u8.fill(0, at, end);
    u32[(run + LogRun.bytes) >> 2] = end - run;
    u32[(run + LogRun.entryCount) >> 2] = entries.length;
    f64[(run + LogRun.firstSequence) >> 3] = this.#sequence;
    u8.fill(0, start, run);
    u32[(start + LogFrame.payloadBytes) >> 2] = end - run;
    u32[(start + LogFrame.chain) >> 2] = this.#chain;
    f64[(start + LogFrame.segment) >> 3] = SEGMENT;
    this.seal(start, end);
    this.#chain = u32[(start + LogFrame.checksum) >> 2];
    this.#sequence += entries.length;
    this.end = end;
  }

  /** Makes the checksum of a frame right. */
  seal(start: number, end = this.end): void {
    const covered = this.region.u8.slice(start + 4, end);
    const checksum = native().call.varve_checksum(covered, covered.length);
    this.region.u32[(start + LogFrame.checksum) >> 2] = checksum;
  }

  walk(sink: EntrySink, limits: readonly number[] = [this.end]): FrameWalk {
    const walk = new FrameWalk(sink);
    walk.begin({ number: SEGMENT, mark: 0 }, true, 0);
    for (const limit of limits) walk.run(sink, { region: this.region, base: 0 }, limit, "a.log");
    return walk;
  }
}

/** Keys of all lengths, again and again, in two families, with every type of entry that needs nobody's decision. */
function entriesOf(count: number): Entry[] {
  let state = 1;
  const draw = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
  return Array.from({ length: count }, (): Entry => {
    const key = `${draw(20_000)}`.padStart(draw(40), "k");
    const family = 2 + draw(2);
    const value = "v".repeat(draw(100));
    const kind = draw(20);
    if (kind === 0) return { type: EntryType.delete, family, key, value: "" };
    if (kind === 1) return { type: EntryType.merge, family, key, value };
    if (kind === 2) return { type: EntryType.deleteRange, family, key, value: `${key}z` };
    if (kind === 3) return { type: EntryType.putExpiring, family, key, value, expiry: 1e12 };
    return { type: EntryType.put, family, key, value };
  });
}

const newMemtable = (family: number) => Memtable.create(family, 4 << 20, 0, 0);

function wordsIn(memtable: Memtable): Uint32Array {
  return regionOf(memtable.region.id).u32.slice(0, memtable.bytes >> 2);
}

/** A sink that fills these, and refuses nothing that the library can put away. */
function sinkFor(memtables: readonly Memtable[], expires = () => {}): EntrySink {
  const targets = memtables.map(({ region }) => ({
    id: region.u32[MemtableHeader.family >> 2],
    memtable: region.id,
    flushedSequence: 0,
  }));
  const entry = () => assert.fail("nothing is left to anybody");
  return { memtables: { targets: () => targets, nextFamily: 4, entry, expires } };
}

test("replay in the library makes the memtables that the commit path makes, word for word, in pieces as well", () => {
  const segment = new Segment();
  const entries = entriesOf(30_000);
  for (let at = 0; at < entries.length;) {
    const count = 1 + (at * 7) % 97;
    segment.frame(entries.slice(at, at + count), at % 3 === 0);
    at += count;
  }
  const expected = [newMemtable(2), newMemtable(3)];
  const context = reserveRegion(1 << 20);
  const applier = new Applier(context);
  const run = (region: Region, offset: number, number: number) =>
    applier.apply(region, offset, number, (id) => {
      return { memtableFor: () => expected[id - 2] } as unknown as Family;
    });
  segment.walk({ run }).release();
  const slotCount = expected[0].region.u32[MemtableHeader.slotCount >> 2];
  assert.ok(slotCount > 2 * 4096, "the point index grew, and was split");

  const steps = Array.from({ length: 40 }, (_, step) => Math.ceil(segment.end * (step + 1) / 40));
  for (const limits of [[segment.end], steps]) {
    const filled = [newMemtable(2), newMemtable(3)];
    let expiring = 0;
    const walk = segment.walk(sinkFor(filled, () => expiring++), limits);
    assert.deepEqual([walk.offset, walk.lastSequence], [segment.end, entries.length]);
    assert.equal(expiring > 0, applier.sawExpiry);
    for (const [index, memtable] of filled.entries()) {
      assert.deepEqual(wordsIn(memtable), wordsIn(expected[index]));
      memtable.release();
    }
    walk.release();
  }
  for (const memtable of expected) memtable.release();
  releaseRegion(context.id);
  releaseRegion(segment.region.id);
});

test("replay in the library leaves addresses, unknown families and full memtables to its caller, and passes dropped families over", () => {
  const segment = new Segment();
  const put = (family: number, key: string, value: string | Uint8Array = ""): Entry => {
    return { type: EntryType.put, family, key, value };
  };
  const address = new Uint8Array(BlobAddress.BYTES);
  segment.frame([
    put(2, "a"),
    put(3, "dropped"),
    { ...put(2, "large", address), type: EntryType.putBlob },
    put(2, "flushed before"),
    put(9, "unknown"),
    put(2, "too much", "x".repeat(5_000)),
    put(2, "b"),
  ]);
  const memtable = newMemtable(2);
  const left: number[] = [];
  const fill = (budgetWords: number, flushedSequence: number): EntrySink => {
    const { u32, id: region } = memtable.region;
    u32[MemtableHeader.budgetWords >> 2] = budgetWords;
    const targets = () => [{ id: 2, memtable: region, flushedSequence }];
    const entry = (_region: Region, _offset: number, sequence: number) => left.push(sequence);
    return { memtables: { targets, nextFamily: 4, entry, expires: () => {} } };
  };
  segment.walk(fill((memtable.bytes >> 2) + 1_000, 0)).release();
  assert.deepEqual(left, [3, 5, 6]);
  assert.equal(memtable.entryCount, 3);
  left.length = 0;
  segment.walk(fill(1 << 20, 6)).release();
  assert.deepEqual(left, [5]);
  assert.equal(memtable.entryCount, 4);
  memtable.release();
  releaseRegion(segment.region.id);
});

test("a run that makes no sense under a right checksum ends the replay with its place, and nothing of it is applied", () => {
  const run = SEGMENT_START + LogFrame.BYTES;
  const harm: Record<string, (region: Region) => void> = {
    "more entries than it holds": ({ u32 }) => u32[(run + LogRun.entryCount) >> 2]++,
    "a key beyond its end": ({ u32 }) => u32[(run + LogRun.BYTES) >> 2] |= 0xffff_0000,
    "no type": ({ u32 }) => u32[(run + LogRun.BYTES) >> 2] &= 0xffff_0000,
    "no whole words": ({ u32 }) => u32[(run + LogRun.bytes) >> 2] -= 4,
    "bytes beyond its frame": ({ u32 }) => u32[(run + LogRun.bytes) >> 2] += 8,
    "a sequence number of zero": ({ f64 }) => f64[(run + LogRun.firstSequence) >> 3] = 0,
    "a sequence number beyond all": ({ f64 }) => f64[(run + LogRun.firstSequence) >> 3] = 2 ** 53,
    "no number": ({ f64 }) => f64[(run + LogRun.firstSequence) >> 3] = NaN,
  };
  for (const [name, change] of Object.entries(harm)) {
    const segment = new Segment();
    segment.frame([{ type: EntryType.put, family: 2, key: "key", value: "value" }]);
    change(segment.region);
    segment.seal(SEGMENT_START);
    const memtable = newMemtable(2);
    assert.throws(() => segment.walk(sinkFor([memtable])), coded("ERR_CORRUPTION"), name);
    assert.equal(memtable.entryCount, 0, name);
    assert.ok(memtable.bytes >> 2 > MEMTABLE_HEADER_WORDS);
    memtable.release();
    releaseRegion(segment.region.id);
  }
});
