/** What a workload is: its size, what it asks of a peer, what is to be reached, and the clocked work. */
import type { Case } from "../harness/case.ts";
import type { DataSet } from "../harness/data_set.ts";
import type { Measurement } from "../harness/measurement.ts";
import type { Unit } from "../harness/result.ts";
import type { Target } from "../harness/target.ts";
import type { Durability, Need, OpenOptions, Peer, Store, StoreDriver } from "../peers/peer.ts";

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;

/** The write buffer that RocksDB, db_bench and Varve start with. */
export const DEFAULT_MEMTABLE_BYTES = 64 * MiB;

/** Eight times what W6 writes: no run here fills it. */
export const ENDLESS_MEMTABLE_BYTES = GiB;

/** What a run has to work with. Nothing is open yet. */
export interface Stage {
  readonly driver: StoreDriver;
  readonly options: OpenOptions;
  readonly data: DataSet;
  readonly run: Case;
}

export interface Workload {
  readonly id: string;
  readonly title: string;
  readonly need: Need;
  readonly durability: Durability;
  /** Operations; "full" is what workloads.md asks for. */
  readonly sizes: Readonly<{ smoke: number; full: number }>;
  /** Whether each writer does so many. */
  readonly sizesArePerWriter?: boolean;
  readonly valueBytes: number;
  /** One row for each; workloads without concurrency have `[1]`. */
  readonly writers: readonly number[];
  /** Forms that each need a process of their own. */
  readonly variants?: readonly string[];
  /** Measured one after the other on one store: one row for each, none with an effect on those before it. */
  readonly parts?: readonly string[];
  /** What a row's figure is; by default operations per second. */
  readonly unit?: Unit;
  readonly memory: Pick<OpenOptions, "memtableBytes" | "cacheBytes">;
  /** Too many keys to hold. */
  readonly computesKeys?: boolean;
  /** What one operation leaves on the disk at most, where the disk may be too small for the full size. */
  readonly diskBytesPerOperation?: number;
  /** What belongs to a variant. */
  openOptions?(variant: string): Partial<OpenOptions>;
  /** Why a peer has no row in a form that others have. */
  excludes?(peer: Peer, variant: string): string | undefined;
  readonly targets: readonly Target[];
  /** Leaves a store behind, in a process of its own; "kill" ends that process without a close. */
  prepare?(stage: Stage): Promise<"close" | "kill">;
  /** One measurement for each part. */
  measure(stage: Stage): Promise<Measurement[]>;
}

/** The store is open before `work` starts a clock, and closed after it. */
export async function withStore<T>(
  { driver, options }: Stage,
  work: (store: Store) => Promise<T>,
): Promise<T> {
  const store = await driver.open(options);
  const result = await work(store);
  await store.close();
  return result;
}

/** For what programs measure, and stores cannot. */
export function programsOnly(): never {
  throw new Error("This workload is measured by programs, not through a store");
}
