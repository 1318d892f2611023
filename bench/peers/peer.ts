/**
 * What a peer is. A description is cheap and says what the peer can do, so that the parent can plan;
 * the driver behind it is loaded only in the child that runs a case.
 */
import type { Measurement } from "../harness/measurement.ts";
import type { Case } from "../harness/case.ts";

/** See api.md: "sync" waits for stable storage, "buffered" for the system, "volatile" for nothing. */
export type Durability = "sync" | "buffered" | "volatile";

/** The call, or the program, that does the work of a row. */
export type Way =
  | "putSync"
  | "put"
  | "batch of 1,000"
  | "getSync"
  | "entries"
  | "pages"
  | "C++"
  | "fio";

/** What a workload needs of a peer. */
export type Need =
  /** Takes single puts, handed to the operating system. */
  | "bufferedFill"
  /** Takes single puts, kept in memory only. */
  | "volatileFill"
  /** One writer, each put on stable storage before the next. */
  | "durablePut"
  /** Many durable puts in flight at once. */
  | "concurrentDurablePut"
  /** Gets from entries which have not left the memtable. */
  | "memtableGet"
  /** Gets from settled data in the cache. */
  | "cachedGet"
  | "scan"
  /** Raw writes of 1 MiB, no store at all. */
  | "rawWrite";

/** The ways to fill a need, best first; or why there is none. */
export type Capability = readonly Way[] | string;

export interface Peer {
  readonly name: string;
  readonly runtime: "bun" | "deno";
  /** Whose ratios a reader looks for: ours, a competitor's, or the bare device's. */
  readonly role: "subject" | "rocksdb" | "peer" | "device";
  readonly capabilities: Readonly<Partial<Record<Need, Capability>>>;
  /** @throws {PeerUnavailable} when the peer is not installed */
  load(): Promise<Driver>;
}

/** A peer that cannot be measured on this machine; the message is printed as the reason. */
export class PeerUnavailable extends Error {
  override name = "PeerUnavailable";
}

export interface OpenOptions {
  directory: string;
  durability: Durability;
  /** The size of every value to come. */
  valueBytes: number;
  /** Large enough here means that nothing is flushed during the run. */
  memtableBytes: number;
  cacheBytes: number;
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

/** Another program that runs its own equivalent of a workload. */
export interface ProgramDriver {
  readonly kind: "program";
  readonly version: string;
  measure(run: Case): Promise<ProgramMeasurement>;
}

/** What a program says of itself it may say only when it runs. */
export interface ProgramMeasurement extends Measurement {
  settings: string;
  warnings: readonly string[];
}

export type Driver = StoreDriver | ProgramDriver;

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

/** One open store. Writes have the durability it was opened with. */
export interface Store {
  putSync?(key: Uint8Array, value: Uint8Array): void;
  put?(key: Uint8Array, value: Uint8Array): Promise<unknown>;
  putBatch?(operations: PutOperation[]): Promise<unknown>;
  /** How many unawaited `put`s suit this store best. */
  readonly putWindow?: number;
  /** The result belongs to the caller: a driver copies if the peer lends its memory. */
  getSync(key: Uint8Array): Uint8Array | undefined;
  /** Brings what was written to its resting shape: flushed, compacted, checkpointed. */
  settle(): Promise<void>;
  /** Visits every entry in order as two byte arrays. */
  scan(see: (key: Uint8Array, value: Uint8Array) => void): void | Promise<void>;
  /** Visits every entry without an array for each. */
  scanPages?(): ScanTotals;
  writeCounters?(): WriteCounters;
  close(): Promise<void>;
}
