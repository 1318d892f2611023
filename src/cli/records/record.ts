/**
 * One entry of a store as the text formats spell it.
 *
 * Keys and values are text where they are UTF-8. Where they are not, they are in Base64 and a marker
 * beside them says so: `keyEncoding` for the key, `encoding` for the value. So whatever bytes a
 * store holds come back exactly, and what can be read stays readable.
 */
import { CommandError } from "../failure.ts";
import { decodeText, decodeUtf8, encodeText, type Encoding, type TextFormat } from "../text.ts";

/** An entry. `family` is missing for the family that the command names. */
export interface Entry {
  readonly family?: string;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** An entry as text: the members of an NDJSON line, the columns of a CSV file. */
export interface EntryFields {
  family?: string;
  key?: string;
  keyEncoding?: Encoding;
  value?: string;
  encoding?: Encoding;
}

/** The most bytes of a value whose spelling surely fits into one string of any runtime. */
const VALUE_BYTES_MAX = 256 * 1024 * 1024;

/** Spells `key`: in hexadecimal if `format` says so, else as text if it is UTF-8. */
export function keyFields(key: Uint8Array, format: TextFormat): EntryFields {
  const { text, encoding } = spell(key, format);
  return encoding === undefined ? { key: text } : { key: text, keyEncoding: encoding };
}

/** Spells `value`, as {@linkcode keyFields} does. */
export function valueFields(value: Uint8Array, format: TextFormat): EntryFields {
  const { text, encoding } = spell(value, format);
  return encoding === undefined ? { value: text } : { value: text, encoding };
}

/**
 * The entry that the members of `fields` spell, which may be anything that a file contained.
 * `keyFormat` holds for keys without a marker; `where` ("line 3") goes into the error.
 */
export function entryOf(fields: unknown, keyFormat: TextFormat, where: string): Entry {
  if (typeof fields !== "object" || fields === null || Array.isArray(fields)) {
    throw malformed(where, "it is not an object");
  }
  const record = fields as Record<string, unknown>;
  const key = decodeField(record, "key", encodingField(record, "keyEncoding", where), {
    where,
    unmarked: keyFormat,
  });
  const value = decodeField(record, "value", encodingField(record, "encoding", where), {
    where,
    unmarked: "utf8",
  });
  const family = textField(record, "family", where);
  return family === undefined || family === "" ? { key, value } : { family, key, value };
}

/** `where` of the input cannot be used. */
export function malformed(where: string, why: string): CommandError {
  return new CommandError("ERR_INVALID_ARGUMENT", `Cannot import ${where}: ${why}`);
}

function spell(bytes: Uint8Array, format: TextFormat): { text: string; encoding?: Encoding } {
  if (bytes.length > VALUE_BYTES_MAX) {
    throw new CommandError(
      "ERR_TOO_LARGE",
      `Cannot write a value of ${bytes.length} bytes as text: at most ${VALUE_BYTES_MAX} fit`,
    );
  }
  if (format === "hex") return { text: encodeText(bytes, "hex"), encoding: "hex" };
  const text = decodeUtf8(bytes);
  return text === undefined ? { text: encodeText(bytes, "base64"), encoding: "base64" } : { text };
}

function decodeField(
  record: Record<string, unknown>,
  name: "key" | "value",
  encoding: Encoding | undefined,
  { where, unmarked }: { where: string; unmarked: TextFormat },
): Uint8Array {
  const text = textField(record, name, where);
  if (text === undefined) throw malformed(where, `it has no "${name}"`);
  const format = encoding ?? unmarked;
  const bytes = decodeText(text, format);
  if (bytes === undefined) throw malformed(where, `its ${name} is not ${format}`);
  return bytes;
}

function encodingField(
  record: Record<string, unknown>,
  name: "keyEncoding" | "encoding",
  where: string,
): Encoding | undefined {
  const encoding = textField(record, name, where);
  if (encoding === undefined || encoding === "") return undefined;
  if (encoding === "hex" || encoding === "base64") return encoding;
  throw malformed(where, `"${name}" takes hex or base64`);
}

function textField(
  record: Record<string, unknown>,
  name: string,
  where: string,
): string | undefined {
  const value = Object.hasOwn(record, name) ? record[name] : undefined;
  if (value === undefined || typeof value === "string") return value;
  throw malformed(where, `"${name}" is not a string`);
}
