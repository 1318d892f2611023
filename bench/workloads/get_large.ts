/** W8: gets from a store of ten million entries, of keys that are there and of keys that are not. */
import { clock, type Measurement } from "../harness/measurement.ts";
import { ioCounts, ioSince, MemoryMeter } from "../harness/process_counters.ts";
import { timesRocksDb } from "../harness/target.ts";
import type { Store } from "../peers/peer.ts";
import { largeStore, withLargeStore } from "../work/large_store.ts";
import { measureGets } from "../work/random_gets.ts";
import type { Stage, Workload } from "./workload.ts";

const FOUND = "found";
const MISSING = "missing";

const WARM_UP = "as many gets of other keys";

async function measure(stage: Stage): Promise<Measurement[]> {
  const { data, run } = stage;
  const memory = new MemoryMeter();
  return await withLargeStore(stage, async (store) => {
    const count = Math.ceil(data.count / 10);
    for (const index of data.randomIndexes(count, run.seed + 2)) store.getSync(data.key(index));
    const found = await measureGets(store, data, count, run.seed, WARM_UP);
    const missing = await measureMisses(store, stage, count);
    return [{ ...found, counters: memory.counters() }, missing];
  });
}

async function measureMisses(store: Store, { data }: Stage, count: number): Promise<Measurement> {
  let found = 0;
  const before = ioCounts();
  const seconds = await clock(() => {
    for (let turn = 0; turn < count; turn++) {
      if (store.getSync(data.key(data.count + turn)) !== undefined) found++;
    }
  });
  const { readCalls } = ioSince(before);
  if (found > 0) throw new Error(`${found} keys were found that nobody wrote`);
  return {
    operations: count,
    seconds,
    ...(readCalls !== undefined &&
      { counters: { readCallsPer100Misses: 100 * readCalls / count } }),
    verification: "every get said that its key is missing",
    warmUp: "the gets of keys that are there",
    notDone: ["a read call counts whether the page cache or the device answers it"],
  };
}

export const getFromLarge: Workload = {
  ...largeStore,
  id: "W8",
  title: "get, random, after W3 (10 million, filters, 1 GiB cache), found and missing",
  need: "largeGet",
  sizes: { smoke: 20_000, full: 10_000_000 },
  parts: [FOUND, MISSING],
  targets: [
    timesRocksDb(3, { part: FOUND }),
    timesRocksDb(3, { part: MISSING }),
    {
      text: "no disk read for 99 % of the misses",
      of: { part: MISSING },
      figure: "readCallsPer100Misses",
      most: 1,
    },
  ],
  measure,
};
