/** W12: 1 MiB values, one put to nine gets, half of which hit; more data than memory at the full size. */
import { LatencyRecorder, type Measurement } from "../harness/measurement.ts";
import { SeriesRecorder } from "../harness/meters.ts";
import { ioCounts, ioSince, MemoryMeter } from "../harness/process_counters.ts";
import { randomSource } from "../harness/data_set.ts";
import { timesRocksDb } from "../harness/target.ts";
import { required, type Store } from "../peers/peer.ts";
import { BUFFERED, DIRECT, openByVariant } from "../work/io_modes.ts";
import {
  DEFAULT_MEMTABLE_BYTES,
  GiB,
  MiB,
  type Stage,
  withStore,
  type Workload,
} from "./workload.ts";

const GETS_PER_PUT = 9;

interface Totals {
  hits: number;
  firstBytes: number;
}

/** After put `round`, nine gets: of keys so far, or, one time in two, of keys that nobody writes. */
function* picks(count: number, seed: number): Generator<number[]> {
  const random = randomSource(seed + 1);
  for (let round = 0; round < count; round++) {
    yield Array.from({ length: GETS_PER_PUT }, () => {
      const isHit = random() % 2 === 0;
      return isHit ? random() % (round + 1) : count + random() % count;
    });
  }
}

async function mix(
  store: Store,
  { data, run }: Stage,
  recorder: LatencyRecorder,
  series: SeriesRecorder,
): Promise<Totals> {
  const totals: Totals = { hits: 0, firstBytes: 0 };
  const see = (value: Uint8Array | undefined) => {
    if (value === undefined) return;
    totals.hits++;
    totals.firstBytes += value[0];
  };
  const putSync = run.way === "putSync" ? required(store, "putSync") : undefined;
  let round = 0;
  series.begin();
  for (const indexes of picks(data.count, run.seed)) {
    const start = performance.now();
    if (putSync) {
      putSync(data.key(round), data.value(round));
      recorder.record(start);
      for (const index of indexes) see(store.getSync(data.key(index)));
    } else {
      await store.put!(data.key(round), data.value(round));
      recorder.record(start);
      const gets = indexes.map((index) => store.get!(data.key(index)));
      for (const value of await Promise.all(gets)) see(value);
    }
    series.record(++round * (1 + GETS_PER_PUT), performance.now());
  }
  return totals;
}

function expectedTotals({ data, run }: Stage): Totals {
  const totals: Totals = { hits: 0, firstBytes: 0 };
  for (const indexes of picks(data.count, run.seed)) {
    for (const index of indexes) {
      if (index >= data.count) continue;
      totals.hits++;
      totals.firstBytes += data.value(index)[0];
    }
  }
  return totals;
}

async function measure(stage: Stage): Promise<Measurement[]> {
  const { data, run } = stage;
  const recorder = new LatencyRecorder(data.count);
  const series = new SeriesRecorder(data.count < 1000 ? 0.01 : 1);
  const memory = new MemoryMeter();
  return await withStore(stage, async (store) => {
    const before = ioCounts();
    const start = performance.now();
    const totals = await mix(store, stage, recorder, series);
    const seconds = (performance.now() - start) / 1000;
    const io = ioSince(before);
    const expected = expectedTotals(stage);
    if (totals.hits !== expected.hits || totals.firstBytes !== expected.firstBytes) {
      throw new Error(`Gets hit ${totals.hits} values, expected ${expected.hits}`);
    }
    return [{
      operations: data.count * (1 + GETS_PER_PUT),
      seconds,
      bytes: (data.count + totals.hits) * data.valueBytes,
      latencies: recorder.summary(),
      counters: { puts: data.count, hits: totals.hits, ...io, ...memory.counters() },
      series: series.summary(),
      verification: `hits and first bytes of all gets, ${data.verify((key) => store.getSync(key))}`,
      warmUp: "none",
      notDone: [
        "the latencies are those of the puts",
        run.way === "put" ? "puts wait one by one; nine gets are in flight" : "one call at a time",
      ],
    }];
  });
}

export const mixed: Workload = {
  id: "W12",
  title: "mixed, 1 MiB values: one put to nine gets, half of which hit; scaled to the disk",
  need: "mixed",
  durability: "buffered",
  sizes: { smoke: 16, full: 256_000 },
  valueBytes: MiB,
  writers: [1],
  variants: [DIRECT, BUFFERED],
  unit: "MB/s",
  memory: { memtableBytes: DEFAULT_MEMTABLE_BYTES, cacheBytes: GiB },
  computesKeys: true,
  diskBytesPerOperation: MiB,
  openOptions: openByVariant,
  targets: [
    timesRocksDb(2, { variant: DIRECT }),
    timesRocksDb(2, { variant: BUFFERED }),
    {
      text: "variance over the repeats at most 10 %",
      of: {},
      figure: "spread",
      most: 0.1,
    },
  ],
  measure,
};
