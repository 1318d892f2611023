/** One interface over every store: what workloads call, and nothing that any of them would be slowed down by. */
import type { Durability } from "./peer.ts";

export interface OpenOptions {
  directory: string;
  durability: Durability;
  /** The size of every value to come. */
  valueBytes: number;
  /** Large enough here means that nothing is flushed during the run. */
  memtableBytes: number;
  cacheBytes: number;
  /** Past the page cache, or through it; absent: the store's default. */
  directIo?: boolean;
  /** All reads and writes go to this column family instead of the default one. */
  family?: string;
}

/** A store in this process. */
export interface StoreDriver {
  readonly kind: "store";
  readonly version: string;
  /** What a reader must know before believing the row, for instance a build with assertions. */
  readonly warnings: readonly string[];
  settings(options: OpenOptions): string;
  open(options: OpenOptions): Promise<Store>;
}

/** Write-path counters since open, as `db.stats().write` names them. */
export interface WriteCounters {
  groups: number;
  batches: number;
  writersPerGroup: number;
  syncs: number;
  writesIn: number;
  callsOut: number;
  bytes: number;
}

/** Counters of large values since open, as `db.stats().blobs` names them. */
export interface ValueCounters {
  valuesWritten: number;
  writeCalls: number;
  aligned: number;
  paddedBytes: number;
  transferred: number;
  copiedBytes: number;
}

export interface ScanTotals {
  entries: number;
  bytes: number;
  /** The sum of the first byte of every value: each value's memory has been touched. */
  firstBytes: number;
}

/** As AbstractLevel and Varve take it in an array. */
export interface PutOperation {
  type: "put";
  key: Uint8Array;
  value: Uint8Array;
}

/** Told of each entry; returns nothing. */
export type See = (key: Uint8Array, value: Uint8Array) => void;

/** One open store. Writes have the durability it was opened with. */
export interface Store {
  putSync?(key: Uint8Array, value: Uint8Array): void;
  put?(key: Uint8Array, value: Uint8Array): Promise<unknown>;
  putBatch?(operations: PutOperation[]): Promise<unknown>;
  /** How many unawaited `put`s suit this store best. */
  readonly putWindow?: number;
  /** The result belongs to the caller: a driver copies if the peer lends its memory. */
  getSync(key: Uint8Array): Uint8Array | undefined;
  get?(key: Uint8Array): Promise<Uint8Array | undefined>;
  /** Brings what was written to its resting shape: flushed, compacted, checkpointed. */
  settle(): Promise<void>;
  /** Everything written so far is on stable storage. */
  sync?(): Promise<void>;
  /** Whether the store says that it has no flush or compaction running or due. */
  isQuiet?(): boolean;
  /** Visits every entry in order as two byte arrays. */
  scan(see: See): void | Promise<void>;
  /** Visits every entry without an array for each. */
  scanPages?(): ScanTotals;
  /** Visits `count` entries from the first key that is not below `key`. */
  scanFrom?(key: Uint8Array, count: number, see: See): void;
  writeCounters?(): WriteCounters;
  valueCounters?(): ValueCounters;
  /** A buffer that `putTransferred` takes. */
  allocate?(bytes: number): Uint8Array;
  putTransferred?(key: Uint8Array, value: Uint8Array): Promise<unknown>;
  close(): Promise<void>;
}
