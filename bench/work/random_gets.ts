/** Random gets: the clocked loop, and what is made of it. */
import type { DataSet } from "../harness/data_set.ts";
import { clock, type Measurement } from "../harness/measurement.ts";
import type { Store } from "../peers/peer.ts";
import type { Workload } from "../workloads/workload.ts";

/** The sum of first bytes: what a get returned has been looked at, at next to no cost. */
function sumOfFirstBytes(store: Store, data: DataSet, indexes: Uint32Array): number {
  let sum = 0;
  for (let turn = 0; turn < indexes.length; turn++) {
    sum += store.getSync(data.key(indexes[turn]))![0];
  }
  return sum;
}

/** Gets of keys that exist, `count` of them. */
export async function measureGets(
  store: Store,
  data: DataSet,
  count: number,
  seed: number,
  warmUp: string,
): Promise<Measurement> {
  const indexes = data.randomIndexes(count, seed + 1);
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
    notDone: ["latency of single gets", "more than one reader"],
  };
}

export const randomGets: Pick<Workload, "durability" | "sizes" | "valueBytes" | "writers"> = {
  durability: "buffered",
  sizes: { smoke: 5_000, full: 1_000_000 },
  valueBytes: 100,
  writers: [1],
};
