/**
 * The key that a Worker is looking up or writing: its bytes in native memory, padded with zeros to a word so that
 * keys compare and hash by words, and its hash.
 *
 * One per Worker, in its context region, where `varve_get` finds the same bytes without another copy.
 */
import { wordsOf, writeKey } from "../base/words.ts";
import type { Region } from "../native/region.ts";

const SEED = 0x9e3779b9;
/** Beyond this a block copy is faster. */
const SHORT_KEY_BYTES_MAX = 64;

export class KeyProbe {
  u32: Uint32Array;
  /** Where the key starts, in words from the start of `u32`. */
  start: number;
  bytes = 0;
  hash = 0;
  readonly #u8: Uint8Array;

  constructor(region: Region, offset: number) {
    this.#u8 = region.u8;
    this.u32 = region.u32;
    this.start = offset >> 2;
  }

  /** Takes the key as it is now. Throws `ERR_TOO_LARGE`, or `ERR_INVALID_ARGUMENT` for a lone surrogate. */
  set(key: Uint8Array | string): void {
    if (typeof key !== "string" && key.length <= SHORT_KEY_BYTES_MAX) return this.#setShort(key);
    this.bytes = writeKey(key, this.#u8, this.start << 2);
    this.hash = hashWords(this.u32, this.start, this.bytes);
  }

  /** Word by word and in one pass: a word that is read right after its bytes were written waits for them. */
  #setShort(key: Uint8Array): void {
    const { u32 } = this;
    const bytes = key.length;
    const whole = bytes & ~3;
    let at = this.start;
    let hash = bytes ^ SEED;
    for (let index = 0; index < whole; index += 4) {
      const word = key[index] | (key[index + 1] << 8) | (key[index + 2] << 16) |
        (key[index + 3] << 24);
      u32[at++] = word;
      hash = mixed(hash, word);
    }
    if (whole < bytes) {
      let word = key[whole];
      if (whole + 1 < bytes) word |= key[whole + 1] << 8;
      if (whole + 2 < bytes) word |= key[whole + 2] << 16;
      u32[at] = word;
      hash = mixed(hash, word);
    }
    this.bytes = bytes;
    this.hash = finished(hash);
  }

  /** Points to a key that lies somewhere as padded words. */
  point(u32: Uint32Array, start: number, bytes: number): void {
    this.u32 = u32;
    this.start = start;
    this.bytes = bytes;
    this.hash = hashWords(u32, start, bytes);
  }
}

/** A 32-bit hash of a key padded to words. Never stored on disk. */
export function hashWords(words: Uint32Array, start: number, bytes: number): number {
  let hash = bytes ^ SEED;
  const end = start + wordsOf(bytes);
  for (let index = start; index < end; index++) hash = mixed(hash, words[index]);
  return finished(hash);
}

function mixed(hash: number, word: number): number {
  const product = Math.imul(hash ^ word, 0x85ebca6b);
  return (Math.imul((product << 13) | (product >>> 19), 5) + 0xe6546b64) | 0;
}

function finished(hash: number): number {
  const product = Math.imul(hash ^ (hash >>> 16), 0xc2b2ae35);
  return (product ^ (product >>> 15)) >>> 0;
}
