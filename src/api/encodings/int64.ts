/**
 * Signed 64-bit integers as 8 bytes, little-endian: the values that the merge operators `"add"`,
 * `"max"` and `"min"` work on. Promises: exact, or refused. Any thread may use it.
 *
 * Numbers are split by arithmetic on doubles, exact up to 2^53: a `DataView` or a bigint each would
 * cost an allocation.
 */
import { byteLengthUtf8, sliceOfSlab } from "../../base/bytes.ts";
import { corruption, invalidArgument, quote } from "../../base/errors.ts";
import type { Encoding } from "./encoding.ts";

/** The bytes that every encoded integer takes. */
export const INT64_BYTES = 8;

const HALF = 2 ** 32;

/** Safe numbers and bigints from -2^63 to 2^63 - 1 in, bigints out. */
export const int64Encoding: Encoding<number | bigint, bigint> = {
  name: "int64",
  keepsBytes: false,
  prepare(value: number | bigint): Uint8Array {
    if (typeof value === "number" && Number.isSafeInteger(value)) {
      return fromHalves(Math.floor(value / HALF), value);
    }
    if (typeof value === "bigint" && BigInt.asIntN(64, value) === value) {
      return fromHalves(Number(value >> 32n), Number(BigInt.asUintN(32, value)));
    }
    throw invalidArgument(
      `Cannot encode value ${quote(value)} as "int64": ` +
        `takes a safe integer, or a bigint from -2^63 to 2^63 - 1`,
    );
  },
  decode(bytes: Uint8Array): bigint {
    if (bytes.length !== INT64_BYTES) {
      throw corruption(
        `Cannot decode value ${quote(bytes)} as "int64": ` +
          `expected ${INT64_BYTES} bytes, found ${bytes.length}`,
      );
    }
    const low = (bytes[0] | bytes[1] << 8 | bytes[2] << 16 | bytes[3] << 24) >>> 0;
    const high = bytes[4] | bytes[5] << 8 | bytes[6] << 16 | bytes[7] << 24;
    const value = high * HALF + low;
    // Beyond 2^53 the sum was rounded, and may have been rounded to 2^53 itself: hence "safe".
    return Number.isSafeInteger(value) ? BigInt(value) : (BigInt(high) << 32n) | BigInt(low);
  },
};

/**
 * Checks a value of a family whose merge operator works on such integers, whatever encoding it came from.
 *
 * @throws {VarveError} `ERR_INVALID_ARGUMENT`
 */
export function requireInt64(prepared: string | Uint8Array, familyName: string): void {
  const bytes = typeof prepared === "string" ? byteLengthUtf8(prepared) : prepared.length;
  if (bytes === INT64_BYTES) return;
  throw invalidArgument(
    `Cannot write a value of ${bytes} bytes: column family '${familyName}' merges integers, ` +
      `and takes ${INT64_BYTES}`,
  );
}

/** The halves modulo 2^32 each, as the shifts take them. */
function fromHalves(high: number, low: number): Uint8Array {
  const bytes = sliceOfSlab(INT64_BYTES);
  bytes[0] = low;
  bytes[1] = low >>> 8;
  bytes[2] = low >>> 16;
  bytes[3] = low >>> 24;
  bytes[4] = high;
  bytes[5] = high >>> 8;
  bytes[6] = high >>> 16;
  bytes[7] = high >>> 24;
  return bytes;
}
