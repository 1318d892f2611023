/** W4, W5 and the sweep: puts that wait for stable storage, by one writer and by many at once. */
import type { DataSet } from "../harness/data_set.ts";
import { clock, LatencyRecorder, type Measurement } from "../harness/measurement.ts";
import type { Store, WriteCounters } from "../peers/peer.ts";
import {
  DEFAULT_MEMTABLE_BYTES,
  KiB,
  MiB,
  type Stage,
  withStore,
  type Workload,
} from "../workloads/workload.ts";

function putAllSync(store: Store, data: DataSet, recorder: LatencyRecorder): void {
  for (let index = 0; index < data.count; index++) {
    const start = performance.now();
    store.putSync!(data.key(index), data.value(index));
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
      await store.put!(data.key(index), data.value(index));
      recorder.record(start);
    }
  };
  const writer = async () => {
    while (next < data.count) {
      const index = next++;
      await store.put!(data.key(index), data.value(index));
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
  seconds: number,
): Record<string, number> | undefined {
  if (!before || !after) return undefined;
  const groups = after.groups - before.groups;
  const batches = after.batches - before.batches;
  const syncs = after.syncs - before.syncs;
  return {
    putsPerSync: puts / syncs,
    writersPerGroup: batches / groups,
    syncsPerSecond: syncs / seconds,
    groups,
    batches,
    syncs,
    writesIn: after.writesIn - before.writesIn,
    callsOut: after.callsOut - before.callsOut,
    bytes: after.bytes - before.bytes,
  };
}

async function measure(stage: Stage): Promise<Measurement[]> {
  const { data, run: { way, writers } } = stage;
  const recorder = new LatencyRecorder(data.count);
  return await withStore(stage, async (store) => {
    const before = store.writeCounters?.();
    const seconds = await clock(() =>
      way === "putSync"
        ? putAllSync(store, data, recorder)
        : putAllConcurrently(store, data, writers, recorder)
    );
    const after = store.writeCounters?.();
    return [{
      operations: data.count,
      seconds,
      latencies: recorder.summary(),
      counters: countersBetween(before, after, data.count, seconds),
      verification: data.verify((key) => store.getSync(key)),
      warmUp: "none: the JIT and the log start cold",
      notDone: [
        "no power was cut: durability is the peer's word and its system calls'",
        ...(writers > 1 ? ["latency of writers other than the first"] : []),
      ],
    }];
  });
}

export const durablePuts: Pick<Workload, "durability" | "valueBytes" | "memory" | "measure"> = {
  durability: "sync",
  valueBytes: KiB,
  memory: { memtableBytes: DEFAULT_MEMTABLE_BYTES, cacheBytes: 64 * MiB },
  measure,
};
