/** W15: the largest resident size in W3 and W8, above the process's size just before the open. */
import type { Measurement } from "../harness/measurement.ts";
import { MemoryMeter } from "../harness/process_counters.ts";
import { largeStore, withLargeStore } from "../work/large_store.ts";
import { measureGets } from "../work/random_gets.ts";
import { GiB, MiB, type Stage, type Workload } from "./workload.ts";

/** Memtables, as Varve bounds them by default, and the cache; and 64 MiB for everything else. */
const BUDGET_MIB = 256 + GiB / MiB + 64;

async function measure(stage: Stage): Promise<Measurement[]> {
  const { data, run } = stage;
  // Keys are computed and values pooled before this: what grows from here on is the store's, and its garbage.
  const memory = new MemoryMeter();
  return [
    await withLargeStore(stage, async (store) => {
      const gets = await measureGets(store, data, Math.ceil(data.count / 10), run.seed, "none");
      return {
        ...gets,
        counters: memory.counters(),
        notDone: ["JavaScript's own garbage is in the figure", "the page cache is not"],
      };
    }),
  ];
}

export const memory: Workload = {
  ...largeStore,
  id: "W15",
  title: "memory: peak resident size in W3 and W8, above that before open",
  need: "memory",
  sizes: { smoke: 20_000, full: 10_000_000 },
  unit: "MiB",
  targets: [{
    text: `at most the budget, memtables and cache, and 64 MiB: ${BUDGET_MIB} MiB`,
    of: {},
    most: BUDGET_MIB,
  }],
  measure,
};
