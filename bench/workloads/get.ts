/** W6 and W7: random gets of keys that exist, from the memtable and from settled, cached data. */
import type { DataSet } from "../harness/data_set.ts";
import { clock, type Measurement } from "../harness/measurement.ts";
import type { Store } from "../peers/peer.ts";
import { fillUntimed } from "./fill.ts";
import { DEFAULT_MEMTABLE_BYTES, ENDLESS_MEMTABLE_BYTES, GiB, type Workload } from "./workload.ts";

/** The sum of first bytes: what a get returned has been looked at, at next to no cost. */
function sumOfFirstBytes(store: Store, data: DataSet, indexes: Uint32Array): number {
  let sum = 0;
  for (let turn = 0; turn < indexes.length; turn++) {
    sum += store.getSync(data.keys[indexes[turn]])![0];
  }
  return sum;
}

async function measureGets(
  store: Store,
  data: DataSet,
  seed: number,
  warmUp: string,
): Promise<Measurement> {
  const indexes = data.randomIndexes(data.count, seed + 1);
  let sum = 0;
  const seconds = await clock(() => {
    sum = sumOfFirstBytes(store, data, indexes);
  });
  const expected = indexes.reduce((total, index) => total + data.value(index)[0], 0);
  if (sum !== expected) throw new Error(`Gets summed to ${sum}, expected ${expected}`);
  const verification = data.verify((key) => store.getSync(key));
  return {
    operations: indexes.length,
    seconds,
    verification: `first byte of each result inside the clock, ${verification}`,
    warmUp,
    notDone: ["latency of single gets", "missing keys", "more than one reader"],
  };
}

const randomGets: Omit<Workload, "id" | "title" | "need" | "memory" | "measure"> = {
  durability: "buffered",
  counts: { smoke: 5_000, medium: 200_000, full: 1_000_000 },
  valueBytes: 100,
  writers: [1],
};

export const getFromMemtable: Workload = {
  ...randomGets,
  id: "W6",
  title: "get, random, 16 B + 100 B, all in the memtable",
  need: "memtableGet",
  memory: { memtableBytes: ENDLESS_MEMTABLE_BYTES, cacheBytes: GiB },
  async measure(store, data, run) {
    await fillUntimed(store, data, run);
    return await measureGets(store, data, run.seed, "none: the get starts cold after the fill");
  },
};

export const getFromCache: Workload = {
  ...randomGets,
  id: "W7",
  title: "get, random, 16 B + 100 B, settled tables in a cache that holds them all",
  need: "cachedGet",
  memory: { memtableBytes: DEFAULT_MEMTABLE_BYTES, cacheBytes: GiB },
  async measure(store, data, run) {
    await fillUntimed(store, data, run);
    await store.settle();
    for (const key of data.keys) store.getSync(key);
    return await measureGets(store, data, run.seed, "each key read once");
  },
};
