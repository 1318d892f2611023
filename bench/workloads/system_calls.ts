/** System calls per 1,000 writes, with puts that are gathered into groups and with puts that are not. */
import { type DataSet, HeldDataSet } from "../harness/data_set.ts";
import { clock, type Measurement } from "../harness/measurement.ts";
import { required, type Store } from "../peers/peer.ts";
import { canTrace, countCalls } from "../work/traced.ts";
import { DEFAULT_MEMTABLE_BYTES, MiB, type Stage, withStore, type Workload } from "./workload.ts";

const GATHERED = "1,000 at once (coalescing on)";
const SINGLE = "one at a time (coalescing off)";
const WINDOW = 1000;

async function measure(stage: Stage): Promise<Measurement[]> {
  const { data, run } = stage;
  const window = run.variant === GATHERED ? WINDOW : 1;
  return await withStore(stage, async (store) => {
    const put = putter(store, window);
    // The log's first segments are small: a new one every few puts is no part of the steady state.
    await put(new HeldDataSet({ ...run, seed: run.seed + 1 }));
    const counters = required(store, "writeCounters");
    const before = counters();
    const seconds = await clock(() => put(data));
    const after = counters();
    const perThousand = (count: number) => (1000 * count) / data.count;
    const measurement: Measurement = {
      operations: data.count,
      seconds,
      counters: {
        writesPer1000: perThousand(after.callsOut - before.callsOut),
        syncsPer1000: perThousand(after.syncs - before.syncs),
      },
      verification: data.verify((key) => store.getSync(key)),
      warmUp: "as many puts of other keys",
      notDone: canTrace() ? [] : ["strace is not there, or may not trace: its count is missing"],
    };
    if (canTrace()) {
      const traced = new HeldDataSet({ ...run, seed: run.seed + 2 });
      const counts = await countCalls(run.directory, () => put(traced));
      const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
      measurement.counters!.straceCallsPer1000 = perThousand(total);
    }
    return [measurement];
  });
}

function putter(store: Store, window: number): (data: DataSet) => Promise<void> {
  const put = required(store, "put");
  return async (data) => {
    let newest: Promise<unknown> | undefined;
    for (let index = 0; index < data.count; index++) {
      newest = put(data.key(index), data.value(index));
      if ((index + 1) % window === 0) await newest;
    }
    await newest;
  };
}

export const systemCalls: Workload = {
  id: "calls",
  title: "system calls per 1,000 writes of 100 B, counted by the library and by strace -c",
  need: "systemCalls",
  durability: "buffered",
  sizes: { smoke: 2_000, full: 100_000 },
  valueBytes: 100,
  writers: [1],
  variants: [GATHERED, SINGLE],
  memory: { memtableBytes: DEFAULT_MEMTABLE_BYTES, cacheBytes: 64 * MiB },
  targets: [],
  measure,
};
