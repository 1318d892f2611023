/**
 * Checks of single options, shared by ranges, calls and `open`. A check returns the value with its
 * type, or throws `ERR_INVALID_ARGUMENT` naming the option, the value in quotes, and what it takes.
 * `undefined` is "not given": the check returns the default.
 */
import { isUint8Array } from "../base/bytes.ts";
import { invalidArgument, quote, type VarveError } from "../base/errors.ts";

/** The object of options, its members yet unchecked. */
export type Members = Readonly<Record<string, unknown>>;

/** An error for option `name` with its `value`; `takes` completes "takes …". */
export function badOption(name: string, value: unknown, takes: string): VarveError {
  return invalidArgument(`Cannot use ${name} ${quote(value)}: takes ${takes}`);
}

/**
 * The members of an options object. Arrays, binary data and functions have none: what is a key in the
 * wrong place must not pass for an object without options.
 */
export function checkMembers(value: unknown, name: string, takes: string): Members {
  if (
    value === null || typeof value !== "object" || Array.isArray(value) || isUint8Array(value) ||
    ArrayBuffer.isView(value) || value instanceof ArrayBuffer
  ) {
    throw badOption(name, value, takes);
  }
  return value as Members;
}

/** `true` or `false`. */
export function checkBoolean<D>(value: unknown, name: string, absent: D): boolean | D {
  if (value === undefined) return absent;
  if (typeof value === "boolean") return value;
  throw badOption(name, value, "true or false");
}

/** One of a few strings. */
export function checkChoice<C extends string, D>(
  value: unknown,
  name: string,
  choices: readonly C[],
  absent: D,
): C | D {
  if (value === undefined) return absent;
  const choice = choices.find((choice) => choice === value);
  if (choice !== undefined) return choice;
  throw badOption(name, value, choices.map((choice) => `"${choice}"`).join(" or "));
}

/** What a number must be. */
export interface NumberBounds {
  /** The least number taken. */
  readonly min: number;
  /** The greatest taken, besides `Infinity` if that is allowed. Default: the greatest safe integer. */
  readonly max?: number;
  /** Whether `Infinity` ("off", "no limit") is taken. */
  readonly infinity?: boolean;
  /** What it counts, in the plural, for the message: "bytes". */
  readonly unit?: string;
}

/** A safe integer within bounds. */
export function checkInteger<D>(
  value: unknown,
  name: string,
  bounds: NumberBounds,
  absent: D,
): number | D {
  if (value === undefined) return absent;
  const { min, max = Number.MAX_SAFE_INTEGER, infinity = false, unit } = bounds;
  if (typeof value === "number") {
    if (Number.isSafeInteger(value) && value >= min && value <= max) return value + 0; // no -0
    if (infinity && value === Infinity) return value;
  }
  const noun = unit === undefined ? "a whole number" : `a whole number of ${unit}`;
  const span = max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`;
  throw badOption(name, value, `${noun} ${span}${infinity ? ", or Infinity" : ""}`);
}

/** An `AbortSignal`. */
export function checkSignal(value: unknown): AbortSignal | undefined {
  if (value === undefined || value instanceof AbortSignal) return value;
  throw badOption("signal", value, "an AbortSignal");
}

/** An object whose nature its user checks, as a snapshot's is by the store that must know it. */
export function checkObject<T extends object>(
  value: unknown,
  name: string,
  takes: string,
): T | undefined {
  if (value === undefined) return undefined;
  return checkMembers(value, name, takes) as T;
}
