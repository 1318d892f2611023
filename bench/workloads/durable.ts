/** W4, W5 and the sweep: puts that wait for stable storage, by one writer and by many at once. */
import type { Case } from "../harness/case.ts";
import type { DataSet } from "../harness/data_set.ts";
import { clock, LatencyRecorder, type Measurement } from "../harness/measurement.ts";
import type { Store, WriteCounters } from "../peers/peer.ts";
import { DEFAULT_MEMTABLE_BYTES, KiB, MiB, type Workload } from "./workload.ts";

function putAllSync(store: Store, data: DataSet, recorder: LatencyRecorder): void {
  for (let index = 0; index < data.count; index++) {
    const start = performance.now();
    store.putSync!(data.keys[index], data.value(index));
    recorder.record(start);
  }
}

/** Writers share one queue of entries; each awaits its put before it takes the next. */
async function putAllConcurrently(
  store: Store,
  data: DataSet,
  writers: number,
  recorder: LatencyRecorder,
): Promise<void> {
  let next = 0;
  const timedWriter = async () => {
    while (next < data.count) {
      const index = next++;
      const start = performance.now();
      await store.put!(data.keys[index], data.value(index));
      recorder.record(start);
    }
  };
  const writer = async () => {
    while (next < data.count) {
      const index = next++;
      await store.put!(data.keys[index], data.value(index));
    }
  };
  const others = Array.from({ length: writers - 1 }, writer);
  await Promise.all([timedWriter(), ...others]);
}

/** The write path's counters over the clocked part. Averages are formed anew, never subtracted. */
function countersBetween(
  before: WriteCounters | undefined,
  after: WriteCounters | undefined,
  puts: number,
): Record<string, number> | undefined {
  if (!before || !after) return undefined;
  const groups = after.groups - before.groups;
  const batches = after.batches - before.batches;
  const syncs = after.syncs - before.syncs;
  return {
    putsPerSync: puts / syncs,
    writersPerGroup: batches / groups,
    groups,
    batches,
    syncs,
    writesIn: after.writesIn - before.writesIn,
    callsOut: after.callsOut - before.callsOut,
    bytes: after.bytes - before.bytes,
  };
}

async function measureDurablePuts(
  store: Store,
  data: DataSet,
  { way, writers }: Case,
): Promise<Measurement> {
  const recorder = new LatencyRecorder(data.count);
  const before = store.writeCounters?.();
  const seconds = await clock(() =>
    way === "putSync"
      ? putAllSync(store, data, recorder)
      : putAllConcurrently(store, data, writers, recorder)
  );
  const after = store.writeCounters?.();
  return {
    operations: data.count,
    seconds,
    latencies: recorder.summary(),
    counters: countersBetween(before, after, data.count),
    verification: data.verify((key) => store.getSync(key)),
    warmUp: "none: the JIT and the log start cold",
    notDone: [
      "no power was cut: durability is the peer's word and its system calls'",
      ...(writers > 1 ? ["latency of writers other than the first"] : []),
    ],
  };
}

const durablePuts: Omit<Workload, "id" | "title" | "need" | "counts" | "writers"> = {
  durability: "sync",
  valueBytes: KiB,
  memory: { memtableBytes: DEFAULT_MEMTABLE_BYTES, cacheBytes: 64 * MiB },
  measure: measureDurablePuts,
};

export const durableOneWriter: Workload = {
  ...durablePuts,
  id: "W4",
  title: "durable, one writer, 1 KiB values, each synced",
  need: "durablePut",
  counts: { smoke: 200, medium: 20_000, full: 100_000 },
  writers: [1],
};

export const durableManyWriters: Workload = {
  ...durablePuts,
  id: "W5",
  title: "durable, 64 writers at once, 1 KiB values, each waits for its sync",
  need: "concurrentDurablePut",
  counts: { smoke: 640, medium: 100_000, full: 500_000 },
  writers: [64],
};

export const durableSweep: Workload = {
  ...durablePuts,
  id: "sweep",
  title: "durable writers at once, 1 KiB values: puts per sync as they grow in number",
  need: "concurrentDurablePut",
  counts: { smoke: 1_000, medium: 30_000, full: 200_000 },
  writers: [1, 4, 8, 64, 1000],
};
