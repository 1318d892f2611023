/**
 * The encodings of keys, by the names that users give. Keys are ordered by their encoded bytes.
 * Any thread may use them; they hold no state but a user's codec.
 */
import { invalidArgument, quote } from "../../base/errors.ts";
import {
  binaryEncoding,
  type Codec,
  codecEncoding,
  type Encoding,
  utf8Encoding,
} from "./encoding.ts";
import { type Tuple, tupleEncoding } from "./tuple.ts";

/**
 * What `keyEncoding` takes.
 *
 * - `"binary"` (default): `Uint8Array` or `string` in, `Uint8Array` out.
 * - `"utf8"`: strings, ordered by their UTF-8 bytes (which is the order of code points).
 * - `"tuple"`: arrays that sort element by element; see {@linkcode Tuple}.
 * - a {@linkcode Codec}: ordered by the bytes that it makes.
 */
export type KeyEncodingOption = "binary" | "utf8" | "tuple" | Codec<never, unknown>;

/** The keys that a handle with this encoding takes. */
export type KeyInput<E extends KeyEncodingOption> = E extends "binary" ? Uint8Array | string
  : E extends "utf8" ? string
  : E extends "tuple" ? Tuple
  : E extends Codec<infer In, unknown> ? In
  : never;

/** The keys that a handle with this encoding gives back. */
export type KeyOutput<E extends KeyEncodingOption> = E extends "binary" ? Uint8Array
  : E extends "utf8" ? string
  : E extends "tuple" ? Tuple
  : E extends Codec<never, infer Out> ? Out
  : never;

const binary = binaryEncoding("key");
const utf8 = utf8Encoding("key");

/**
 * The encoding that `option` names; `"binary"` for `undefined`.
 *
 * @throws {VarveError} `ERR_INVALID_ARGUMENT` when it names none.
 */
export function resolveKeyEncoding<E extends KeyEncodingOption = "binary">(
  option: E | undefined,
): Encoding<KeyInput<E>, KeyOutput<E>> {
  return resolve(option) as unknown as Encoding<KeyInput<E>, KeyOutput<E>>;
}

// Each encoding takes a type of its own: the name was checked at run time, the caller restores the type.
function resolve(option: unknown): Encoding<never, unknown> {
  switch (option) {
    case undefined:
    case "binary":
      return binary;
    case "utf8":
      return utf8;
    case "tuple":
      return tupleEncoding;
  }
  const codec = codecEncoding(option, "key");
  if (codec !== undefined) return codec;
  throw invalidArgument(
    `Cannot use keyEncoding ${quote(option)}: takes "binary", "utf8", "tuple" ` +
      `or a codec { encode(value), decode(bytes) }`,
  );
}
