/**
 * One entry of the log: type, family, key and value, each padded to a word. A run of them is what a caller encodes
 * once; it is written to the log, and read by the memtables, as it lies there. Layout: `LogEntry` in `abi.zig`.
 */
import { byteLengthUtf8Max, encodeUtf8Into } from "../base/bytes.ts";
import { tooLarge } from "../base/errors.ts";
import { copyBytes, padded, padToWord, writeKey } from "../base/words.ts";
import {
  BlobAddress,
  EntryType,
  KEY_BYTES_MAX,
  LogEntry,
  VALUE_BYTES_MAX,
} from "../native/layout.gen.ts";

/** The moment from which an entry acts as a delete, before the value of one that expires. */
export const EXPIRY_BYTES = 8;

/** Bytes that `encodeEntry` may touch for this key and value, an upper bound. Throws `ERR_TOO_LARGE`. */
export function entryBytesMax(key: Uint8Array | string, value: Uint8Array | string): number {
  if (value.length > VALUE_BYTES_MAX) {
    throw tooLarge("put a value", "it", value.length, VALUE_BYTES_MAX);
  }
  return LogEntry.BYTES + bytesMax(key) + EXPIRY_BYTES + bytesMax(value) + 8;
}

function bytesMax(data: Uint8Array | string): number {
  return typeof data === "string" ? byteLengthUtf8Max(data) : data.length;
}

/**
 * Encodes an entry at `offset`, a multiple of four, and returns where the next one starts.
 * Throws `ERR_TOO_LARGE`, or `ERR_INVALID_ARGUMENT` for a lone surrogate; what was there counts as untouched then.
 * REQUIRES: `entryBytesMax(key, value)` bytes are free from `offset`.
 *
 * @param prefixBytes a multiple of four: room before the value, and part of it, that the caller fills
 */
export function encodeEntry(
  u8: Uint8Array,
  u32: Uint32Array,
  offset: number,
  type: number,
  family: number,
  key: Uint8Array | string,
  value: Uint8Array | string,
  prefixBytes = 0,
): number {
  const keyBytes = writeKey(key, u8, offset + LogEntry.BYTES);
  const valueStart = offset + LogEntry.BYTES + padded(keyBytes) + prefixBytes;
  let valueBytes: number;
  if (typeof value === "string") {
    valueBytes = encodeUtf8Into(value, u8, valueStart);
  } else {
    valueBytes = value.length;
    copyBytes(value, u8, valueStart);
  }
  if (valueBytes > VALUE_BYTES_MAX) {
    throw tooLarge("put a value", "it", valueBytes, VALUE_BYTES_MAX);
  }
  padToWord(u8, valueStart + valueBytes);
  const header = offset >> 2;
  u32[header + (LogEntry.typeAndKeyBytes >> 2)] = type | (keyBytes << 16);
  u32[header + (LogEntry.valueBytes >> 2)] = prefixBytes + valueBytes;
  u32[header + (LogEntry.family >> 2)] = family;
  return valueStart + padded(valueBytes);
}

const expiryWords = new Uint32Array(2);
const expiryMoment = new Float64Array(expiryWords.buffer);

/**
 * As {@linkcode encodeEntry}, for a put that expires: at `expiry`, in milliseconds since 1970.
 *
 * @param type `putExpiring` or `putBlobExpiring`
 */
export function encodeExpiringEntry(
  u8: Uint8Array,
  u32: Uint32Array,
  offset: number,
  type: number,
  family: number,
  key: Uint8Array | string,
  value: Uint8Array | string,
  expiry: number,
): number {
  const end = encodeEntry(u8, u32, offset, type, family, key, value, EXPIRY_BYTES);
  const keyBytes = u32[(offset + LogEntry.typeAndKeyBytes) >> 2] >>> 16;
  const valueStart = (offset + LogEntry.BYTES + padded(keyBytes)) >> 2;
  expiryMoment[0] = expiry;
  u32[valueStart] = expiryWords[0];
  u32[valueStart + 1] = expiryWords[1];
  return end;
}

/** The expiry that stands before a value at this word. */
export function expiryAt(u32: Uint32Array, valueStart: number): number {
  expiryWords[0] = u32[valueStart];
  expiryWords[1] = u32[valueStart + 1];
  return expiryMoment[0];
}

/**
 * Whether an entry of this type can have so many bytes of key and value. A checksum proves where bytes come from, not that
 * they make sense.
 */
export function isPossibleEntry(type: number, keyBytes: number, valueBytes: number): boolean {
  if (keyBytes > KEY_BYTES_MAX) return false;
  switch (type) {
    case EntryType.put:
    case EntryType.delete:
    case EntryType.merge:
      return true;
    case EntryType.deleteRange:
      return valueBytes <= KEY_BYTES_MAX;
    case EntryType.putExpiring:
      return valueBytes >= EXPIRY_BYTES;
    case EntryType.putBlob:
      return valueBytes === BlobAddress.BYTES;
    case EntryType.putBlobExpiring:
      return valueBytes === EXPIRY_BYTES + BlobAddress.BYTES;
    default:
      return false;
  }
}
