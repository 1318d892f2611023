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
import { forgetRegion, type Region, reserveRegion, widenRegion } from "../native/region.ts";
import type { KeyProbe } from "./key_probe.ts";

const TAIL = MemtableHeader.tailWords >> 2;
const NEWEST = MemtableHeader.newestEntry >> 2;
const SLOTS = MemtableHeader.slots >> 2;
const ENTRY_COUNT = MemtableHeader.entryCount >> 2;
const LAST_SEQUENCE = MemtableHeader.lastSequence >> 3;
const FIRST_SEGMENT = MemtableHeader.firstSegment >> 3;
const NEWEST_RANGE = MemtableHeader.newestRange >> 2;
const RANGE_COUNT = MemtableHeader.rangeCount >> 2;
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

/**
 * The point index is extendible hashing: a directory of slot arrays, chosen by the hash's high half, probed from its low half. The first
 * array grows to this size; from then on a crowded one is split in two, and no step takes more than some tens of microseconds.
 */
const FIRST_SLOT_COUNT = 256;
const SLOT_COUNT_MAX = 4096;
/** Slots per key stay above 4/3. */
const LOAD_NUMERATOR = 4;
const LOAD_DENOMINATOR = 3;
/** Where a hash chooses the array. */
const ARRAY_SHIFT = 16;
/** A split belongs to at least so many keys for each array there may be: others, whose hashes were made to collide, get a larger array. */
const SPLIT_KEYS_MIN = 1024;
/** Words before an array's first slot: its keys, how many bits of the hash its keys share, its slots. */
const ARRAY_KEYS = -3;
const ARRAY_DEPTH = -2;
const ARRAY_SLOTS = -1;
const ARRAY_HEADER_WORDS = 3;
/** Of a place that the views do not show yet. */
const OUT_OF_VIEW = -1;
/** The word before the directory: how many arrays it has room for, less one. */
const DIRECTORY_MASK = -1;

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

/** Views begin with so much and grow with what is in use: Bun's collector counts all that they show as its own. */
const FIRST_VIEWED_BYTES = 128 * 1024;

export class Memtable {
  #region: Region;
  #u32: Uint32Array<ArrayBuffer>;
  readonly #budgetWords: number;
  readonly #viewedBytesMax: number;
  /** Blob segments that entries point to. */
  readonly #blobs = new Set<number>();
  #blobBytes = 0;

  private constructor(region: Region, budgetBytes: number) {
    this.#region = region;
    this.#u32 = region.u32;
    this.#budgetWords = budgetBytes >> 2;
    this.#viewedBytesMax = Math.min(viewedBytes(budgetBytes), region.bytes);
  }

  /** Its memory; the views show everything that was allocated until now. */
  get region(): Region {
    return this.#region;
  }

  static #make(family: number, budgetBytes: number, reserved: number): Memtable {
    const made = new Memtable(reserveRegion(reserved, FIRST_VIEWED_BYTES), budgetBytes);
    const header = made.#u32;
    header.fill(0, 0, MEMTABLE_HEADER_WORDS);
    header[TAIL] = MEMTABLE_HEADER_WORDS;
    header[MemtableHeader.capacityWords >> 2] = Math.min(made.region.bytes / 4, 0xffff_ffff);
    header[MemtableHeader.references >> 2] = 1;
    header[MemtableHeader.family >> 2] = family;
    header[MemtableHeader.budgetWords >> 2] = budgetBytes >> 2;
    header[IS_ACTIVE] = 1;
    const first = made.#newArray(FIRST_SLOT_COUNT, 0);
    made.#publishDirectory(0, () => first);
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
      arrayWords(FIRST_SLOT_COUNT) + 2;
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
    return this.#u32[RANGE_COUNT];
  }

  /** Nothing is added any more. REQUIRES: the log's tail is not lent. */
  freeze(): void {
    this.#u32[IS_ACTIVE] = 0;
  }

  /** Whether an entry of this size still belongs in here. */
  fits(keyBytes: number, valueBytes: number): boolean {
    const words = ENTRY_WORDS + wordsOf(keyBytes) + wordsOf(valueBytes);
    return Atomics.load(this.#u32, TAIL) + words <= this.#budgetWords;
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
    this.#catchUp(Atomics.load(this.#u32, TAIL));
    const entry = this.#allocate(key.bytes, valueBytes);
    const array = this.#arrayWithRoom(key.hash);
    const u32 = this.#u32;
    const slot = this.#slotOf(array, key);
    this.#fill(entry, u32[slot + 1], key, type, sequence, valueStart, valueBytes);
    if (u32[slot + 1] === 0) {
      u32[slot] = key.hash;
      u32[array + ARRAY_KEYS]++;
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
    const entry = this.#allocate(lower.bytes, upperBytes);
    const u32 = this.#u32;
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
    this.#catchUp(this.#u32[TAIL]);
    for (;;) {
      const slot = this.#slotOf(this.#arrayOf(key.hash), key);
      const u32 = this.#u32;
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
      this.#catchUp(Atomics.load(u32, TAIL));
    }
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
    this.#catchUp(Atomics.load(this.#u32, TAIL));
    const u32 = this.#u32;
    const { u8 } = this.region;
    let sampled = 0;
    let bytes = 0;
    for (const entry of this.#newestEntries()) {
      if (sampled === SAMPLED_KEYS_MAX) break;
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
    forgetRegion(this.#region.id);
    const result = native().call.varve_memtable_release(this.region.id);
    if (result < 0) throw nativeError(result, "Cannot release a memtable");
  }

  #allocate(keyBytes: number, valueBytes: number): number {
    return this.#take(ENTRY_WORDS + wordsOf(keyBytes) + wordsOf(valueBytes));
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

  /** The array that a hash belongs to, or `OUT_OF_VIEW`. */
  #arrayOf(hash: number): number {
    const u32 = this.#u32;
    const directory = u32[SLOTS];
    if (directory > u32.length) return OUT_OF_VIEW;
    const place = directory + ((hash >>> ARRAY_SHIFT) & u32[directory + DIRECTORY_MASK]);
    return place < u32.length ? u32[place] : OUT_OF_VIEW;
  }

  /**
   * The slot that holds the key, or the empty one where it belongs: word offset of the pair. `OUT_OF_VIEW`: the views do not show enough
   * to tell.
   */
  #slotOf(array: number, key: KeyProbe): number {
    const u32 = this.#u32;
    if (array === OUT_OF_VIEW || array > u32.length) return OUT_OF_VIEW;
    const mask = u32[array + ARRAY_SLOTS] - 1;
    if (array + 2 * mask + 2 > u32.length) return OUT_OF_VIEW;
    const { hash } = key;
    const headerMax = u32.length - ENTRY_WORDS;
    const entryMax = headerMax - wordsOf(key.bytes);
    for (let index = hash & mask;; index = (index + 1) & mask) {
      const slot = array + 2 * index;
      const entry = u32[slot + 1];
      if (entry === 0) return slot;
      if (u32[slot] !== hash) continue;
      if (entry > headerMax) return OUT_OF_VIEW;
      if (u32[entry + KEY_BYTES] !== key.bytes) continue;
      if (entry > entryMax) return OUT_OF_VIEW;
      if (this.#keyEquals(entry, key)) return slot;
    }
  }

  /** REQUIRES: the two are of one length. */
  #keyEquals(entry: number, key: KeyProbe): boolean {
    const u32 = this.#u32;
    const words = wordsOf(key.bytes);
    const a = entry + ENTRY_WORDS;
    const b = key.start;
    const other = key.u32;
    for (let index = 0; index < words; index++) {
      if (u32[a + index] !== other[b + index]) return false;
    }
    return true;
  }

  /** The newest entry of each key, in the order of the hashes. */
  *#newestEntries(): Iterable<number> {
    const u32 = this.#u32;
    const directory = Atomics.load(u32, SLOTS);
    for (let index = 0; index <= u32[directory + DIRECTORY_MASK]; index++) {
      const array = Atomics.load(u32, directory + index);
      if (index >>> u32[array + ARRAY_DEPTH] !== 0) continue; // seen already
      const end = array + 2 * u32[array + ARRAY_SLOTS];
      for (let slot = array; slot < end; slot += 2) {
        const entry = Atomics.load(u32, slot + 1);
        if (entry !== 0) yield entry;
      }
    }
  }

  /** The array that a hash belongs to, with room for one more key. */
  #arrayWithRoom(hash: number): number {
    let array = this.#arrayOf(hash);
    while (this.#isCrowded(array)) {
      this.#makeRoom(array, hash);
      array = this.#arrayOf(hash);
    }
    return array;
  }

  #isCrowded(array: number): boolean {
    const u32 = this.#u32;
    return (u32[array + ARRAY_KEYS] + 1) * LOAD_NUMERATOR >
      u32[array + ARRAY_SLOTS] * LOAD_DENOMINATOR;
  }

  /** Replaces an array by a larger one, or by two. Readers find the old one or the new ones, whole. */
  #makeRoom(array: number, hash: number): void {
    const u32 = this.#u32;
    const slotCount = u32[array + ARRAY_SLOTS];
    const depth = u32[array + ARRAY_DEPTH];
    const isSplit = slotCount >= SLOT_COUNT_MAX && depth < 32 - ARRAY_SHIFT &&
      u32[MemtableHeader.keyCount >> 2] >= SPLIT_KEYS_MIN * 2 ** depth;
    const even = isSplit
      ? this.#newArray(slotCount, depth + 1)
      : this.#newArray(slotCount * (slotCount < SLOT_COUNT_MAX ? 4 : 2), depth);
    const odd = isSplit ? this.#newArray(slotCount, depth + 1) : even;
    this.#move(array, even, odd, ARRAY_SHIFT + depth);
    this.#replace((hash >>> ARRAY_SHIFT) & (2 ** depth - 1), depth, even, odd);
    u32[MemtableHeader.slotCount >> 2] -= slotCount;
  }

  /** Copies an array's keys, by one bit of their hashes. */
  #move(array: number, even: number, odd: number, bit: number): void {
    const u32 = this.#u32;
    const end = array + 2 * u32[array + ARRAY_SLOTS];
    const mask = u32[even + ARRAY_SLOTS] - 1;
    let evenCount = 0;
    for (let slot = array; slot < end; slot += 2) {
      const entry = u32[slot + 1];
      if (entry === 0) continue;
      const hash = u32[slot];
      const isOdd = ((hash >>> bit) & 1) === 1;
      const target = isOdd ? odd : even;
      if (!isOdd) evenCount++;
      let index = hash & mask;
      while (u32[target + 2 * index + 1] !== 0) index = (index + 1) & mask;
      u32[target + 2 * index] = hash;
      u32[target + 2 * index + 1] = entry;
    }
    const count = u32[array + ARRAY_KEYS];
    u32[odd + ARRAY_KEYS] = odd === even ? count : count - evenCount;
    if (odd !== even) u32[even + ARRAY_KEYS] = evenCount;
  }

  /** Puts arrays in the place of the one whose hashes end, above `ARRAY_SHIFT`, in the `depth` bits of `ending`. */
  #replace(ending: number, depth: number, even: number, odd: number): void {
    const u32 = this.#u32;
    const directory = u32[SLOTS];
    const mask = u32[directory + DIRECTORY_MASK];
    const now = (index: number): number => (index >>> depth) & 1 ? odd : even;
    if (even !== odd && 2 ** depth > mask) {
      const isHere = (index: number): boolean => (index & mask) === ending;
      this.#publishDirectory(
        depth + 1,
        (index) => isHere(index) ? now(index) : u32[directory + (index & mask)],
      );
      return;
    }
    for (let index = ending; index <= mask; index += 2 ** depth) {
      Atomics.store(u32, directory + index, now(index));
    }
  }

  /** An empty array: the memory behind the tail was never written to. */
  #newArray(slotCount: number, depth: number): number {
    const start = this.#take(arrayWords(slotCount));
    const u32 = this.#u32;
    // A pair lies within one cache line.
    const array = (start + ARRAY_HEADER_WORDS + 1) & ~1;
    u32[array + ARRAY_DEPTH] = depth;
    u32[array + ARRAY_SLOTS] = slotCount;
    u32[MemtableHeader.slotCount >> 2] += slotCount;
    return array;
  }

  /** Makes a directory of 2^depth arrays the one that readers find. */
  #publishDirectory(depth: number, arrayAt: (index: number) => number): void {
    const count = 2 ** depth;
    const directory = this.#take(1 + count) + 1;
    const u32 = this.#u32;
    u32[directory + DIRECTORY_MASK] = count - 1;
    for (let index = 0; index < count; index++) u32[directory + index] = arrayAt(index);
    Atomics.store(u32, SLOTS, directory);
  }

  /** Words from the tail. Views taken before may not show them. */
  #take(words: number): number {
    const start = Atomics.add(this.#u32, TAIL, words);
    if (start + words > this.#u32.length) this.#show(start + words);
    return start;
  }

  /** Shows what the library has added, too. */
  #catchUp(tail: number): void {
    if (tail > this.#u32.length && this.#u32.byteLength < this.#viewedBytesMax) {
      this.#show(Math.min(tail, this.#viewedBytesMax >> 2));
    }
  }

  #show(words: number): void {
    const most = this.#viewedBytesMax;
    assert(words * 4 <= most, "a memtable's reserve holds its indexes");
    const bytes = Math.max(words * 4, 2 * this.#u32.byteLength);
    this.#region = widenRegion(this.#region, Math.min(Math.ceil(bytes / 8) * 8, most));
    this.#u32 = this.#region.u32;
  }
}

function arrayWords(slotCount: number): number {
  return ARRAY_HEADER_WORDS + 1 + 2 * slotCount;
}
