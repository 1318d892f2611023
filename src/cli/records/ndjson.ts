/** Entries as NDJSON: one JSON object a line. Blank lines are skipped. */
import type { TextFormat } from "../text.ts";
import { decodeUtf8 } from "../text.ts";
import { readLines } from "./lines.ts";
import { type Entry, type EntryFields, entryOf, malformed } from "./record.ts";

/** `fields` as a line. */
export function ndjsonLine(fields: EntryFields): string {
  return `${JSON.stringify(fields)}\n`;
}

/** The entries of an NDJSON stream. */
export async function* readNdjson(
  chunks: AsyncIterable<Uint8Array>,
  keyFormat: TextFormat,
): AsyncGenerator<Entry> {
  let lineNumber = 0;
  for await (const line of readLines(chunks)) {
    const where = `line ${++lineNumber}`;
    const text = decodeUtf8(line)?.replace(/^\ufeff/, "");
    if (text === undefined) throw malformed(where, "it is not UTF-8");
    if (text.trim() !== "") yield entryOf(parse(text, where), keyFormat, where);
  }
}

function parse(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw malformed(where, "it is not JSON");
  }
}
