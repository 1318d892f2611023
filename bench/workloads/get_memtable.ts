/** W6: gets that no file has to answer. */
import { timesRocksDb } from "../harness/target.ts";
import { fillUntimed } from "../work/fill.ts";
import { measureGets, randomGets } from "../work/random_gets.ts";
import { ENDLESS_MEMTABLE_BYTES, GiB, withStore, type Workload } from "./workload.ts";

export const getFromMemtable: Workload = {
  ...randomGets,
  id: "W6",
  title: "get, random, 16 B + 100 B, all in the memtable",
  need: "memtableGet",
  memory: { memtableBytes: ENDLESS_MEMTABLE_BYTES, cacheBytes: GiB },
  targets: [timesRocksDb(4, {})],
  measure: (stage) =>
    withStore(stage, async (store) => {
      const { data, run } = stage;
      await fillUntimed(store, data, run);
      const warmUp = "none: the get starts cold after the fill";
      return [await measureGets(store, data, data.count, run.seed, warmUp)];
    }),
};
