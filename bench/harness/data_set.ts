/**
 * Deterministic keys and values: the same seed gives every peer the same bytes in the same order.
 * Everything is built before the clock starts, and nothing is written to afterwards, because some
 * peers keep a reference to a buffer until their transaction is committed.
 */

export const KEY_BYTES = 16;

/** Prime, so that key order and value order do not share a period. */
const VALUE_POOL_COUNT = 4099;

/** Entries that a verification reads back; smaller sets are read back whole. */
const VERIFIED_COUNT_MAX = 100_000;

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

export class DataSet {
  readonly keys: Uint8Array[];
  readonly valueBytes: number;
  readonly #values: Uint8Array[];

  constructor(options: { count: number; valueBytes: number; seed: number }) {
    const { count, valueBytes, seed } = options;
    this.valueBytes = valueBytes;
    this.keys = Array.from({ length: count }, (_, index) => randomKey(index, seed));
    const random = randomSource(seed);
    this.#values = Array.from(
      { length: Math.min(count, VALUE_POOL_COUNT) },
      () => randomBytes(valueBytes, random),
    );
  }

  get count(): number {
    return this.keys.length;
  }

  /** The value of `keys[index]`; values repeat, keys do not. */
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
    const step = Math.max(1, Math.floor(this.count / VERIFIED_COUNT_MAX));
    let checked = 0;
    for (let index = 0; index < this.count; index += step) {
      const found = get(this.keys[index]);
      if (!found || !equalBytes(found, this.value(index))) {
        throw new Error(`Entry ${index} reads back ${found ? "another value" : "as missing"}`);
      }
      checked++;
    }
    return `${checked} of ${this.count} values read back and compared after the clock`;
  }
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
