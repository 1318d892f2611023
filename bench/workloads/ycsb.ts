/** W16: YCSB A to F, one after the other on one store, in the order in which YCSB runs them. */
import { checkValue, ComputedDataSet, type DataSet } from "../harness/data_set.ts";
import { clock, type Measurement } from "../harness/measurement.ts";
import { aheadOfAll } from "../harness/target.ts";
import { required, type Store, type Way } from "../peers/peer.ts";
import { fillUntimed } from "../work/fill.ts";
import { untilQuiet } from "../work/quiet.ts";
import { drawOperations, Kind, mixes, type Operations } from "../work/ycsb_operations.ts";
import {
  DEFAULT_MEMTABLE_BYTES,
  GiB,
  KiB,
  type Stage,
  withStore,
  type Workload,
} from "./workload.ts";

const PUTS_AT_ONCE = 1000;
const VERIFIED_COUNT_MAX = 100_000;

/** How often each entry has been written over: the value that it must have follows from it. */
type Generations = Uint8Array;

async function measure(stage: Stage): Promise<Measurement[]> {
  const { run } = stage;
  const operations = run.count;
  const entries = Math.ceil(operations / 2);
  const data = new ComputedDataSet({ ...run, count: entries });
  const generations: Generations = new Uint8Array(entries + operations);
  return await withStore(stage, async (store) => {
    await fillUntimed(store, data, run);
    await untilQuiet(store);
    const measurements: Measurement[] = [];
    let count = entries;
    for (const [index, mix] of Object.values(mixes).entries()) {
      const drawn = drawOperations(mix, operations, count, run.seed + index);
      let sum = 0;
      const seconds = await clock(async () => {
        sum = await runOperations(store, data, drawn, generations.slice(), run.way);
      });
      if (sum < 0) throw new Error("A byte was below zero"); // keeps the sum from being dropped
      for (let turn = 0; turn < operations; turn++) {
        if (isOverwrite(drawn.kinds[turn])) generations[drawn.indexes[turn]]++;
      }
      count = drawn.countAfter;
      measurements.push({
        operations,
        seconds,
        counters: { entriesAfter: count },
        verification: verify(store, data, generations, count),
        warmUp: index === 0 ? "none after the load" : "the workloads before it",
        notDone: [
          "one client; no field of a record is read or written by itself",
          ...(run.way === "put" ? ["a read may miss the puts that are still on their way"] : []),
        ],
      });
    }
    return measurements;
  });
}

function isOverwrite(kind: number): boolean {
  return kind === Kind.update || kind === Kind.readModifyWrite;
}

async function runOperations(
  store: Store,
  data: DataSet,
  { kinds, indexes, lengths }: Operations,
  generations: Generations,
  way: Way,
): Promise<number> {
  const putSync = way === "putSync" ? required(store, "putSync") : undefined;
  const put = putSync ? undefined : required(store, "put");
  const scanFrom = required(store, "scanFrom");
  const look = (_: Uint8Array, value: Uint8Array) => {
    sum += value[0];
  };
  let sum = 0;
  let onTheWay = 0;
  let newest: Promise<unknown> | undefined;
  for (let turn = 0; turn < kinds.length; turn++) {
    const kind = kinds[turn];
    const index = indexes[turn];
    if (kind === Kind.scan) {
      scanFrom(data.key(index), lengths[turn], look);
      continue;
    }
    // An insert that is still on its way may be asked for: only then is nothing found.
    if (kind === Kind.read || kind === Kind.readModifyWrite) {
      sum += store.getSync(data.key(index))?.[0] ?? 0;
    }
    if (kind === Kind.read) continue;
    if (kind !== Kind.insert) generations[index]++;
    const value = data.value(index + generations[index]);
    if (putSync) {
      putSync(data.key(index), value);
    } else {
      newest = put!(data.key(index), value);
      if (++onTheWay % PUTS_AT_ONCE === 0) await newest;
    }
  }
  await newest;
  return sum;
}

function verify(
  store: Store,
  data: DataSet,
  generations: Generations,
  count: number,
): string {
  const step = Math.max(1, Math.floor(count / VERIFIED_COUNT_MAX));
  let checked = 0;
  for (let index = 0; index < count; index += step) {
    checkValue(index, store.getSync(data.key(index)), data.value(index + generations[index]));
    checked++;
  }
  return `${checked} of ${count} values read back and compared after the clock`;
}

export const ycsb: Workload = {
  id: "W16",
  title: "YCSB A to F, zipfian, 1 KiB, 10 million operations over 5 million keys",
  need: "ycsb",
  durability: "buffered",
  sizes: { smoke: 4_000, full: 10_000_000 },
  valueBytes: KiB,
  writers: [1],
  parts: Object.keys(mixes),
  memory: { memtableBytes: DEFAULT_MEMTABLE_BYTES, cacheBytes: GiB },
  computesKeys: true,
  // Half as many entries as operations, room for what is written over, and for LMDB's half-empty pages.
  diskBytesPerOperation: 4 * KiB,
  targets: Object.keys(mixes).map((part) => aheadOfAll({ part })),
  measure,
};
