/**
 * The key that a Worker is looking up or writing: its bytes in native memory, padded with zeros to a word so that
 * keys compare and hash by words, and its hash.
 *
 * One per Worker, in its context region, where `varve_get` finds the same bytes without another copy.
 */
import { wordsOf, writeKey } from "../base/words.ts";
import type { Region } from "../native/region.ts";

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
    this.bytes = writeKey(key, this.#u8, this.start << 2);
    this.hash = hashWords(this.u32, this.start, this.bytes);
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
  let hash = bytes ^ 0x9e3779b9;
  const end = start + wordsOf(bytes);
  for (let index = start; index < end; index++) {
    hash = Math.imul(hash ^ words[index], 0x85ebca6b);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0xc2b2ae35);
  return (hash ^ (hash >>> 15)) >>> 0;
}
