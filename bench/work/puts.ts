/** W1 and W2: entries in random order, one put a call, as fast as one thread can hand them over. */
import { clock } from "../harness/measurement.ts";
import { DEFAULT_MEMTABLE_BYTES, MiB, withStore, type Workload } from "../workloads/workload.ts";
import { fill } from "./fill.ts";

export const randomPuts: Pick<
  Workload,
  "sizes" | "valueBytes" | "writers" | "memory" | "measure"
> = {
  sizes: { smoke: 5_000, full: 1_000_000 },
  valueBytes: 100,
  writers: [1],
  memory: { memtableBytes: DEFAULT_MEMTABLE_BYTES, cacheBytes: 64 * MiB },
  measure: (stage) =>
    withStore(stage, async (store) => {
      const { data, run } = stage;
      const seconds = await clock(() => fill(store, data, run.way));
      return [{
        operations: data.count,
        seconds,
        verification: data.verify((key) => store.getSync(key)),
        warmUp: "none: the JIT starts cold",
        notDone: [
          "flush and compaction that remain when the last put returns (see W3)",
          "latency of single puts (reading the clock would cost a tenth of a put)",
        ],
      }];
    }),
};
