/**
 * The point index of a memtable, in the memtable's own memory: from the hash of a key to the newest entry of it.
 *
 * Extendible hashing: a directory of slot arrays, chosen by the hash's high half; an array, of pairs (hash, entry), is probed from its low
 * half. The first array grows to a size; from then on a crowded one is split in two, and no step takes more than some tens of
 * microseconds. One thread adds at a time; readers find an old array or the new ones, whole. `memtable_writer.zig` does the same.
 */
import { wordsOf } from "../base/words.ts";
import { MemtableEntry, MemtableHeader } from "../native/layout.gen.ts";
import type { Arena } from "./arena.ts";
import type { KeyProbe } from "./key_probe.ts";

const SLOTS = MemtableHeader.slots >> 2;
const KEY_COUNT = MemtableHeader.keyCount >> 2;
const SLOT_COUNT = MemtableHeader.slotCount >> 2;
const ENTRY_WORDS = MemtableEntry.BYTES >> 2;
const KEY_BYTES = MemtableEntry.keyBytes >> 2;

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
export const OUT_OF_VIEW = -1;
/** The word before the directory: how many arrays it has room for, less one. */
const DIRECTORY_MASK = -1;

/** Words that an empty index takes. */
export const FIRST_INDEX_WORDS = arrayWords(FIRST_SLOT_COUNT) + 2;

export class PointIndex {
  readonly #arena: Arena;

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  /** Makes the first array. */
  begin(): void {
    const first = this.#newArray(FIRST_SLOT_COUNT, 0);
    this.#publishDirectory(0, () => first);
  }

  /** How many keys there are. */
  get keyCount(): number {
    return this.#arena.u32[KEY_COUNT];
  }

  /** Notes that the empty slot of an array is a key's from now on. What it leads to is the caller's to store. */
  occupy(array: number, slot: number, hash: number): void {
    const { u32 } = this.#arena;
    u32[slot] = hash;
    u32[array + ARRAY_KEYS]++;
    u32[KEY_COUNT]++;
  }

  /** The array that a hash belongs to, or `OUT_OF_VIEW`. */
  arrayOf(hash: number): number {
    const { u32 } = this.#arena;
    const directory = u32[SLOTS];
    if (directory > u32.length) return OUT_OF_VIEW;
    const place = directory + ((hash >>> ARRAY_SHIFT) & u32[directory + DIRECTORY_MASK]);
    return place < u32.length ? u32[place] : OUT_OF_VIEW;
  }

  /**
   * The slot that holds the key, or the empty one where it belongs: word offset of the pair. `OUT_OF_VIEW`: the views do not show enough
   * to tell.
   */
  slotOf(array: number, key: KeyProbe): number {
    const { u32 } = this.#arena;
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
    const { u32 } = this.#arena;
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
  *newestEntries(): Iterable<number> {
    const { u32 } = this.#arena;
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
  arrayWithRoom(hash: number): number {
    let array = this.arrayOf(hash);
    while (this.#isCrowded(array)) {
      this.#makeRoom(array, hash);
      array = this.arrayOf(hash);
    }
    return array;
  }

  #isCrowded(array: number): boolean {
    const { u32 } = this.#arena;
    return (u32[array + ARRAY_KEYS] + 1) * LOAD_NUMERATOR >
      u32[array + ARRAY_SLOTS] * LOAD_DENOMINATOR;
  }

  /** Replaces an array by a larger one, or by two. */
  #makeRoom(array: number, hash: number): void {
    const { u32 } = this.#arena;
    const slotCount = u32[array + ARRAY_SLOTS];
    const depth = u32[array + ARRAY_DEPTH];
    const isSplit = slotCount >= SLOT_COUNT_MAX && depth < 32 - ARRAY_SHIFT &&
      u32[KEY_COUNT] >= SPLIT_KEYS_MIN * 2 ** depth;
    const even = isSplit
      ? this.#newArray(slotCount, depth + 1)
      : this.#newArray(slotCount * (slotCount < SLOT_COUNT_MAX ? 4 : 2), depth);
    const odd = isSplit ? this.#newArray(slotCount, depth + 1) : even;
    this.#move(array, even, odd, ARRAY_SHIFT + depth);
    this.#replace((hash >>> ARRAY_SHIFT) & (2 ** depth - 1), depth, even, odd);
    u32[SLOT_COUNT] -= slotCount;
  }

  /** Copies an array's keys, by one bit of their hashes. */
  #move(array: number, even: number, odd: number, bit: number): void {
    const { u32 } = this.#arena;
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
    const { u32 } = this.#arena;
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
    const start = this.#arena.take(arrayWords(slotCount));
    const { u32 } = this.#arena;
    // A pair lies within one cache line.
    const array = (start + ARRAY_HEADER_WORDS + 1) & ~1;
    u32[array + ARRAY_DEPTH] = depth;
    u32[array + ARRAY_SLOTS] = slotCount;
    u32[SLOT_COUNT] += slotCount;
    return array;
  }

  /** Makes a directory of 2^depth arrays the one that readers find. */
  #publishDirectory(depth: number, arrayAt: (index: number) => number): void {
    const count = 2 ** depth;
    const directory = this.#arena.take(1 + count) + 1;
    const { u32 } = this.#arena;
    u32[directory + DIRECTORY_MASK] = count - 1;
    for (let index = 0; index < count; index++) u32[directory + index] = arrayAt(index);
    Atomics.store(u32, SLOTS, directory);
  }
}

function arrayWords(slotCount: number): number {
  return ARRAY_HEADER_WORDS + 1 + 2 * slotCount;
}
