/**
 * Entries as CSV (RFC 4180) with a header. Columns are found by name: `key` and `value`, and if
 * there `keyEncoding`, `encoding` and `family`, where empty means missing.
 */
import { pipeline, Readable } from "node:stream";
import { parse } from "csv-parse";
import { stringify } from "csv-stringify/sync";
import type { TextFormat } from "../text.ts";
import { type Entry, type EntryFields, entryOf, malformed } from "./record.ts";

const COLUMNS = ["key", "value", "keyEncoding", "encoding", "family"] as const;

/** The first line of a file. */
export const CSV_HEADER: string = csvLine(
  Object.fromEntries(COLUMNS.map((column) => [column, column])),
);

/** `fields` as a line. All is quoted, so that line ends and spaces in a value stay its own. */
export function csvLine(fields: EntryFields): string {
  const row = COLUMNS.map((column) => fields[column] ?? "");
  return stringify([row], { quoted: true, quoted_empty: true, record_delimiter: "\n" });
}

/** The entries of a CSV stream. */
export async function* readCsv(
  chunks: AsyncIterable<Uint8Array>,
  keyFormat: TextFormat,
): AsyncGenerator<Entry> {
  const parser = parse({
    bom: true,
    columns: true,
    record_delimiter: ["\r\n", "\n"],
    skip_empty_lines: true,
  });
  // Whatever fails destroys the parser with that error, and so is thrown by the loop below.
  pipeline(Readable.from(decode(chunks)), parser, () => {});
  let row = 0;
  for await (const fields of parser) yield entryOf(fields, keyFormat, `row ${++row}`);
}

/** Refuses what is not UTF-8: the parser would repair it. */
async function* decode(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const decodeChunk = (chunk?: Uint8Array) => {
    try {
      return decoder.decode(chunk, { stream: chunk !== undefined });
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw malformed("the file", "it is not UTF-8");
    }
  };
  for await (const chunk of chunks) yield decodeChunk(chunk);
  yield decodeChunk();
}
