/**
 * Ranges of keys: what callers write, and the half-open span of bytes that the store walks.
 * Promises: a resolved range holds bytes of its own (the caller may reuse its buffers at once), was
 * checked, and has run each user codec once per bound. Any thread may use it.
 */
import {
  compareBytes,
  encodeUtf8,
  KEY_BYTES_MAX,
  keySuccessor,
  prefixSuccessor,
} from "../base/bytes.ts";
import { invalidArgument, quote, tooLarge } from "../base/errors.ts";
import {
  badOption,
  checkBoolean,
  checkMembers,
  checkObject,
  checkSignal,
  type Members,
} from "./checks.ts";
import type { Encoding } from "./encodings/encoding.ts";
import type { ReadOptions, SnapshotView } from "./option_types.ts";

/** The keys of a range. All members apply together; none at all means every key. */
export interface KeyRange<K> {
  /** Keys above this one. */
  gt?: K;
  /** This key and those above. */
  gte?: K;
  /** Keys below this one. */
  lt?: K;
  /** This key and those below. */
  lte?: K;
  /**
   * Keys whose encoded bytes begin with this one's. For `"utf8"` and `"binary"` that is what it
   * says; for `"tuple"`, the tuples that begin with these elements.
   */
  prefix?: K;
}

/** A range of keys, and how to go through it. Order is unsigned byte order of the encoded key. */
export interface Range<K> extends KeyRange<K>, ReadOptions {
  /** From the greatest key to the least. Default: false. */
  reverse?: boolean;
  /** At most this many entries. Default: no limit. */
  limit?: number;
}

/** The bytes from `lower` (inclusive) to `upper` (exclusive). Neither is longer than a key may be. */
export interface ByteRange {
  /** The least key within; empty: from the start. */
  readonly lower: Uint8Array;
  /** The least key no longer within; `undefined`: to the end. */
  readonly upper: Uint8Array | undefined;
  /** Whether no key can lie within: nothing needs to be read. */
  readonly empty: boolean;
}

/** A range as the store walks it. */
export interface ResolvedRange extends ByteRange {
  /** From the greatest key to the least. */
  readonly reverse: boolean;
  /** At most this many entries; `Infinity` without a limit. With 0, `empty` holds. */
  readonly limit: number;
  /** What to read from, unchecked but for being an object. */
  readonly snapshot: SnapshotView | undefined;
  readonly signal: AbortSignal | undefined;
}

const RANGE_TAKES = "an object of gt, gte, lt, lte, prefix, reverse, limit, snapshot and signal";
const DELETE_RANGE_MEMBERS = ["gt", "gte", "lt", "lte", "prefix"];

/**
 * Checks `range` and turns its bounds into bytes.
 *
 * @throws {VarveError} `ERR_INVALID_ARGUMENT` for a member of the wrong type, `ERR_TOO_LARGE` for a
 * bound longer than a key may be. What a codec throws passes through.
 */
export function resolveRange<K>(
  range: Range<K> | undefined,
  keyEncoding: Encoding<K, unknown>,
): ResolvedRange {
  if (range === undefined) return EVERYTHING;
  const members = checkMembers(range, "range", RANGE_TAKES);
  const limit = checkLimit(members.limit);
  const reverse = checkBoolean(members.reverse, "reverse", false);
  const snapshot = checkObject<SnapshotView>(members.snapshot, "snapshot", "a Snapshot");
  const signal = checkSignal(members.signal);
  const { lower, upper, empty } = resolveBounds(members, keyEncoding);
  return { lower, upper, reverse, limit, empty: empty || limit === 0, snapshot, signal };
}

/**
 * As {@linkcode resolveRange}, for a range that is to be deleted. It takes bounds only; any other
 * member is refused, since a misspelt one would delete far more than was meant.
 *
 * @throws {VarveError} `ERR_INVALID_ARGUMENT`, `ERR_TOO_LARGE`
 */
export function resolveDeleteRange<K>(
  range: KeyRange<K>,
  keyEncoding: Encoding<K, unknown>,
): ByteRange {
  const takes = "an object of gt, gte, lt, lte and prefix ({} is every key)";
  const members = checkMembers(range, "range", takes);
  for (const name in members) {
    if (members[name] === undefined || DELETE_RANGE_MEMBERS.includes(name)) continue;
    throw invalidArgument(`Cannot delete a range with the member ${quote(name)}: takes ${takes}`);
  }
  return resolveBounds(members, keyEncoding);
}

function checkLimit(limit: unknown): number {
  if (limit === undefined) return Infinity;
  if (limit === Infinity) return Infinity;
  if (typeof limit === "number" && Number.isInteger(limit) && limit >= 0) return limit + 0; // no -0
  throw badOption("limit", limit, "a whole number from 0, or Infinity");
}

function resolveBounds<K>(members: Members, keyEncoding: Encoding<K, unknown>): ByteRange {
  const { gt, gte, lt, lte, prefix } = members;
  let lower: Uint8Array = EMPTY;
  let upper: Uint8Array | undefined;
  /** Whether a lower bound lies above every key there can be. */
  let beyond = false;
  const raise = (bound: Uint8Array | undefined) => {
    if (bound === undefined) beyond = true;
    else if (compareBytes(bound, lower) > 0) lower = bound;
  };
  const cut = (bound: Uint8Array | undefined) => {
    if (bound === undefined) return;
    if (upper === undefined || compareBytes(bound, upper) < 0) upper = bound;
  };
  if (gt !== undefined) raise(keySuccessor(boundBytes("gt", gt, keyEncoding)));
  if (gte !== undefined) raise(boundBytes("gte", gte, keyEncoding));
  if (lt !== undefined) cut(boundBytes("lt", lt, keyEncoding));
  if (lte !== undefined) cut(keySuccessor(boundBytes("lte", lte, keyEncoding)));
  if (prefix !== undefined) {
    const bytes = boundBytes("prefix", prefix, keyEncoding);
    raise(bytes);
    cut(prefixSuccessor(bytes));
  }
  const empty = beyond || (upper !== undefined && compareBytes(lower, upper) >= 0);
  return { lower, upper, empty };
}

/** A bound's bytes, in memory of their own. The encoding checks the type of `bound`. */
function boundBytes<K>(
  name: string,
  bound: unknown,
  keyEncoding: Encoding<K, unknown>,
): Uint8Array {
  const prepared = keyEncoding.prepare(bound as K);
  const bytes = typeof prepared === "string" ? encodeUtf8(prepared) : prepared;
  if (bytes.length > KEY_BYTES_MAX) {
    throw tooLarge("use the range", `its bound ${quote(name)}`, bytes.length, KEY_BYTES_MAX);
  }
  return bytes === prepared ? new Uint8Array(bytes) : bytes;
}

/** Nobody can write to an array without elements, so one will do. */
const EMPTY = new Uint8Array(0);

const EVERYTHING: ResolvedRange = Object.freeze({
  lower: EMPTY,
  upper: undefined,
  reverse: false,
  limit: Infinity,
  empty: false,
  snapshot: undefined,
  signal: undefined,
});
