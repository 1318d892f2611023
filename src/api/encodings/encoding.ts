/**
 * What an encoding is, and those that keys and values share: binary, UTF-8 and a user's codec.
 *
 * An encoding does not write to the store's memory. `prepare` checks a value and yields what is to
 * be written, a string or bytes; the core measures it, writes it (strings by `encodeUtf8Into`) and
 * may write it again elsewhere. So a user's codec runs exactly once per call, before any claim or
 * lock, and strings and bytes go from the caller to their place with one copy and no array between.
 */
import { decodeUtf8, isDetached, isUint8Array } from "../../base/bytes.ts";
import { invalidArgument, quote } from "../../base/errors.ts";

/** How values of one kind become bytes and back. */
export interface Encoding<In, Out = In> {
  /** `"utf8"`, say, or `"codec"`: stored as a hint for tools. */
  readonly name: string;
  /**
   * Whether what `decode` returns may hold on to its argument. If so the core passes bytes that are
   * the caller's to keep; if not, a passing view of the store's memory will do.
   */
  readonly keepsBytes: boolean;
  /**
   * Checks `value` and yields what to write: a string stands for its UTF-8. The result may be the
   * caller's own array, so it is to be copied before control goes back to the caller.
   * A lone surrogate is found when the string is written.
   *
   * @throws {VarveError} `ERR_INVALID_ARGUMENT` for a value that this encoding does not take. What a
   * codec throws passes through as it is.
   */
  prepare(value: In): string | Uint8Array;
  /**
   * The value that `bytes` stand for.
   *
   * @throws {VarveError} `ERR_CORRUPTION` when they stand for none. What a codec throws passes
   * through as it is.
   */
  decode(bytes: Uint8Array): Out;
}

/** A user's own encoding. Both members run synchronously, once for each key or value. */
export interface Codec<In, Out = In> {
  /** The bytes of `value`. They are copied at once, so one array may serve every call. */
  encode(value: In): Uint8Array;
  /** The value of `bytes`, which are the codec's to keep. */
  decode(bytes: Uint8Array): Out;
}

/** Returns `value` if it is a `Uint8Array` with memory under it. `what` is "key" or "value". */
export function requireBytes(value: unknown, what: string): Uint8Array {
  if (!isUint8Array(value)) {
    throw invalidArgument(`Cannot encode ${what} ${quote(value)}: takes a Uint8Array`);
  }
  if (isDetached(value)) {
    throw invalidArgument(`Cannot encode ${what} ${quote(value)}: the array is detached`);
  }
  return value;
}

/** Takes arrays and strings, gives arrays. `what` is "key" or "value". */
export function binaryEncoding(what: string): Encoding<Uint8Array | string, Uint8Array> {
  return {
    name: "binary",
    keepsBytes: true,
    prepare(value: unknown): string | Uint8Array {
      if (typeof value === "string") return value;
      if (isUint8Array(value) && !isDetached(value)) return value;
      if (isUint8Array(value)) requireBytes(value, what);
      throw invalidArgument(
        `Cannot encode ${what} ${quote(value)} as "binary": takes a Uint8Array or a string`,
      );
    },
    decode: (bytes) => bytes,
  };
}

/** Takes and gives strings. `what` is "key" or "value". */
export function utf8Encoding(what: string): Encoding<string> {
  return {
    name: "utf8",
    keepsBytes: false,
    prepare(value: unknown): string {
      if (typeof value === "string") return value;
      throw invalidArgument(`Cannot encode ${what} ${quote(value)} as "utf8": takes a string`);
    },
    decode: decodeUtf8,
  };
}

/** By what they encode: a codec is one encoding, however often it is named. */
const codecs = {
  key: new WeakMap<object, Encoding<unknown>>(),
  value: new WeakMap<object, Encoding<unknown>>(),
};

/** A user's codec as an encoding, or `undefined` if `value` is not one. */
export function codecEncoding(
  value: unknown,
  what: "key" | "value",
): Encoding<unknown> | undefined {
  if (value === null || (typeof value !== "object" && typeof value !== "function")) {
    return undefined;
  }
  const codec = value as Codec<unknown>;
  if (typeof codec.encode !== "function" || typeof codec.decode !== "function") return undefined;
  const known = codecs[what].get(value);
  if (known !== undefined) return known;
  const encoding: Encoding<unknown> = {
    name: "codec",
    keepsBytes: true,
    prepare(value: unknown): Uint8Array {
      const bytes: unknown = codec.encode(value);
      if (isUint8Array(bytes) && !isDetached(bytes)) return bytes;
      throw invalidArgument(
        `Cannot encode ${what} ${quote(value)}: the codec's encode() returned ${quote(bytes)}, ` +
          `and a Uint8Array with memory under it is needed`,
      );
    },
    decode: (bytes) => codec.decode(bytes),
  };
  codecs[what].set(value, encoding);
  return encoding;
}
