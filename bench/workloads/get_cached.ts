/** W7: gets from tables, all of them in the block cache. */
import { aheadOfAll, timesRocksDb } from "../harness/target.ts";
import { fillUntimed } from "../work/fill.ts";
import { measureGets, randomGets } from "../work/random_gets.ts";
import { DEFAULT_MEMTABLE_BYTES, GiB, withStore, type Workload } from "./workload.ts";

export const getFromCache: Workload = {
  ...randomGets,
  id: "W7",
  title: "get, random, 16 B + 100 B, settled tables in a cache that holds them all",
  need: "cachedGet",
  memory: { memtableBytes: DEFAULT_MEMTABLE_BYTES, cacheBytes: GiB },
  targets: [timesRocksDb(2.5, {}), aheadOfAll({})],
  measure: (stage) =>
    withStore(stage, async (store) => {
      const { data, run } = stage;
      await fillUntimed(store, data, run);
      await store.settle();
      for (let index = 0; index < data.count; index++) store.getSync(data.key(index));
      return [await measureGets(store, data, data.count, run.seed, "each key read once")];
    }),
};
