/**
 * The checks of every option of the public API.
 * Promises: what a `validate…` function returns is complete and within bounds, and shares no mutable
 * object with the caller but codecs, operators, signals, snapshots and disks, which are used as they
 * are. A bad value throws `ERR_INVALID_ARGUMENT` naming the option, the value, and what it takes.
 * Members that no option is named by are ignored. Any thread may call.
 */
import { byteLengthUtf8 } from "../base/bytes.ts";
import { invalidArgument, quote } from "../base/errors.ts";
import {
  badOption,
  checkBoolean,
  checkChoice,
  checkInteger,
  checkMembers,
  checkObject,
  checkSignal,
} from "./checks.ts";
import { type KeyEncodingOption, resolveKeyEncoding } from "./encodings/key_encoding.ts";
import { resolveValueEncoding, type ValueEncodingOption } from "./encodings/value_encoding.ts";
import type {
  CustomMergeOperator,
  Durability,
  MergeOperator,
  PutOptions,
  ReadOptions,
  ResolvedCompression,
  ResolvedFamilyOptions,
  ResolvedOptions,
  ResolvedReadOptions,
  ResolvedWriteOptions,
  SnapshotView,
  WriteOptions,
} from "./option_types.ts";

export type {
  ColumnFamilyOptions,
  Compression,
  CustomMergeOperator,
  Durability,
  IntegerMerging,
  MergeOperator,
  OpenOptions,
  PutOptions,
  ReadOptions,
  ResolvedCompression,
  ResolvedFamilyOptions,
  ResolvedOptions,
  ResolvedReadOptions,
  ResolvedWriteOptions,
  SnapshotView,
  TuningOptions,
  WriteOptions,
} from "./option_types.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
/** The longest name of a family or of an operator, in bytes of UTF-8. */
const NAME_BYTES_MAX = 255;
const ZSTD_LEVEL_DEFAULT = 3;
const ZSTD_LEVEL_MAX = 22;
const IO_THREADS_MAX = 64;
const FILTER_BITS_MAX = 64;
/** What timers take; a longer one would fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

const SIZE = { min: 64 * KIB, unit: "bytes" };
const SMALL_SIZE = { min: KIB, unit: "bytes" };

const DURABILITIES: readonly Durability[] = ["sync", "buffered", "volatile"];
const COMPRESSION_TYPES = ["none", "zstd"] as const;
const COMPACTION_STYLES = ["leveled", "tiered"] as const;
const NO_COMPRESSION: ResolvedCompression = Object.freeze({ type: "none", level: 0 });

/** What a family gets for which nothing was set. */
export const FAMILY_DEFAULTS: ResolvedFamilyOptions = Object.freeze({
  writeBufferSize: 64 * MIB,
  maxWriteBuffers: 4,
  compression: Object.freeze([NO_COMPRESSION]),
  filterBitsPerKey: 10,
  blockSize: 4 * KIB,
  blobThreshold: 64 * KIB,
  compactionStyle: "leveled",
  targetFileSize: 64 * MIB,
  levelBaseSize: 256 * MIB,
  keyEncoding: "binary",
  valueEncoding: "binary",
  mergeOperator: undefined,
});

/**
 * Checks the options of `Varve.open` and completes them.
 *
 * @throws {VarveError} `ERR_INVALID_ARGUMENT`
 */
export function validateOpenOptions(options?: unknown): ResolvedOptions {
  const members = options === undefined
    ? {}
    : checkMembers(options, "options", "an object of options");
  const defaultFamily = validateColumnFamilyOptions(members);
  // Tuning is for all families; what keys and values are is each family's own.
  const familyDefaults: ResolvedFamilyOptions = Object.freeze({
    ...defaultFamily,
    keyEncoding: FAMILY_DEFAULTS.keyEncoding,
    valueEncoding: FAMILY_DEFAULTS.valueEncoding,
    mergeOperator: undefined,
  });
  return Object.freeze({
    createIfMissing: checkBoolean(members.createIfMissing, "createIfMissing", true),
    errorIfExists: checkBoolean(members.errorIfExists, "errorIfExists", false),
    readOnly: checkBoolean(members.readOnly, "readOnly", false),
    durability: checkChoice(members.durability, "durability", DURABILITIES, "sync"),
    totalWriteBufferSize: checkInteger(
      members.totalWriteBufferSize,
      "totalWriteBufferSize",
      SIZE,
      256 * MIB,
    ),
    syncInterval: checkInteger(
      members.syncInterval,
      "syncInterval",
      { min: 0, max: TIMER_MS_MAX, unit: "milliseconds" },
      0,
    ),
    blockCacheSize: checkInteger(members.blockCacheSize, "blockCacheSize", SIZE, 64 * MIB),
    maxOpenFiles: checkInteger(members.maxOpenFiles, "maxOpenFiles", { min: 16 }, 1_000),
    directIo: checkDirectIo(members.directIo),
    walSegmentSize: checkInteger(members.walSegmentSize, "walSegmentSize", SIZE, 64 * MIB),
    ioThreads: checkInteger(members.ioThreads, "ioThreads", { min: 1, max: IO_THREADS_MAX }, 4),
    compactionRate: checkInteger(
      members.compactionRate,
      "compactionRate",
      { min: 1, infinity: true, unit: "bytes per second" },
      Infinity,
    ),
    disk: checkObject(members.disk, "disk", "a SimulatedDisk"),
    familyDefaults,
    columnFamilies: checkColumnFamilies(members.columnFamilies, defaultFamily, familyDefaults),
  });
}

/**
 * Checks the options of one family and completes them from `base`: what `open` set for that family, or
 * its `familyDefaults`.
 *
 * @throws {VarveError} `ERR_INVALID_ARGUMENT`
 */
export function validateColumnFamilyOptions(
  options?: unknown,
  base: ResolvedFamilyOptions = FAMILY_DEFAULTS,
): ResolvedFamilyOptions {
  if (options === undefined) return base;
  const members = checkMembers(options, "column family options", "an object of options");
  const integer = (
    name: "writeBufferSize" | "blockSize" | "targetFileSize" | "levelBaseSize" | "maxWriteBuffers",
    bounds: { min: number; unit?: string },
  ) => checkInteger(members[name], name, bounds, base[name]);
  const keyEncoding = given(members.keyEncoding, base.keyEncoding) as KeyEncodingOption;
  resolveKeyEncoding(keyEncoding);
  return Object.freeze({
    writeBufferSize: integer("writeBufferSize", SIZE),
    maxWriteBuffers: integer("maxWriteBuffers", { min: 1 }),
    compression: checkCompression(members.compression, base.compression),
    filterBitsPerKey: checkInteger(
      members.filterBitsPerKey,
      "filterBitsPerKey",
      { min: 0, max: FILTER_BITS_MAX },
      base.filterBitsPerKey,
    ),
    blockSize: integer("blockSize", SMALL_SIZE),
    blobThreshold: checkInteger(
      members.blobThreshold,
      "blobThreshold",
      { ...SMALL_SIZE, infinity: true },
      base.blobThreshold,
    ),
    compactionStyle: checkChoice(
      members.compactionStyle,
      "compactionStyle",
      COMPACTION_STYLES,
      base.compactionStyle,
    ),
    targetFileSize: integer("targetFileSize", SIZE),
    levelBaseSize: integer("levelBaseSize", SIZE),
    keyEncoding,
    ...checkValues(members.valueEncoding, members.mergeOperator, base),
  });
}

/**
 * A family's name, if `name` can be one: 1 to 255 bytes of well-formed UTF-8.
 *
 * @throws {VarveError} `ERR_INVALID_ARGUMENT`
 */
export function validateFamilyName(name: unknown): string {
  return checkName(name, "column family name");
}

/**
 * Checks the options of a write other than `put`. Runs on every write: without options it allocates
 * nothing. `durability` is the handle's.
 *
 * @throws {VarveError} `ERR_INVALID_ARGUMENT`, also for options that only `put` takes
 */
export function validateWriteOptions(
  options: WriteOptions | undefined,
  durability: Durability,
): ResolvedWriteOptions {
  if (options === undefined) return PLAIN_WRITES[durability];
  const resolved = validatePutOptions(options, durability);
  if (resolved.ttl === undefined && !resolved.transfer) return resolved;
  const name = resolved.transfer ? "transfer" : "ttl";
  throw invalidArgument(`Cannot use ${name} ${quote(resolved[name])} here: only put() takes it`);
}

/**
 * As {@linkcode validateWriteOptions}, for `put`.
 *
 * @throws {VarveError} `ERR_INVALID_ARGUMENT`
 */
export function validatePutOptions(
  options: PutOptions | undefined,
  durability: Durability,
): ResolvedWriteOptions {
  if (options === undefined) return PLAIN_WRITES[durability];
  const members = checkMembers(options, "options", "an object of options");
  return {
    durability: checkChoice(members.durability, "durability", DURABILITIES, durability),
    ttl: checkTtl(members.ttl),
    transfer: checkBoolean(members.transfer, "transfer", false),
    signal: checkSignal(members.signal),
  };
}

/**
 * Checks the options of a read. That the snapshot is one of this store's is for the store to check.
 *
 * @throws {VarveError} `ERR_INVALID_ARGUMENT`
 */
export function validateReadOptions(options: ReadOptions | undefined): ResolvedReadOptions {
  if (options === undefined) return PLAIN_READ;
  const members = checkMembers(options, "options", "an object of options");
  return {
    snapshot: checkObject<SnapshotView>(members.snapshot, "snapshot", "a Snapshot"),
    signal: checkSignal(members.signal),
  };
}

const PLAIN_READ: ResolvedReadOptions = Object.freeze({ snapshot: undefined, signal: undefined });

const PLAIN_WRITES: Readonly<Record<Durability, ResolvedWriteOptions>> = Object.freeze({
  sync: plainWrite("sync"),
  buffered: plainWrite("buffered"),
  volatile: plainWrite("volatile"),
});

function plainWrite(durability: Durability): ResolvedWriteOptions {
  return Object.freeze({ durability, ttl: undefined, transfer: false, signal: undefined });
}

/** Unlike `??`, takes `null` for a value, which the check behind it then refuses. */
function given(value: unknown, absent: unknown): unknown {
  return value === undefined ? absent : value;
}

function checkTtl(ttl: unknown): number | undefined {
  if (ttl === undefined) return undefined;
  if (typeof ttl === "number" && ttl > 0 && ttl < Infinity) return ttl;
  throw badOption("ttl", ttl, "a positive, finite number of milliseconds");
}

function checkDirectIo(value: unknown): "auto" | boolean {
  if (value === undefined || value === "auto") return "auto";
  if (typeof value === "boolean") return value;
  throw badOption("directIo", value, '"auto", true or false');
}

function checkName(name: unknown, what: string): string {
  if (
    typeof name === "string" && name !== "" && byteLengthUtf8(name) <= NAME_BYTES_MAX &&
    name.isWellFormed()
  ) {
    return name;
  }
  const takes = `a string of 1 to ${NAME_BYTES_MAX} bytes of UTF-8, without lone surrogates`;
  throw badOption(what, name, takes);
}

function checkCompression(
  value: unknown,
  absent: readonly ResolvedCompression[],
): readonly ResolvedCompression[] {
  if (value === undefined) return absent;
  if (!Array.isArray(value)) return Object.freeze([checkOneCompression(value, "compression")]);
  if (value.length === 0) throw badOption("compression", value, "one entry or more");
  return Object.freeze(
    Array.from(value, (entry, level) => checkOneCompression(entry, `compression[${level}]`)),
  );
}

function checkOneCompression(value: unknown, name: string): ResolvedCompression {
  const takes = `"none", "zstd" or { type, level }`;
  if (value === "none") return NO_COMPRESSION;
  const members = value === "zstd" ? { type: "zstd" } : checkMembers(value, name, takes);
  if (members.type === undefined) throw badOption(name, value, takes);
  const type = checkChoice(members.type, `${name}.type`, COMPRESSION_TYPES, "none");
  const bounds = { min: type === "none" ? 0 : 1, max: ZSTD_LEVEL_MAX };
  const level = checkInteger(members.level, `${name}.level`, bounds, ZSTD_LEVEL_DEFAULT);
  return type === "none" ? NO_COMPRESSION : Object.freeze({ type, level });
}

/** The value encoding and the merge operator, on which its default depends. */
function checkValues(valueEncoding: unknown, mergeOperator: unknown, base: ResolvedFamilyOptions) {
  const operator = checkMergeOperator(mergeOperator);
  const integers = operator === "add" || operator === "max" || operator === "min";
  const absent = integers ? "int64" : base.valueEncoding;
  const encoding = given(valueEncoding, absent) as ValueEncodingOption;
  resolveValueEncoding(encoding);
  return { valueEncoding: encoding, mergeOperator: operator ?? base.mergeOperator };
}

function checkMergeOperator(value: unknown): MergeOperator<unknown, unknown> | undefined {
  switch (value) {
    case undefined:
    case "add":
    case "max":
    case "min":
    case "append":
      return value;
  }
  const takes = '"add", "max", "min", "append" or { name, merge(key, existing, operands) }';
  const members = checkMembers(value, "mergeOperator", takes);
  if (typeof members.merge !== "function") throw badOption("mergeOperator", value, takes);
  checkName(members.name, "mergeOperator.name");
  return value as CustomMergeOperator<unknown, unknown>;
}

function checkColumnFamilies(
  value: unknown,
  defaultFamily: ResolvedFamilyOptions,
  familyDefaults: ResolvedFamilyOptions,
): ReadonlyMap<string, ResolvedFamilyOptions> {
  const families = new Map([["default", defaultFamily]]);
  if (value === undefined) return families;
  const members = checkMembers(value, "columnFamilies", "an object of options by family name");
  for (const [name, options] of Object.entries(members)) {
    const base = name === "default" ? defaultFamily : familyDefaults;
    families.set(validateFamilyName(name), validateColumnFamilyOptions(options, base));
  }
  return families;
}
