/**
 * Byte strings: their order, their prefixes, and text as strict UTF-8.
 * Promises: order is unsigned and lexicographic, a proper prefix first; text survives a round trip
 * exactly (a byte order mark too) or is refused, never repaired. Nothing here keeps a reference to
 * what it was given. Any thread may use it.
 *
 * The thresholds between a loop and the runtime's own routine were measured on Deno 2.9.6 and Bun
 * 1.4.5: encoding 16 characters takes 49 and 30 ns by loop, 141 and 74 by `encodeInto`; decoding
 * them 123 and 73 ns by loop, 374 and 60 by `TextDecoder`.
 */
import { Buffer } from "node:buffer";
import { corruption, invalidArgument, quote } from "./errors.ts";

/** The longest key, in bytes. */
export const KEY_BYTES_MAX = 65_535;

/** Strings up to this many UTF-16 code units are encoded, or measured, by a loop. */
const ENCODE_LOOP_UNITS_MAX = 48;
const LENGTH_LOOP_UNITS_MAX = 24;
/** Byte strings up to this length are decoded by a loop, when they are ASCII. */
const DECODE_LOOP_BYTES_MAX = 24;
/** A UTF-16 code unit takes at most three bytes of UTF-8 (a pair of them takes four). */
const UTF8_BYTES_PER_UNIT_MAX = 3;

const utf8Encoder = new TextEncoder();
const utf8Decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const typedArrayTag = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  Symbol.toStringTag,
)!.get!;

/**
 * Whether `value` is a real `Uint8Array`: subclasses (`Buffer`) and those of other realms count,
 * proxies and objects that only inherit from it do not.
 */
export function isUint8Array(value: unknown): value is Uint8Array {
  // No look-alike is a view; the getter, which reads an internal slot, costs 50 ns in Bun and is kept for other realms.
  return ArrayBuffer.isView(value) &&
    (value instanceof Uint8Array || typedArrayTag.call(value) === "Uint8Array");
}

/**
 * Whether the memory under `bytes` is gone: its buffer was detached, or shrank below the view.
 * Looks only at views of length zero, as all such are: asking a small array for its `.buffer` would
 * make the engine build one.
 */
export function isDetached(bytes: Uint8Array): boolean {
  if (bytes.length > 0) return false;
  try {
    Uint8Array.prototype.at.call(bytes, 0); // the specification has it throw for such a view
    return false;
  } catch {
    return true;
  }
}

/** Negative, zero or positive as `a` sorts before, with or after `b`. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const common = Math.min(a.length, b.length);
  for (let index = 0; index < common; index++) {
    const difference = a[index] - b[index];
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Whether `bytes` begins with all of `prefix`. */
export function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  if (bytes.length < prefix.length) return false;
  for (let index = 0; index < prefix.length; index++) {
    if (bytes[index] !== prefix[index]) return false;
  }
  return true;
}

/**
 * The smallest byte string above everything that begins with `prefix`, in memory of its own;
 * `undefined` when there is none (`prefix` is empty, or all 0xff).
 */
export function prefixSuccessor(prefix: Uint8Array): Uint8Array | undefined {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length--;
  if (length === 0) return undefined;
  // `Uint8Array.prototype.slice` by name, since a `Buffer`'s own `slice` does not copy.
  const successor = Uint8Array.prototype.slice.call(prefix, 0, length);
  successor[length - 1]++;
  return successor;
}

/**
 * The least key above `key`: `key` and a zero byte. Nothing may follow the longest of keys, so there
 * it is the least key that does not begin with it, which keeps bounds as short as keys. `undefined`: there is none.
 */
export function keySuccessor(key: Uint8Array): Uint8Array | undefined {
  if (key.length === KEY_BYTES_MAX) return prefixSuccessor(key);
  const successor = new Uint8Array(key.length + 1);
  successor.set(key);
  return successor;
}

/** The bytes that `text` takes in UTF-8. A lone surrogate counts three, though encoding refuses it. */
export function byteLengthUtf8(text: string): number {
  if (text.length > LENGTH_LOOP_UNITS_MAX) return Buffer.byteLength(text, "utf8");
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) >= 0x80) return Buffer.byteLength(text, "utf8");
  }
  return text.length;
}

/** An upper bound of {@linkcode byteLengthUtf8} that costs nothing. */
export function byteLengthUtf8Max(text: string): number {
  return text.length * UTF8_BYTES_PER_UNIT_MAX;
}

/**
 * Encodes `text` into `target` from `offset` on. Returns the bytes written, or -1 when they do not
 * fit; then, as after an error, `target` holds anything from `offset` on.
 *
 * @throws {VarveError} `ERR_INVALID_ARGUMENT` when `text` holds half of a surrogate pair.
 */
export function encodeUtf8Into(text: string, target: Uint8Array, offset: number): number {
  const length = text.length;
  if (length > target.length - offset) return -1; // every code unit takes a byte or more
  if (length <= ENCODE_LOOP_UNITS_MAX) {
    let index = 0;
    while (index < length) {
      const unit = text.charCodeAt(index);
      if (unit >= 0x80) break;
      target[offset + index++] = unit;
    }
    if (index === length) return length;
  }
  const { read, written } = utf8Encoder.encodeInto(
    text,
    offset === 0 ? target : target.subarray(offset),
  );
  // As many bytes as code units: all ASCII. Only otherwise can there be half a pair.
  if (written !== read || read < length) requireWellFormed(text);
  return read < length ? -1 : written;
}

/**
 * `text` in UTF-8, in memory of its own.
 *
 * @throws {VarveError} `ERR_INVALID_ARGUMENT` when `text` holds half of a surrogate pair.
 */
export function encodeUtf8(text: string): Uint8Array {
  requireWellFormed(text);
  const bytes = new Uint8Array(byteLengthUtf8(text));
  encodeUtf8Into(text, bytes, 0);
  return bytes;
}

/** @throws {VarveError} `ERR_INVALID_ARGUMENT` when `text` holds half of a surrogate pair. */
export function requireWellFormed(text: string): void {
  if (text.isWellFormed()) return;
  throw invalidArgument(`Cannot encode ${quote(text)} as UTF-8: it holds a lone surrogate`);
}

/**
 * The text that `bytes` hold.
 *
 * @throws {VarveError} `ERR_CORRUPTION` when they are not UTF-8: replacing what cannot be read would
 * lose it for good at the next write.
 */
export function decodeUtf8(bytes: Uint8Array): string {
  const length = bytes.length;
  if (length <= DECODE_LOOP_BYTES_MAX) {
    let text = "";
    let index = 0;
    while (index < length) {
      const byte = bytes[index];
      if (byte >= 0x80) break;
      text += String.fromCharCode(byte);
      index++;
    }
    if (index === length) return text;
  }
  try {
    return utf8Decoder.decode(bytes);
  } catch (cause) {
    throw corruption(`Cannot decode ${quote(bytes)} as UTF-8: it is not well-formed`, { cause });
  }
}

/** One slab's size, and the largest piece that is cut from one. */
const SLAB_BYTES = 16_384;
const SLAB_PIECE_BYTES_MAX = 1_024;
let slab = new Uint8Array(new ArrayBuffer(SLAB_BYTES));
let slabBytesUsed = 0;

/**
 * `length` bytes that nobody else uses, small ones cut from a common buffer: a fresh 100-byte array
 * costs 800 ns in Deno, a piece of a slab 60. For what is dropped soon; a piece keeps its slab alive.
 */
export function sliceOfSlab(length: number): Uint8Array {
  if (length > SLAB_PIECE_BYTES_MAX) return new Uint8Array(length);
  if (length > SLAB_BYTES - slabBytesUsed) {
    slab = new Uint8Array(new ArrayBuffer(SLAB_BYTES));
    slabBytesUsed = 0;
  }
  return slab.subarray(slabBytesUsed, slabBytesUsed += length);
}
