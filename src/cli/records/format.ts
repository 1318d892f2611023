/** Which text format a file has, by option or by extension, and what each can do. */
import { extname } from "node:path";
import { usageError } from "../failure.ts";
import { isStandard } from "../input.ts";
import type { TextFormat } from "../text.ts";
import { CSV_HEADER, csvLine, readCsv } from "./csv.ts";
import { ndjsonLine, readNdjson } from "./ndjson.ts";
import type { Entry, EntryFields } from "./record.ts";

/** A text format. */
export interface RecordFormat {
  /** What a file begins with. */
  readonly header: string;
  /** One entry, with its line end. */
  line(fields: EntryFields): string;
  /** The entries of a stream. */
  read(chunks: AsyncIterable<Uint8Array>, keyFormat: TextFormat): AsyncIterable<Entry>;
}

/** The names that `--format` takes. */
export const RECORD_FORMATS = ["ndjson", "csv"] as const;
export type RecordFormatName = typeof RECORD_FORMATS[number];

const FORMATS: Record<RecordFormatName, RecordFormat> = {
  ndjson: { header: "", line: ndjsonLine, read: readNdjson },
  csv: { header: CSV_HEADER, line: csvLine, read: readCsv },
};

const EXTENSIONS = new Map<string, RecordFormatName>([
  [".ndjson", "ndjson"],
  [".jsonl", "ndjson"],
  [".csv", "csv"],
]);

/** The format of `file`: the one that was asked for, else its extension's, else a stream's NDJSON. */
export function formatOf(file: string | undefined, asked: RecordFormatName | undefined) {
  if (asked !== undefined) return FORMATS[asked];
  if (isStandard(file)) return FORMATS.ndjson;
  const guessed = EXTENSIONS.get(extname(file).toLowerCase());
  if (guessed !== undefined) return FORMATS[guessed];
  throw usageError(`Cannot tell the format of "${file}" by its name: use --format ndjson or csv`);
}
