/**
 * The encodings of values, by the names that users give.
 * Any thread may use them; they hold no state but a user's codec.
 */
import { decodeUtf8 } from "../../base/bytes.ts";
import { corruption, invalidArgument, quote, VarveError } from "../../base/errors.ts";
import {
  binaryEncoding,
  type Codec,
  codecEncoding,
  type Encoding,
  utf8Encoding,
} from "./encoding.ts";
import { int64Encoding } from "./int64.ts";

/**
 * What `valueEncoding` takes.
 *
 * - `"binary"` (default): `Uint8Array` or `string` in, `Uint8Array` out.
 * - `"utf8"`: strings.
 * - `"json"`: whatever `JSON.stringify` can write.
 * - `"int64"`: 8-byte little-endian signed integers; safe numbers and bigints in, bigints out.
 * - a {@linkcode Codec}.
 */
export type ValueEncodingOption = "binary" | "utf8" | "json" | "int64" | Codec<never, unknown>;

/** The values that a handle with this encoding takes. */
export type ValueInput<E extends ValueEncodingOption> = E extends "binary" ? Uint8Array | string
  : E extends "utf8" ? string
  : E extends "json" ? unknown
  : E extends "int64" ? number | bigint
  : E extends Codec<infer In, unknown> ? In
  : never;

/** The values that a handle with this encoding gives back. JSON is `any`, as `JSON.parse` has it. */
export type ValueOutput<E extends ValueEncodingOption> = E extends "binary" ? Uint8Array
  : E extends "utf8" ? string
  // deno-lint-ignore no-explicit-any
  : E extends "json" ? any
  : E extends "int64" ? bigint
  : E extends Codec<never, infer Out> ? Out
  : never;

const binary = binaryEncoding("value");
const utf8 = utf8Encoding("value");

/** JSON text in UTF-8. `JSON.stringify` escapes lone surrogates, so they survive. */
export const jsonEncoding: Encoding<unknown> = {
  name: "json",
  keepsBytes: false,
  prepare(value: unknown): string {
    let text: string | undefined;
    try {
      text = JSON.stringify(value);
    } catch (cause) {
      const reason = `JSON.stringify failed (see cause)`;
      throw invalidArgument(`Cannot encode value ${quote(value)} as "json": ${reason}`, cause);
    }
    if (text !== undefined) return text;
    throw invalidArgument(`Cannot encode value ${quote(value)} as "json": JSON has no such value`);
  },
  decode(bytes: Uint8Array): unknown {
    try {
      return JSON.parse(decodeUtf8(bytes));
    } catch (error) {
      const cause = error instanceof VarveError ? error.cause : error;
      throw corruption(`Cannot decode value ${quote(bytes)} as "json": it is not JSON`, { cause });
    }
  },
};

/**
 * The encoding that `option` names; `"binary"` for `undefined`.
 *
 * @throws {VarveError} `ERR_INVALID_ARGUMENT` when it names none.
 */
export function resolveValueEncoding<E extends ValueEncodingOption = "binary">(
  option: E | undefined,
): Encoding<ValueInput<E>, ValueOutput<E>> {
  return resolve(option) as unknown as Encoding<ValueInput<E>, ValueOutput<E>>;
}

// Each encoding takes a type of its own: the name was checked at run time, the caller restores the type.
function resolve(option: unknown): Encoding<never, unknown> {
  switch (option) {
    case undefined:
    case "binary":
      return binary;
    case "utf8":
      return utf8;
    case "json":
      return jsonEncoding;
    case "int64":
      return int64Encoding;
  }
  const codec = codecEncoding(option, "value");
  if (codec !== undefined) return codec;
  throw invalidArgument(
    `Cannot use valueEncoding ${quote(option)}: takes "binary", "utf8", "json", "int64" ` +
      `or a codec { encode(value), decode(bytes) }`,
  );
}
