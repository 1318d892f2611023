/** The options and arguments that several commands share. */
import { InvalidArgumentError, Option } from "commander";
import { usageError } from "./failure.ts";
import { decodeText, oneLine, type TextFormat } from "./text.ts";

/** What `familyOption` and `keyFormatOption` leave behind. */
export interface DataOptions {
  readonly family: string;
  readonly keyFormat: TextFormat;
}

export const WRITERS_MAX = 1024;

/** `--family NAME`. */
export function familyOption(): Option {
  return new Option("--family <name>", "column family").default("default").argParser((name) => {
    if (name.length === 0) throw new InvalidArgumentError("A column family has a name.");
    return name;
  });
}

/** `--key-format`. */
export function keyFormatOption(): Option {
  return new Option("--key-format <format>", "how keys are spelled")
    .choices(["utf8", "hex"]).default("utf8");
}

/** `--durability`. */
export function durabilityOption(): Option {
  return new Option("--durability <when>", "when a put is acknowledged")
    .choices(["sync", "buffered", "volatile"]).default("sync");
}

/** `--writers`. */
export function writersOption(): Option {
  return new Option("--writers <count>", "puts at the same time")
    .argParser((text) => wholeNumber(text, 1, WRITERS_MAX)).default(64);
}

/** A key as it was typed. What spells none is an error of usage. */
export function parseKey(text: string, format: TextFormat, what = "key"): Uint8Array {
  const key = decodeText(text, format);
  if (key === undefined) {
    throw usageError(`Cannot read the ${what} "${oneLine(text)}" as ${format}`);
  }
  return key;
}

/** A whole number as it was typed. */
export function wholeNumber(
  text: string,
  least: number,
  most: number = Number.MAX_SAFE_INTEGER,
): number {
  const number = /^\d+$/.test(text) ? Number(text) : NaN;
  if (number >= least && number <= most) return number;
  const range = most === Number.MAX_SAFE_INTEGER
    ? `of at least ${least}`
    : `from ${least} to ${most}`;
  throw new InvalidArgumentError(`Takes a whole number ${range}.`);
}
