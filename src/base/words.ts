/**
 * Keys and values laid out in whole 32-bit words, the rest of the last word zero: so that they compare, hash and
 * copy by words.
 */
import { byteLengthUtf8, encodeUtf8Into, KEY_BYTES_MAX } from "./bytes.ts";
import { tooLarge } from "./errors.ts";

/** Below this many bytes, or words, a loop beats `TypedArray.set`. */
const LOOP_BYTES_MAX = 64;
const LOOP_WORDS_MAX = 48;

/** How many words hold so many bytes. */
export function wordsOf(bytes: number): number {
  return (bytes + 3) >>> 2;
}

/** So many bytes, rounded up to whole words. */
export function padded(bytes: number): number {
  return (bytes + 3) & ~3;
}

/**
 * Writes a key and pads it with zeros to a word. Returns its length in bytes.
 * Throws `ERR_TOO_LARGE`, or `ERR_INVALID_ARGUMENT` for a lone surrogate. REQUIRES: `offset` is a multiple of four.
 */
export function writeKey(key: Uint8Array | string, into: Uint8Array, offset: number): number {
  let bytes: number;
  if (typeof key === "string") {
    if (key.length > KEY_BYTES_MAX) throw tooLarge("use a key", "it", key.length, KEY_BYTES_MAX);
    bytes = encodeUtf8Into(key, into, offset);
    if (bytes < 0) throw tooLarge("use a key", "it", byteLengthUtf8(key), KEY_BYTES_MAX);
  } else {
    bytes = key.length;
    if (bytes > KEY_BYTES_MAX) throw tooLarge("use a key", "it", bytes, KEY_BYTES_MAX);
    copyBytes(key, into, offset);
  }
  if (bytes > KEY_BYTES_MAX) throw tooLarge("use a key", "it", bytes, KEY_BYTES_MAX);
  padToWord(into, offset + bytes);
  return bytes;
}

export function copyBytes(from: Uint8Array, into: Uint8Array, offset: number): void {
  const bytes = from.length;
  if (bytes > LOOP_BYTES_MAX) into.set(from, offset);
  else for (let index = 0; index < bytes; index++) into[offset + index] = from[index];
}

/** Zeros up to the next multiple of four. */
export function padToWord(into: Uint8Array, end: number): void {
  for (let index = end; (index & 3) !== 0; index++) into[index] = 0;
}

export function copyWords(
  from: Uint32Array,
  fromStart: number,
  into: Uint32Array,
  intoStart: number,
  words: number,
): void {
  if (words > LOOP_WORDS_MAX) {
    into.set(from.subarray(fromStart, fromStart + words), intoStart);
  } else {
    for (let index = 0; index < words; index++) into[intoStart + index] = from[fromStart + index];
  }
}
