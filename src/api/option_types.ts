/**
 * Every option of the public API as a type, with its default and bounds, and what the options become
 * once they were checked (`options.ts` does that, and exports these types too). Types only.
 */
import type { KeyEncodingOption, KeyOutput } from "./encodings/key_encoding.ts";
import type { ValueEncodingOption, ValueInput, ValueOutput } from "./encodings/value_encoding.ts";

/** When a write is acknowledged; see {@linkcode WriteOptions.durability}. */
export type Durability = "sync" | "buffered" | "volatile";

/** How a level of the tree is compressed. `level` is zstd's (RFC 8878), 1 to 22; default: 3. */
export type Compression = "none" | "zstd" | { type: "none" | "zstd"; level?: number };

/** A merge operator of the user's own. */
export interface CustomMergeOperator<K, V, Result = V> {
  /** Stored with the family: opening it with an operator of another name is refused. */
  readonly name: string;
  /**
   * The value after `operands` (oldest first) were applied to `existing`, which is `undefined` if there is no value before them. Runs
   * synchronously whenever the key is read, and never inside `merge()`; so it should depend on its arguments alone. What it
   * throws rejects that read, and leaves the operands as they are. A compaction runs it, too, on chains of more than 64 operands
   * (between other calls, in the Worker that has the store's engine), and stores what it returns; where it throws, the operands stay.
   */
  merge(key: K, existing: V | undefined, operands: V[]): Result;
}

/** What `mergeOperator` takes. The first three work on 8-byte signed integers, and `"add"` wraps. */
export type MergeOperator<K, V, Result = V> =
  | "add"
  | "max"
  | "min"
  | "append"
  | CustomMergeOperator<K, V, Result>;

/** How one column family stores its entries. Sizes are bytes. */
export interface TuningOptions {
  /** A memtable this full is frozen and flushed. From 64 KiB; default: 64 MiB. */
  writeBufferSize?: number;
  /** Memtables, the active one included, before writers wait. From 1; default: 4. */
  maxWriteBuffers?: number;
  /**
   * For all levels, or one for each from level 0 (what a flush writes), the last standing for all below. A table's data blocks
   * are compressed, each on its own, where that saves more than an eighth; the block cache holds them decompressed. Tables
   * that are there already stay as they are until a compaction rewrites them. Default: `"none"`.
   */
  compression?: Compression | readonly Compression[];
  /** Filter bits for each key, 0 (no filter) to 64. Default: 10. */
  filterBitsPerKey?: number;
  /** Bytes of a table block before compression. From 1 KiB; default: 4 KiB. */
  blockSize?: number;
  /** Values this large live outside the tree. From 1 KiB, or `Infinity` (off); default: 64 KiB. */
  blobThreshold?: number;
  /**
   * `"leveled"`: few sorted runs, best for reads and space. `"tiered"`: runs of like size are merged, which writes each byte less
   * often and reads more runs. Default: `"leveled"`.
   */
  compactionStyle?: "leveled" | "tiered";
  /** The size at which compaction starts another table. From 64 KiB; default: 64 MiB. */
  targetFileSize?: number;
  /** The size of level 1, each level below being a multiple. From 64 KiB; default: 256 MiB. */
  levelBaseSize?: number;
}

/** Options of one column family. */
export interface ColumnFamilyOptions<
  KE extends KeyEncodingOption = KeyEncodingOption,
  VE extends ValueEncodingOption = ValueEncodingOption,
> extends TuningOptions {
  /** How this handle encodes keys. Default: `"binary"`. */
  keyEncoding?: KE;
  /** How this handle encodes values. Default: `"binary"`; `"int64"` beside `"add"`, `"max"`, `"min"`. */
  valueEncoding?: VE;
  /**
   * What `merge` does. Its name is stored with the family when it is first given, and another one is `ERR_INVALID_ARGUMENT` from
   * then on. Default: none; merging, and reading merged keys, is `ERR_UNSUPPORTED`.
   */
  mergeOperator?: MergeOperator<KeyOutput<KE>, ValueOutput<VE>, ValueInput<VE>>;
}

/** A merge operator on integers: values are `"int64"` unless a `valueEncoding` says otherwise. */
export interface IntegerMerging {
  mergeOperator: "add" | "max" | "min";
}

/**
 * Options of `Varve.open`. The {@linkcode TuningOptions} here hold for every family that does not set
 * its own; encodings and the merge operator here are those of the `"default"` family alone.
 */
export interface OpenOptions<
  KE extends KeyEncodingOption = KeyEncodingOption,
  VE extends ValueEncodingOption = ValueEncodingOption,
> extends ColumnFamilyOptions<KE, VE> {
  /** Create the store when there is none; otherwise `ERR_NOT_FOUND`. Default: true. */
  createIfMissing?: boolean;
  /** `ERR_EXISTS` when there is one. Default: false. */
  errorIfExists?: boolean;
  /** Share the store with other readers, and change no file. Default: false. */
  readOnly?: boolean;
  /** The durability of this handle's writes that name none. Default: `"sync"`. */
  durability?: Durability;
  /** All memtables, frozen ones and indexes included, in bytes. From 64 KiB; default: 256 MiB. */
  totalWriteBufferSize?: number;
  /** The most milliseconds that a buffered write stays unsynced; 0, the default: no such limit. */
  syncInterval?: number;
  /** The block cache, in bytes. From 64 KiB; default: 64 MiB. */
  blockCacheSize?: number;
  /**
   * Table files held open at once by this store; the one that was not used for longest is closed, and opened again when a
   * read needs it. The log, the manifest and the lock are not counted (about ten more), nor are tables that are being
   * written and those that only an iterator still reads. All stores of a process together keep to half of its limit.
   * From 16; default: 1,000.
   */
  maxOpenFiles?: number;
  /**
   * Go past the page cache: `true` writes and reads tables, and writes the log of durable writes, directly where the volume
   * allows it, `false` never does, `"auto"` writes directly and reads tables through the page cache.
   * `stats().directIo` says what was granted. Default: `"auto"`.
   */
  directIo?: "auto" | boolean;
  /**
   * The size of a segment of the log, in bytes. From 64 KiB; default: 64 MiB. Where writes are durable, up to four that are no longer
   * needed are kept until the store is closed, and written again.
   */
  walSegmentSize?: number;
  /** Threads that wait for the disk, 1 to 64. Default: 4. */
  ioThreads?: number;
  /** The most bytes that compaction writes a second. From 1; default: `Infinity`, no limit. */
  compactionRate?: number;
  /** Options of families, by name, for whenever they are opened or created. */
  columnFamilies?: Readonly<Record<string, ColumnFamilyOptions>>;
  /** A simulated disk of `varve/testing`, instead of the real one. */
  disk?: object;
}

/** A consistent view of a store, as `db.snapshot()` gives it. */
export interface SnapshotView {
  /** The last write that the view shows. */
  readonly sequence: number;
  /** The moment by which entries with a `ttl` expire, in milliseconds since 1970. */
  readonly time: number;
}

/** Options of a read. */
export interface ReadOptions {
  /** The view to read from. Default: the store as it is. */
  snapshot?: SnapshotView;
  /** Aborts an asynchronous call. */
  signal?: AbortSignal;
}

/** Options of a write. */
export interface WriteOptions {
  /**
   * When the write is acknowledged: `"sync"` when it is on stable storage, `"buffered"` when the
   * operating system has it, `"volatile"` when it is in memory (and not in the log). Default: the handle's.
   */
  durability?: Durability;
  /** Aborts the waiting of an asynchronous call; the write may take place all the same. */
  signal?: AbortSignal;
}

/** Options of `put`. */
export interface PutOptions extends WriteOptions {
  /**
   * Milliseconds from the call, more than 0, after which the entry acts as a delete: older values do not come back. Default: it
   * stays.
   */
  ttl?: number;
  /** Hand over `value`, which `db.allocate` gave, without a copy. Default: false. */
  transfer?: boolean;
}

/** One level's compression, complete. `level` is 0 for `"none"`. */
export interface ResolvedCompression {
  readonly type: "none" | "zstd";
  readonly level: number;
}

/** {@linkcode ColumnFamilyOptions}, complete. */
export interface ResolvedFamilyOptions {
  readonly writeBufferSize: number;
  readonly maxWriteBuffers: number;
  /** From level 0, never empty; the last stands for all levels below. */
  readonly compression: readonly ResolvedCompression[];
  readonly filterBitsPerKey: number;
  readonly blockSize: number;
  /** `Infinity`: off. */
  readonly blobThreshold: number;
  readonly compactionStyle: "leveled" | "tiered";
  readonly targetFileSize: number;
  readonly levelBaseSize: number;
  readonly keyEncoding: KeyEncodingOption;
  readonly valueEncoding: ValueEncodingOption;
  readonly mergeOperator: MergeOperator<unknown, unknown> | undefined;
}

/** {@linkcode OpenOptions}, complete. */
export interface ResolvedOptions {
  readonly createIfMissing: boolean;
  readonly errorIfExists: boolean;
  readonly readOnly: boolean;
  readonly durability: Durability;
  readonly totalWriteBufferSize: number;
  readonly syncInterval: number;
  readonly blockCacheSize: number;
  readonly maxOpenFiles: number;
  readonly directIo: "auto" | boolean;
  readonly walSegmentSize: number;
  readonly ioThreads: number;
  /** `Infinity`: no limit. */
  readonly compactionRate: number;
  readonly disk: object | undefined;
  /** What a family without options of its own gets. */
  readonly familyDefaults: ResolvedFamilyOptions;
  /** By name; `"default"` is always there. */
  readonly columnFamilies: ReadonlyMap<string, ResolvedFamilyOptions>;
}

/** {@linkcode PutOptions}, complete. */
export interface ResolvedWriteOptions {
  readonly durability: Durability;
  /** Milliseconds; `undefined`: the entry stays. */
  readonly ttl: number | undefined;
  readonly transfer: boolean;
  readonly signal: AbortSignal | undefined;
}

/** {@linkcode ReadOptions}, checked. */
export interface ResolvedReadOptions {
  readonly snapshot: SnapshotView | undefined;
  readonly signal: AbortSignal | undefined;
}
