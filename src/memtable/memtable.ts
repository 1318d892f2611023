/**
 * A memtable: one region of native memory that holds a family's latest entries, with a point index by hash.
 *
 * Promises: an entry never changes once it is reachable; readers take no lock and see, for the sequence number that
 * they loaded *before* they call `find`, every entry up to it. One thread inserts at a time (under the pipeline's claim);
 * Zig extends the ordered index beside it and allocates from the same tail; `memtable_writer.zig` inserts as this does. Layout:
 * `zig/src/abi.zig`.
 *
 * Readers load plainly, for an `Atomics.load` takes 10 to 20 ns. That is enough: the sequence number was published by an atomic
 * store, and read by an atomic load, after everything up to it was whole. Of what is newer a reader may meet the offset of an
 * entry or of a slot array, stored atomically once that is whole, and reads the rest through that very offset.
 */
import { compareBytes } from "../base/bytes.ts";
import { sequenceHigh, sequenceLow, sequenceOf } from "../base/sequence.ts";
import { copyWords, wordsOf } from "../base/words.ts";
import {
  EntryType,
  MEMTABLE_HEADER_WORDS,
  MemtableEntry,
  MemtableHeader,
} from "../native/layout.gen.ts";
import { native } from "../native/library.ts";
import { nativeError } from "../native/failure.ts";
import { forgetRegion, type Region, region, reserveRegion } from "../native/region.ts";
import { Arena, FIRST_VIEWED_BYTES, INDEX_RESERVE_BYTES } from "./arena.ts";
import type { KeyProbe } from "./key_probe.ts";
import { FIRST_INDEX_WORDS, OUT_OF_VIEW, PointIndex } from "./point_index.ts";

const TAIL = MemtableHeader.tailWords >> 2;
const NEWEST = MemtableHeader.newestEntry >> 2;
const ENTRY_COUNT = MemtableHeader.entryCount >> 2;
const LAST_SEQUENCE = MemtableHeader.lastSequence >> 3;
const FIRST_SEGMENT = MemtableHeader.firstSegment >> 3;
const NEWEST_RANGE = MemtableHeader.newestRange >> 2;
const RANGE_COUNT = MemtableHeader.rangeCount >> 2;
const BUDGET_WORDS = MemtableHeader.budgetWords >> 2;
const IS_ACTIVE = MemtableHeader.isActive >> 2;
const ENTRY_WORDS = MemtableEntry.BYTES >> 2;
const OLDER = MemtableEntry.older >> 2;
const PREVIOUS = MemtableEntry.previous >> 2;
const LOW = MemtableEntry.sequenceLow >> 2;
const HIGH_AND_TYPE = MemtableEntry.sequenceHighAndType >> 2;
const KEY_BYTES = MemtableEntry.keyBytes >> 2;
const VALUE_BYTES = MemtableEntry.valueBytes >> 2;

const HIGH_MASK = 0xff_ffff;
const TYPE_SHIFT = 24;

/** A region has at most 4 GiB: a larger budget is not used up, the memtable is full at this. */
const BUDGET_BYTES_MAX = 1.25 * 1024 ** 3;
/** Keys that an estimate looks at. */
const SAMPLED_KEYS_MAX = 512;
/**
 * Reserved bytes for a budget: entries to the budget, one growth of the point index beyond it, and the ordered
 * index, whose nodes (16 bytes on average) never outweigh the entries (28 bytes at least). Untouched pages cost nothing.
 */
function reservedBytes(budgetBytes: number): number {
  return 3 * budgetBytes + INDEX_RESERVE_BYTES;
}

export class Memtable {
  readonly #arena: Arena;
  readonly #index: PointIndex;
  readonly #budgetWords: number;
  /** Blob segments that entries point to. */
  readonly #blobs = new Set<number>();
  #blobBytes = 0;

  private constructor(region: Region, budgetBytes: number) {
    this.#arena = new Arena(region, budgetBytes);
    this.#index = new PointIndex(this.#arena);
    this.#budgetWords = budgetBytes >> 2;
  }

  /** Its memory; the views show everything that was allocated until now. */
  get region(): Region {
    return this.#arena.region;
  }

  static #make(family: number, budgetBytes: number, reserved: number): Memtable {
    const made = new Memtable(reserveRegion(reserved, FIRST_VIEWED_BYTES), budgetBytes);
    const header = made.#arena.u32;
    header.fill(0, 0, MEMTABLE_HEADER_WORDS);
    header[TAIL] = MEMTABLE_HEADER_WORDS;
    header[MemtableHeader.capacityWords >> 2] = Math.min(made.region.bytes / 4, 0xffff_ffff);
    header[MemtableHeader.references >> 2] = 1;
    header[MemtableHeader.family >> 2] = family;
    header[BUDGET_WORDS] = budgetBytes >> 2;
    header[IS_ACTIVE] = 1;
    made.#index.begin();
    return made;
  }

  /** Another Worker's memtable, for readers: what they do not look at is not shown. */
  static borrowed(id: number): Memtable {
    const front = region(id, FIRST_VIEWED_BYTES);
    return new Memtable(front, front.u32[BUDGET_WORDS] * 4);
  }

  /**
   * A new memtable for a family, with one reference held by the caller. Its budget is `budgetBytes`, or what one
   * entry of `keyBytes` and `valueBytes` takes if that is more.
   */
  static create(
    family: number,
    budgetBytes: number,
    keyBytes: number,
    valueBytes: number,
  ): Memtable {
    const words = ENTRY_WORDS + wordsOf(keyBytes) + wordsOf(valueBytes) + MEMTABLE_HEADER_WORDS +
      FIRST_INDEX_WORDS;
    const budget = Math.min(budgetBytes, BUDGET_BYTES_MAX);
    return words * 4 <= budget
      ? Memtable.#make(family, budget, reservedBytes(budget))
      : Memtable.#make(family, words * 4, words * 4 + INDEX_RESERVE_BYTES);
  }

  /** Bytes taken: entries, point index and ordered index. */
  get bytes(): number {
    return this.#arena.tail * 4;
  }

  get entryCount(): number {
    return this.#arena.u32[ENTRY_COUNT];
  }

  get lastSequence(): number {
    return this.region.f64[LAST_SEQUENCE];
  }

  /** Entries that no log holds. */
  get volatileCount(): number {
    return this.#arena.u32[MemtableHeader.volatileCount >> 2];
  }

  /** The oldest log segment that this memtable needs, or zero. */
  get firstSegment(): number {
    return this.region.f64[FIRST_SEGMENT];
  }

  /** How many range tombstones there are. Zero, as it mostly is: no key of this memtable is under one. */
  get rangeCount(): number {
    return this.#arena.u32[RANGE_COUNT];
  }

  /** Nothing is added any more. REQUIRES: the log's tail is not lent. */
  freeze(): void {
    this.#arena.u32[IS_ACTIVE] = 0;
  }

  /** Whether an entry of this size still belongs in here. */
  fits(keyBytes: number, valueBytes: number): boolean {
    const words = ENTRY_WORDS + wordsOf(keyBytes) + wordsOf(valueBytes);
    return this.#arena.tail + words <= this.#budgetWords;
  }

  /** How much of its budget is taken: 0 nothing, 1 all. */
  get fill(): number {
    return this.bytes / (4 * this.#budgetWords);
  }

  /**
   * Adds an entry; its value lies at word `valueStart` of the array that holds the key.
   * `segment` is the log segment that holds the entry, zero for none.
   * REQUIRES: `fits` was true, and the caller holds the pipeline's claim.
   */
  insert(
    key: KeyProbe,
    type: number,
    sequence: number,
    valueStart: number,
    valueBytes: number,
    segment: number,
  ): void {
    this.#arena.catchUp();
    const entry = this.#allocate(key.bytes, valueBytes);
    const array = this.#index.arrayWithRoom(key.hash);
    const slot = this.#index.slotOf(array, key);
    const { u32 } = this.#arena;
    const previous = u32[slot + 1];
    this.#fill(entry, previous, key, type, sequence, valueStart, valueBytes);
    if (previous === 0) this.#index.occupy(array, slot, key.hash);
    this.#count(type, sequence, segment);
    Atomics.store(u32, slot + 1, entry);
    Atomics.store(u32, NEWEST, entry);
  }

  /**
   * Adds a range tombstone: the lower bound in the place of the key, the upper one in that of the value, empty for none. It is in
   * no index: readers find it by `cover`, or by the chain of tombstones. REQUIRES: as `insert`.
   */
  insertRange(
    lower: KeyProbe,
    sequence: number,
    upperStart: number,
    upperBytes: number,
    segment: number,
  ): void {
    const entry = this.#allocate(lower.bytes, upperBytes);
    const { u32 } = this.#arena;
    const type = EntryType.deleteRange;
    this.#fill(entry, u32[NEWEST_RANGE], lower, type, sequence, upperStart, upperBytes);
    this.#count(type, sequence, segment);
    Atomics.store(u32, NEWEST_RANGE, entry);
    Atomics.add(u32, RANGE_COUNT, 1);
    Atomics.store(u32, NEWEST, entry);
  }

  /** Notes that an entry points to so many bytes of a blob segment. */
  pointTo(blob: number, bytes: number): void {
    this.#blobs.add(blob);
    this.#blobBytes += bytes;
  }

  /** The blob segments that entries point to. */
  get blobs(): ReadonlySet<number> {
    return this.#blobs;
  }

  /** Bytes that they point to there, those of entries that newer ones hide included. */
  get blobBytes(): number {
    return this.#blobBytes;
  }

  /** The newest entry of a key up to a sequence number, as a word offset; zero if there is none. */
  find(key: KeyProbe, sequence: number): number {
    const index = this.#index;
    this.#arena.catchUpTo(this.#arena.u32[TAIL]);
    for (;;) {
      const slot = index.slotOf(index.arrayOf(key.hash), key);
      const { u32 } = this.#arena;
      let entry = slot === OUT_OF_VIEW ? u32.length : u32[slot + 1];
      if (entry + ENTRY_WORDS <= u32.length) {
        while (entry !== 0) {
          const high = u32[entry + HIGH_AND_TYPE] & HIGH_MASK;
          if (sequenceOf(high, u32[entry + LOW]) <= sequence) break;
          entry = u32[entry + PREVIOUS];
        }
        return entry;
      }
      // Another Worker adds to the memtable at this moment, and the views do not show yet what leads to the key.
      this.#arena.catchUp();
    }
  }

  sequenceOf(entry: number): number {
    const { u32 } = this.#arena;
    return sequenceOf(u32[entry + HIGH_AND_TYPE] & HIGH_MASK, u32[entry + LOW]);
  }

  typeOf(entry: number): number {
    return this.#arena.u32[entry + HIGH_AND_TYPE] >>> TYPE_SHIFT;
  }

  valueBytesOf(entry: number): number {
    return this.#arena.u32[entry + VALUE_BYTES];
  }

  /** Where the value of an entry starts whose key has so many bytes, in words. */
  valueStartOf(entry: number, keyBytes: number): number {
    return entry + ENTRY_WORDS + wordsOf(keyBytes);
  }

  /**
   * About how many bytes of keys and values lie from `lower` to below `upper`, in the newest versions. Looks at all keys of a
   * small memtable, else at a few hundred: the point index has them in the order of their hashes, so any stretch of it is a
   * fair sample.
   */
  approximateBytes(lower: Uint8Array, upper: Uint8Array | undefined): number {
    this.#arena.catchUp();
    const { u32, region: { u8 } } = this.#arena;
    let sampled = 0;
    let bytes = 0;
    for (const entry of this.#index.newestEntries()) {
      if (sampled === SAMPLED_KEYS_MAX) break;
      sampled++;
      const start = (entry + ENTRY_WORDS) << 2;
      const key = u8.subarray(start, start + u32[entry + KEY_BYTES]);
      if (compareBytes(key, lower) < 0) continue;
      if (upper !== undefined && compareBytes(key, upper) >= 0) continue;
      bytes += key.length + u32[entry + VALUE_BYTES];
    }
    return sampled === 0 ? 0 : bytes * this.#index.keyCount / sampled;
  }

  /** Drops the creator's reference; the memory goes back once no cursor or job holds another. */
  release(): void {
    forgetRegion(this.region.id);
    const result = native().call.varve_memtable_release(this.region.id);
    if (result < 0) throw nativeError(result, "Cannot release a memtable");
  }

  #allocate(keyBytes: number, valueBytes: number): number {
    return this.#arena.take(ENTRY_WORDS + wordsOf(keyBytes) + wordsOf(valueBytes));
  }

  #fill(
    entry: number,
    previous: number,
    key: KeyProbe,
    type: number,
    sequence: number,
    valueStart: number,
    valueBytes: number,
  ): void {
    const { u32 } = this.#arena;
    const keyWords = wordsOf(key.bytes);
    u32[entry + OLDER] = u32[NEWEST];
    u32[entry + PREVIOUS] = previous;
    u32[entry + LOW] = sequenceLow(sequence);
    u32[entry + HIGH_AND_TYPE] = sequenceHigh(sequence) | (type << TYPE_SHIFT);
    u32[entry + KEY_BYTES] = key.bytes;
    u32[entry + VALUE_BYTES] = valueBytes;
    const keyStart = entry + ENTRY_WORDS;
    copyWords(key.u32, key.start, u32, keyStart, keyWords);
    copyWords(key.u32, valueStart, u32, keyStart + keyWords, wordsOf(valueBytes));
  }

  #count(type: number, sequence: number, segment: number): void {
    const { u32 } = this.#arena;
    const { f64 } = this.region;
    if (u32[ENTRY_COUNT]++ === 0) f64[MemtableHeader.firstSequence >> 3] = sequence;
    f64[LAST_SEQUENCE] = sequence;
    if (type === EntryType.delete) u32[MemtableHeader.deleteCount >> 2]++;
    if (segment === 0) u32[MemtableHeader.volatileCount >> 2]++;
    else if (f64[FIRST_SEGMENT] === 0) f64[FIRST_SEGMENT] = segment;
  }
}
