/**
 * Deterministic keys and values: the same seed gives every peer the same bytes in the same order.
 *
 * Held keys are built before the clock starts, and nothing is written to afterwards, because some
 * peers keep a reference to a buffer until their transaction is committed. Computed keys are for sets
 * too large to hold (ten million small arrays would be a gigabyte of the process's memory): one buffer
 * is filled anew for each, which costs some nanoseconds inside the clock.
 */

export const KEY_BYTES = 16;

/** Prime, so that key order and value order do not share a period. */
const VALUE_POOL_COUNT = 4099;

/** Large values share a smaller pool: the harness's own memory stays out of the way. */
const POOL_BYTES_MAX = 64 * 1024 * 1024;

/** Entries, and bytes, that a verification reads back; smaller sets are read back whole. */
const VERIFIED_COUNT_MAX = 100_000;
const VERIFIED_BYTES_MAX = 1024 * 1024 * 1024;

/** A bijection on 32-bit integers (Wellons' `lowbias32`): distinct inputs give distinct keys. */
function mix32(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

/** mulberry32: a small seeded generator of 32-bit integers. */
export function randomSource(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
}

export interface DataShape {
  count: number;
  valueBytes: number;
  seed: number;
}

/** Values of a pool, and the part of the work that does not depend on where keys come from. */
export abstract class DataSet {
  readonly count: number;
  readonly valueBytes: number;
  readonly #values: Uint8Array[];

  constructor({ count, valueBytes, seed }: DataShape) {
    this.count = count;
    this.valueBytes = valueBytes;
    const random = randomSource(seed);
    const bytesMax = Math.max(1, Math.floor(POOL_BYTES_MAX / valueBytes));
    this.#values = Array.from(
      { length: Math.min(count, VALUE_POOL_COUNT, bytesMax) },
      () => randomBytes(valueBytes, random),
    );
  }

  /** Valid until the next call. */
  abstract key(index: number): Uint8Array;

  /** The value of `key(index)`; values repeat, keys do not. */
  value(index: number): Uint8Array {
    return this.#values[index % this.#values.length];
  }

  /** `count` indexes drawn at random, with replacement. */
  randomIndexes(count: number, seed: number): Uint32Array {
    const random = randomSource(seed);
    return Uint32Array.from({ length: count }, () => random() % this.count);
  }

  /**
   * Reads entries back and compares every byte. Returns what it did, for the report.
   * @throws {Error} naming the first entry that is missing or differs
   */
  verify(get: (key: Uint8Array) => Uint8Array | undefined): string {
    const fewer = Math.max(1, Math.ceil((this.count * this.valueBytes) / VERIFIED_BYTES_MAX));
    const step = Math.max(fewer, Math.floor(this.count / VERIFIED_COUNT_MAX));
    let checked = 0;
    for (let index = 0; index < this.count; index += step) {
      checkValue(index, get(this.key(index)), this.value(index));
      checked++;
    }
    return `${checked} of ${this.count} values read back and compared after the clock`;
  }
}

/** Every key is an array of its own, made beforehand. */
export class HeldDataSet extends DataSet {
  readonly keys: Uint8Array[];

  constructor(shape: DataShape) {
    super(shape);
    this.keys = Array.from({ length: shape.count }, (_, index) => randomKey(index, shape.seed));
  }

  override key(index: number): Uint8Array {
    return this.keys[index];
  }
}

/** One buffer for all keys. Indexes from `count` on are keys that the set does not have. */
export class ComputedDataSet extends DataSet {
  readonly #words = new Uint32Array(new ArrayBuffer(KEY_BYTES));
  readonly #key = new Uint8Array(this.#words.buffer);
  readonly #seed: number;

  constructor(shape: DataShape) {
    super(shape);
    this.#seed = shape.seed;
  }

  override key(index: number): Uint8Array {
    const words = this.#words;
    // Four independent bijections of the index; the first word alone makes the key distinct.
    words[0] = mix32(index);
    words[1] = mix32(index ^ this.#seed);
    words[2] = mix32(words[0] + 1);
    words[3] = mix32(words[1] + 2);
    return this.#key;
  }
}

/** @throws {Error} naming the entry if it was not found, or has another value */
export function checkValue(
  index: number,
  found: Uint8Array | undefined,
  expected: Uint8Array,
): void {
  if (found && equalBytes(found, expected)) return;
  throw new Error(`Entry ${index} reads back ${found ? "another value" : "as missing"}`);
}

function randomKey(index: number, seed: number): Uint8Array {
  const key = new Uint8Array(KEY_BYTES);
  let word = mix32(index);
  for (let offset = 0; offset < KEY_BYTES; offset += 4) {
    key[offset] = word >>> 24;
    key[offset + 1] = word >>> 16;
    key[offset + 2] = word >>> 8;
    key[offset + 3] = word;
    word = mix32(word ^ seed ^ offset);
  }
  return key;
}

function randomBytes(length: number, random: () => number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let offset = 0; offset < length; offset++) bytes[offset] = random() >>> 24;
  return bytes;
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) {
    if (a[index] !== b[index]) return false;
  }
  return true;
}
