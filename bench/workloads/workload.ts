/** What a workload is: its size, what it asks of a peer, and the clocked work on an open store. */
import type { Case, Scale } from "../harness/case.ts";
import type { DataSet } from "../harness/data_set.ts";
import type { Measurement } from "../harness/measurement.ts";
import type { Durability, Need, OpenOptions, Store } from "../peers/peer.ts";

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;

/** The write buffer that RocksDB, db_bench and Varve start with. */
export const DEFAULT_MEMTABLE_BYTES = 64 * MiB;

/** Eight times what W6 writes: no run here fills it. */
export const ENDLESS_MEMTABLE_BYTES = GiB;

export interface Workload {
  readonly id: string;
  readonly title: string;
  readonly need: Need;
  readonly durability: Durability;
  /** Operations at each scale; "full" is what workloads.md asks for. */
  readonly counts: Readonly<Record<Scale, number>>;
  readonly valueBytes: number;
  /** One row for each; workloads without concurrency have `[1]`. */
  readonly writers: readonly number[];
  readonly memory: Pick<OpenOptions, "memtableBytes" | "cacheBytes">;
  /** The store is open and empty; the clock is the workload's own. */
  measure(store: Store, data: DataSet, run: Case): Promise<Measurement>;
}
