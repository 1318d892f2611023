/**
 * A memtable: one region of native memory that holds a family's latest entries, with a point index by hash.
 *
 * Promises: an entry never changes once it is reachable; readers take no lock and see, for the sequence number that
 * they loaded *before* they call `find`, every entry up to it. One thread inserts at a time (under the pipeline's claim);
 * Zig extends the ordered index beside it and allocates from the same tail; `memtable_writer.zig` inserts when a log is replayed, as
 * this does. Layout: `zig/src/abi.zig`.
 */
import { assert } from "../base/assert.ts";
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
import { type Region, reserveRegion } from "../native/region.ts";
import type { KeyProbe } from "./key_probe.ts";

const TAIL = MemtableHeader.tailWords >> 2;
const NEWEST = MemtableHeader.newestEntry >> 2;
const SLOTS = MemtableHeader.slots >> 2;
const ENTRY_COUNT = MemtableHeader.entryCount >> 2;
const LAST_SEQUENCE = MemtableHeader.lastSequence >> 3;
const FIRST_SEGMENT = MemtableHeader.firstSegment >> 3;
const NEWEST_RANGE = MemtableHeader.newestRange >> 2;
const RANGE_COUNT = MemtableHeader.rangeCount >> 2;
const ENTRY_WORDS = MemtableEntry.BYTES >> 2;
const OLDER = MemtableEntry.older >> 2;
const PREVIOUS = MemtableEntry.previous >> 2;
const LOW = MemtableEntry.sequenceLow >> 2;
const HIGH_AND_TYPE = MemtableEntry.sequenceHighAndType >> 2;
const KEY_BYTES = MemtableEntry.keyBytes >> 2;
const VALUE_BYTES = MemtableEntry.valueBytes >> 2;

const HIGH_MASK = 0xff_ffff;
const TYPE_SHIFT = 24;

const FIRST_SLOT_COUNT = 256;
/** Small arrays grow fourfold, large ones twofold: a growth step stays below a few milliseconds and a few MiB. */
const FOURFOLD_SLOT_COUNT_MAX = 1 << 16;
/** Slots per key stay above 4/3. */
const LOAD_NUMERATOR = 4;
const LOAD_DENOMINATOR = 3;

/** A region has at most 4 GiB: a larger budget is not used up, the memtable is full at this. */
const BUDGET_BYTES_MAX = 1.25 * 1024 ** 3;
/** Keys that an estimate looks at. */
const SAMPLED_KEYS_MAX = 512;
/** Beside a single entry too large for any budget, a memtable holds nothing but its first indexes. */
const INDEX_RESERVE_BYTES = 1 << 20;

/**
 * Reserved bytes for a budget: entries to the budget, one growth of the point index beyond it, and the ordered
 * index, whose nodes (16 bytes on average) never outweigh the entries (28 bytes at least). Untouched pages cost nothing.
 */
function reservedBytes(budgetBytes: number): number {
  return 3 * budgetBytes + INDEX_RESERVE_BYTES;
}

/**
 * What JavaScript writes of that: it adds nothing beyond the budget but one point index, of 16 bytes for each slot of the one
 * before, to which at least 33 bytes belong that are there already; small ones grow fourfold. The ordered index is the library's.
 */
function viewedBytes(budgetBytes: number): number {
  const bytes = 1.5 * budgetBytes + 3 * INDEX_RESERVE_BYTES;
  return Math.ceil(bytes / 8) * 8;
}

export class Memtable {
  readonly region: Region;
  readonly #u32: Uint32Array<ArrayBuffer>;
  /** How far entries may fill it. */
  readonly budgetWords: number;
  /** Blob segments that entries point to. */
  readonly #blobs = new Set<number>();
  #blobBytes = 0;

  private constructor(region: Region, budgetBytes: number) {
    this.region = region;
    this.#u32 = region.u32;
    this.budgetWords = budgetBytes >> 2;
  }

  static #make(family: number, budgetBytes: number, reserved: number): Memtable {
    const made = new Memtable(reserveRegion(reserved, viewedBytes(budgetBytes)), budgetBytes);
    const header = made.#u32;
    header.fill(0, 0, MEMTABLE_HEADER_WORDS);
    header[TAIL] = MEMTABLE_HEADER_WORDS;
    header[MemtableHeader.capacityWords >> 2] = Math.min(made.region.bytes / 4, 0xffff_ffff);
    header[MemtableHeader.references >> 2] = 1;
    header[MemtableHeader.family >> 2] = family;
    made.#publishSlots(FIRST_SLOT_COUNT, () => {});
    return made;
  }

  /** Another Worker's memtable, for readers. */
  static borrowed(region: Region): Memtable {
    return new Memtable(region, 0);
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
      1 +
      2 * FIRST_SLOT_COUNT;
    const budget = Math.min(budgetBytes, BUDGET_BYTES_MAX);
    return words * 4 <= budget
      ? Memtable.#make(family, budget, reservedBytes(budget))
      : Memtable.#make(family, words * 4, words * 4 + INDEX_RESERVE_BYTES);
  }

  /** Bytes taken: entries, point index and ordered index. */
  get bytes(): number {
    return Atomics.load(this.#u32, TAIL) * 4;
  }

  get entryCount(): number {
    return this.#u32[ENTRY_COUNT];
  }

  get lastSequence(): number {
    return this.region.f64[LAST_SEQUENCE];
  }

  /** Entries that no log holds. */
  get volatileCount(): number {
    return this.#u32[MemtableHeader.volatileCount >> 2];
  }

  /** The oldest log segment that this memtable needs, or zero. */
  get firstSegment(): number {
    return this.region.f64[FIRST_SEGMENT];
  }

  /** How many range tombstones there are. Zero, as it mostly is: no key of this memtable is under one. */
  get rangeCount(): number {
    return Atomics.load(this.#u32, RANGE_COUNT);
  }

  /** Whether an entry of this size still belongs in here. */
  fits(keyBytes: number, valueBytes: number): boolean {
    const words = ENTRY_WORDS + wordsOf(keyBytes) + wordsOf(valueBytes);
    return Atomics.load(this.#u32, TAIL) + words <= this.budgetWords;
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
    const u32 = this.#u32;
    const entry = this.#allocate(key.bytes, valueBytes);
    const slots = this.#slotsWithRoom();
    const slot = this.#slotOf(slots, key);
    this.#fill(entry, u32[slot + 1], key, type, sequence, valueStart, valueBytes);
    if (u32[slot + 1] === 0) {
      u32[slot] = key.hash;
      u32[MemtableHeader.keyCount >> 2]++;
    }
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
    const u32 = this.#u32;
    const entry = this.#allocate(lower.bytes, upperBytes);
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
    const u32 = this.#u32;
    const slots = Atomics.load(u32, SLOTS);
    const slot = this.#slotOf(slots, key);
    let entry = Atomics.load(u32, slot + 1);
    if (entry === 0) return 0;
    const high = sequenceHigh(sequence);
    const low = sequenceLow(sequence);
    while (entry !== 0) {
      const entryHigh = u32[entry + HIGH_AND_TYPE] & HIGH_MASK;
      if (entryHigh < high || (entryHigh === high && u32[entry + LOW] <= low)) return entry;
      entry = u32[entry + PREVIOUS];
    }
    return 0;
  }

  sequenceOf(entry: number): number {
    const u32 = this.#u32;
    return sequenceOf(u32[entry + HIGH_AND_TYPE] & HIGH_MASK, u32[entry + LOW]);
  }

  typeOf(entry: number): number {
    return this.#u32[entry + HIGH_AND_TYPE] >>> TYPE_SHIFT;
  }

  valueBytesOf(entry: number): number {
    return this.#u32[entry + VALUE_BYTES];
  }

  /** Where an entry's value starts, in words. */
  valueStartOf(entry: number): number {
    return entry + ENTRY_WORDS + wordsOf(this.#u32[entry + KEY_BYTES]);
  }

  /**
   * About how many bytes of keys and values lie from `lower` to below `upper`, in the newest versions. Looks at all keys of a
   * small memtable, else at a few hundred: the point index has them in the order of their hashes, so any stretch of it is a
   * fair sample.
   */
  approximateBytes(lower: Uint8Array, upper: Uint8Array | undefined): number {
    const u32 = this.#u32;
    const { u8 } = this.region;
    const slots = Atomics.load(u32, SLOTS);
    const end = slots + 2 * u32[slots - 1];
    let sampled = 0;
    let bytes = 0;
    for (let slot = slots; slot < end && sampled < SAMPLED_KEYS_MAX; slot += 2) {
      const entry = Atomics.load(u32, slot + 1);
      if (entry === 0) continue;
      sampled++;
      const start = (entry + ENTRY_WORDS) << 2;
      const key = u8.subarray(start, start + u32[entry + KEY_BYTES]);
      if (compareBytes(key, lower) < 0) continue;
      if (upper !== undefined && compareBytes(key, upper) >= 0) continue;
      bytes += key.length + u32[entry + VALUE_BYTES];
    }
    return sampled === 0 ? 0 : bytes * u32[MemtableHeader.keyCount >> 2] / sampled;
  }

  /** Drops the creator's reference; the memory goes back once no cursor or job holds another. */
  release(): void {
    const result = native().call.varve_memtable_release(this.region.id);
    if (result < 0) throw nativeError(result, "Cannot release a memtable");
  }

  #allocate(keyBytes: number, valueBytes: number): number {
    return Atomics.add(this.#u32, TAIL, ENTRY_WORDS + wordsOf(keyBytes) + wordsOf(valueBytes));
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
    const u32 = this.#u32;
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
    const u32 = this.#u32;
    const { f64 } = this.region;
    if (u32[ENTRY_COUNT]++ === 0) f64[MemtableHeader.firstSequence >> 3] = sequence;
    f64[LAST_SEQUENCE] = sequence;
    if (type === EntryType.delete) u32[MemtableHeader.deleteCount >> 2]++;
    if (segment === 0) u32[MemtableHeader.volatileCount >> 2]++;
    else if (f64[FIRST_SEGMENT] === 0) f64[FIRST_SEGMENT] = segment;
  }

  /** The slot that holds the key, or the empty one where it belongs: word offset of the pair. */
  #slotOf(slots: number, key: KeyProbe): number {
    const u32 = this.#u32;
    const mask = u32[slots - 1] - 1;
    const { hash } = key;
    for (let index = hash & mask;; index = (index + 1) & mask) {
      const slot = slots + 2 * index;
      const entry = Atomics.load(u32, slot + 1);
      if (entry === 0) return slot;
      if (u32[slot] === hash && this.#keyEquals(entry, key)) return slot;
    }
  }

  #keyEquals(entry: number, key: KeyProbe): boolean {
    const u32 = this.#u32;
    if (u32[entry + KEY_BYTES] !== key.bytes) return false;
    const words = wordsOf(key.bytes);
    const a = entry + ENTRY_WORDS;
    const b = key.start;
    const other = key.u32;
    for (let index = 0; index < words; index++) {
      if (u32[a + index] !== other[b + index]) return false;
    }
    return true;
  }

  /** The current slot array, grown first if one more key would crowd it. */
  #slotsWithRoom(): number {
    const u32 = this.#u32;
    const slots = u32[SLOTS];
    const slotCount = u32[slots - 1];
    const keyCount = u32[MemtableHeader.keyCount >> 2];
    if ((keyCount + 1) * LOAD_NUMERATOR <= slotCount * LOAD_DENOMINATOR) return slots;
    const factor = slotCount <= FOURFOLD_SLOT_COUNT_MAX ? 4 : 2;
    return this.#publishSlots(slotCount * factor, (grown, mask) => {
      for (let slot = slots; slot < slots + 2 * slotCount; slot += 2) {
        const entry = u32[slot + 1];
        if (entry === 0) continue;
        let index = u32[slot] & mask;
        while (u32[grown + 2 * index + 1] !== 0) index = (index + 1) & mask;
        u32[grown + 2 * index] = u32[slot];
        u32[grown + 2 * index + 1] = entry;
      }
    });
  }

  /** Allocates a slot array, lets `fill` copy into it, and makes it the one that readers find. */
  #publishSlots(slotCount: number, fill: (slots: number, mask: number) => void): number {
    const u32 = this.#u32;
    const words = 1 + 2 * slotCount;
    const start = Atomics.add(u32, TAIL, words);
    assert(
      start + words <= u32.length,
      "a memtable's reserve holds its indexes",
    );
    const slots = start + 1;
    u32[start] = slotCount;
    u32.fill(0, slots, slots + 2 * slotCount);
    fill(slots, slotCount - 1);
    u32[MemtableHeader.slotCount >> 2] = slotCount;
    Atomics.store(u32, SLOTS, slots);
    return slots;
  }
}
