/** Bytes as text and back: strict UTF-8, hexadecimal, Base64, and a form for people to read. */
import { Buffer } from "node:buffer";

/** How bytes are spelled on the command line and in text output. */
export type TextFormat = "utf8" | "hex";
/** How bytes are spelled where a marker says so. */
export type Encoding = "hex" | "base64";

const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const HEX = /^(?:[0-9a-f]{2})*$/i;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** The text whose UTF-8 is exactly `bytes`; `undefined` if there is none. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return strictDecoder.decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return undefined; // what `fatal` throws
    throw error;
  }
}

/** The bytes that `text` spells; `undefined` if it spells none. */
export function decodeText(text: string, format: TextFormat | Encoding): Uint8Array | undefined {
  const valid = format === "utf8"
    ? text.isWellFormed()
    : (format === "hex" ? HEX : BASE64).test(text);
  return valid ? Buffer.from(text, format) : undefined;
}

/** `bytes` in hexadecimal or Base64. */
export function encodeText(bytes: Uint8Array, encoding: Encoding): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString(encoding);
}

/**
 * `bytes` for people, always on one line and never ambiguous: control characters, the backslash and
 * bytes that are not UTF-8 appear as `\n`, `\t`, `\r`, `\\` or `\x1b`, so that no value can move the
 * cursor of the terminal that it is shown on.
 */
export function printable(bytes: Uint8Array, format: TextFormat = "utf8"): string {
  if (format === "hex") return encodeText(bytes, "hex");
  const text = decodeUtf8(bytes);
  return text === undefined ? Array.from(bytes, printableByte).join("") : oneLine(text, true);
}

/** `text` with its control characters, and if asked its backslashes, escaped. */
export function oneLine(text: string, escapeBackslash = false): string {
  // deno-lint-ignore no-control-regex
  const unprintable = /[\x00-\x1f\x7f-\x9f\u2028\u2029]/g;
  const escaped = escapeBackslash ? text.replaceAll("\\", "\\\\") : text;
  return escaped.replace(unprintable, escapeCharacter);
}

function escapeCharacter(character: string): string {
  const short = SHORT_ESCAPES.get(character);
  if (short !== undefined) return short;
  return Array.from(Buffer.from(character), escapeByte).join("");
}

function printableByte(byte: number): string {
  if (byte === 0x5c) return "\\\\";
  const character = String.fromCharCode(byte);
  return byte >= 0x20 && byte < 0x7f ? character : SHORT_ESCAPES.get(character) ?? escapeByte(byte);
}

function escapeByte(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, "0")}`;
}

const SHORT_ESCAPES = new Map([["\n", "\\n"], ["\r", "\\r"], ["\t", "\\t"]]);
