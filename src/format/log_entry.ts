/**
 * One entry of the log: type, family, key and value, each padded to a word. A run of them is what a caller encodes
 * once; it is written to the log, and read by the memtables, as it lies there. Layout: `LogEntry` in `abi.zig`.
 */
import { byteLengthUtf8Max, encodeUtf8Into } from "../base/bytes.ts";
import { tooLarge } from "../base/errors.ts";
import { copyBytes, padded, padToWord, writeKey } from "../base/words.ts";
import { LogEntry, VALUE_BYTES_MAX } from "../native/layout.gen.ts";

/** Bytes that `encodeEntry` may touch for this key and value, an upper bound. Throws `ERR_TOO_LARGE`. */
export function entryBytesMax(key: Uint8Array | string, value: Uint8Array | string): number {
  if (value.length > VALUE_BYTES_MAX) {
    throw tooLarge("put a value", "it", value.length, VALUE_BYTES_MAX);
  }
  return LogEntry.BYTES + bytesMax(key) + bytesMax(value) + 8;
}

function bytesMax(data: Uint8Array | string): number {
  return typeof data === "string" ? byteLengthUtf8Max(data) : data.length;
}

/**
 * Encodes an entry at `offset`, a multiple of four, and returns where the next one starts.
 * Throws `ERR_TOO_LARGE`, or `ERR_INVALID_ARGUMENT` for a lone surrogate; what was there counts as untouched then.
 * REQUIRES: `entryBytesMax(key, value)` bytes are free from `offset`.
 */
export function encodeEntry(
  u8: Uint8Array,
  u32: Uint32Array,
  offset: number,
  type: number,
  family: number,
  key: Uint8Array | string,
  value: Uint8Array | string,
): number {
  const keyBytes = writeKey(key, u8, offset + LogEntry.BYTES);
  const valueStart = offset + LogEntry.BYTES + padded(keyBytes);
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
  u32[header + (LogEntry.valueBytes >> 2)] = valueBytes;
  u32[header + (LogEntry.family >> 2)] = family;
  return valueStart + padded(valueBytes);
}
