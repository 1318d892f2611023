/**
 * The one error class that callers see, its codes, and the helpers that word its messages.
 * Promises: `quote` never throws and never prints more than a line, whatever it is given; making an
 * error runs no code of the caller's that could escape. Any thread may use it; no state is shared.
 */

/** Every `code` that a {@linkcode VarveError} may carry. Codes are stable; messages are not. */
export type VarveErrorCode =
  | "ERR_INVALID_ARGUMENT"
  | "ERR_LOCKED"
  | "ERR_NOT_FOUND"
  | "ERR_EXISTS"
  | "ERR_CLOSED"
  | "ERR_READ_ONLY"
  | "ERR_CORRUPTION"
  | "ERR_IO"
  | "ERR_NO_SPACE"
  | "ERR_TOO_LARGE"
  | "ERR_COLUMN_FAMILY_DROPPED"
  | "ERR_CONFLICT"
  | "ERR_UNSUPPORTED"
  | "ERR_NATIVE";

/** What is known of an error besides its code and message. Unknown members stay absent. */
export interface VarveErrorDetails {
  /** The file or directory concerned. */
  path?: string;
  /** Where in that file, in bytes from its start. */
  offset?: number;
  /** The operating system's error number. It differs between systems; its name does not. */
  errno?: number;
  /** The name of that number, `"EIO"` say. */
  errnoName?: string;
  /** The error that led to this one. */
  cause?: unknown;
}

/**
 * What Varve throws, and rejects with, for everything that a caller would want to catch.
 *
 * @example
 * ```ts
 * import { VarveError } from "varve";
 *
 * const error = new VarveError("ERR_LOCKED", 'Cannot open "data": another process has it');
 * if (error instanceof VarveError && error.code === "ERR_LOCKED") console.log(error.path);
 * ```
 */
export class VarveError extends Error {
  static {
    // On the prototype, as the built-in errors have it, so that it is no own member of each error.
    Object.defineProperty(this.prototype, "name", {
      value: "VarveError",
      writable: true,
      configurable: true,
    });
  }

  /** Which kind of failure this is: what to branch on. */
  readonly code: VarveErrorCode;
  /** The file or directory concerned, where known. */
  declare readonly path?: string;
  /** Where in that file, in bytes from its start, where known. */
  declare readonly offset?: number;
  /** The operating system's error number, where it gave one. */
  declare readonly errno?: number;
  /** The name of that number, `"EIO"` say. */
  declare readonly errnoName?: string;

  /** `message` reads "Cannot <do this>: <state>". */
  constructor(code: VarveErrorCode, message: string, details: VarveErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    if (details.path !== undefined) this.path = details.path;
    if (details.offset !== undefined) this.offset = details.offset;
    if (details.errno !== undefined) this.errno = details.errno;
    if (details.errnoName !== undefined) this.errnoName = details.errnoName;
  }
}

/** The caller's argument cannot be used. Put the value through {@linkcode quote}. */
export function invalidArgument(message: string, cause?: unknown): VarveError {
  return new VarveError("ERR_INVALID_ARGUMENT", message, { cause });
}

/** `what` ("the store", "the snapshot") was closed, disposed or used up before the call. */
export function closed(action: string, what: string): VarveError {
  return new VarveError("ERR_CLOSED", `Cannot ${action}: ${what} is closed`);
}

/** A write, or a merge, on a store that was opened with `readOnly`. */
export function readOnly(action: string, path?: string): VarveError {
  return new VarveError("ERR_READ_ONLY", `Cannot ${action}: the store is read-only`, { path });
}

/** Bytes that were read are not what was, or could have been, written. */
export function corruption(message: string, details?: VarveErrorDetails): VarveError {
  return new VarveError("ERR_CORRUPTION", message, details);
}

/** `what` ("the key") has `bytes` bytes where at most `bytesMax` fit. */
export function tooLarge(
  action: string,
  what: string,
  bytes: number,
  bytesMax: number,
): VarveError {
  return new VarveError(
    "ERR_TOO_LARGE",
    `Cannot ${action}: ${what} has ${bytes} bytes, and at most ${bytesMax} fit`,
  );
}

/** Whether a failure is that of a full disk, or of a quota. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof VarveError && error.code === "ERR_NO_SPACE";
}

/** What was asked for does not exist here: on this system, in this family, in this version. */
export function unsupported(message: string, cause?: unknown): VarveError {
  return new VarveError("ERR_UNSUPPORTED", message, { cause });
}

/** The longest text between the quotes, in UTF-16 code units, the ellipsis included. */
const QUOTED_UNITS_MAX = 80;
/** A bigint beyond this is not printed: turning it into digits takes quadratic time. */
const BIGINT_BITS_SHOWN_MAX = 128;
/** Bytes and elements shown of a list before the ellipsis. */
const BYTES_SHOWN_MAX = 8;
/** The content of strings that would read as a value of another type. */
const READS_AS_A_LITERAL = /^(?:[-+\d.][-+\w.]*|true|false|null|undefined|NaN|-?Infinity)$/;

/**
 * Any value as it appears in an error message: on one line, between double quotes, at most some
 * eighty characters, without an exception. A string that reads as another type's literal says so:
 * `5` gives `"5"`, `"5"` gives `"5" (a string)`.
 */
export function quote(value: unknown): string {
  try {
    if (typeof value !== "string") return `"${bounded(describe(value))}"`;
    // `JSON.stringify` escapes control characters and the half of a pair that the cut may leave.
    const text = JSON.stringify(bounded(value));
    return READS_AS_A_LITERAL.test(bounded(value)) ? `${text} (a string)` : text;
  } catch {
    return `"${value === null ? "null" : typeof value} that cannot be shown"`;
  }
}

function bounded(text: string): string {
  return text.length <= QUOTED_UNITS_MAX ? text : `${text.slice(0, QUOTED_UNITS_MAX - 1)}…`;
}

function describe(value: unknown): string {
  switch (typeof value) {
    case "bigint":
      return BigInt.asIntN(BIGINT_BITS_SHOWN_MAX, value) === value
        ? `${value}n`
        : `a bigint of more than ${BIGINT_BITS_SHOWN_MAX} bits`;
    case "number":
      return Object.is(value, -0) ? "-0" : String(value);
    case "symbol":
      return escaped(`Symbol(${bounded(value.description ?? "")})`);
    case "function":
      return escaped(`function ${bounded(String(value.name))}`);
    case "object":
      return value === null ? "null" : describeObject(value);
    default:
      return String(value);
  }
}

/** Runs at most a `Symbol.toStringTag` getter or a proxy's traps; `quote` catches what they throw. */
function describeObject(value: object): string {
  if (Array.isArray(value)) return `Array(${Number(value.length)})`;
  const tag = bounded(Object.prototype.toString.call(value).slice("[object ".length, -1));
  if (!(value instanceof Uint8Array)) return escaped(tag);
  const shown = Array.from({ length: Math.min(value.length, BYTES_SHOWN_MAX) }, (_, i) => value[i]);
  const more = value.length > BYTES_SHOWN_MAX ? ", …" : "";
  return `Uint8Array(${value.length}) [${shown.join(", ")}${more}]`;
}

function escaped(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}
