/** A store as W3 leaves it: ten million random puts, and its background work done. */
import { type Stage, withStore, type Workload } from "../workloads/workload.ts";
import { DEFAULT_MEMTABLE_BYTES, GiB } from "../workloads/workload.ts";
import type { Store } from "../peers/peer.ts";
import { fillUntimed } from "./fill.ts";
import { untilQuiet } from "./quiet.ts";

export const largeStore: Pick<
  Workload,
  "durability" | "valueBytes" | "writers" | "memory" | "computesKeys"
> = {
  durability: "buffered",
  valueBytes: 100,
  writers: [1],
  memory: { memtableBytes: DEFAULT_MEMTABLE_BYTES, cacheBytes: GiB },
  computesKeys: true,
};

/** Filled and quiet before `work` begins. */
export function withLargeStore<T>(stage: Stage, work: (store: Store) => Promise<T>): Promise<T> {
  return withStore(stage, async (store) => {
    await fillUntimed(store, stage.data, stage.run);
    await untilQuiet(store);
    return await work(store);
  });
}
