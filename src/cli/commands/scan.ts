/** `varve scan`: the entries of a range, one a line. */
import { type Command, Option } from "commander";
import type { Context } from "../context.ts";
import {
  type DataOptions,
  familyOption,
  keyFormatOption,
  parseKey,
  wholeNumber,
} from "../options.ts";
import { ndjsonLine } from "../records/ndjson.ts";
import { keyFields, valueFields } from "../records/record.ts";
import { existingFamily, openToRead, type Range } from "../store.ts";
import { printable, type TextFormat } from "../text.ts";

interface ScanOptions extends DataOptions {
  readonly prefix?: string;
  readonly gte?: string;
  readonly gt?: string;
  readonly lt?: string;
  readonly lte?: string;
  readonly reverse?: true;
  readonly limit?: number;
  readonly json?: true;
  readonly keys?: true;
  readonly values?: true;
  readonly format: TextFormat;
}

export function addScan(program: Command, { output, signal }: Context): void {
  program.command("scan")
    .description("print the entries of a range: key, tab, value; all bounds apply together")
    .argument("<store>", "directory of the store")
    .addOption(familyOption())
    .addOption(keyFormatOption())
    .option("--prefix <key>", "keys that begin so")
    .option("--gte <key>", "this key and those above")
    .option("--gt <key>", "keys above this one")
    .option("--lt <key>", "keys below this one")
    .option("--lte <key>", "this key and those below")
    .option("--reverse", "from the greatest key to the least")
    .option("--limit <count>", "at most so many entries", (text) => wholeNumber(text, 0))
    .option("--json", "NDJSON, which keeps every byte")
    .option("--keys", "keys only")
    .addOption(new Option("--values", "values only").conflicts("keys"))
    .addOption(
      new Option("--format <format>", "how to print keys and values")
        .choices(["utf8", "hex"]).default("utf8"),
    )
    .action(async (path: string, options: ScanOptions) => {
      const range = rangeOf(options);
      await using db = await openToRead(path);
      const family = await existingFamily(db, options.family);
      const line = options.json ? jsonLine : textLine;
      if (options.keys) {
        for await (const key of family.keys({ ...range, signal })) {
          await output.write(line(key, undefined, options.format));
        }
        return;
      }
      for await (const [key, value] of family.entries({ ...range, signal })) {
        await output.write(line(options.values ? undefined : key, value, options.format));
      }
    });
}

function rangeOf(options: ScanOptions): Range {
  const range: Range = { reverse: options.reverse === true };
  if (options.limit !== undefined) range.limit = options.limit;
  for (const bound of ["prefix", "gte", "gt", "lt", "lte"] as const) {
    const text = options[bound];
    if (text !== undefined) range[bound] = parseKey(text, options.keyFormat, `--${bound} key`);
  }
  return range;
}

function jsonLine(
  key: Uint8Array | undefined,
  value: Uint8Array | undefined,
  format: TextFormat,
): string {
  return ndjsonLine({
    ...(key === undefined ? {} : keyFields(key, format)),
    ...(value === undefined ? {} : valueFields(value, format)),
  });
}

function textLine(
  key: Uint8Array | undefined,
  value: Uint8Array | undefined,
  format: TextFormat,
): string {
  const parts = [key, value].filter((part) => part !== undefined);
  return `${parts.map((part) => printable(part, format)).join("\t")}\n`;
}
