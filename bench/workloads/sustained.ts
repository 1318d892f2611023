/** W3: ten million puts with flushes and compactions under way, and how long those go on. */
import { LatencyRecorder, type Measurement } from "../harness/measurement.ts";
import { LoopDelay, SeriesRecorder } from "../harness/meters.ts";
import { ioCounts, ioSince, MemoryMeter, spaceOf } from "../harness/process_counters.ts";
import { timesRocksDb } from "../harness/target.ts";
import { fillMetered, SAMPLED_EVERY } from "../work/fill.ts";
import { untilQuiet } from "../work/quiet.ts";
import {
  DEFAULT_MEMTABLE_BYTES,
  GiB,
  KiB,
  type Stage,
  withStore,
  type Workload,
} from "./workload.ts";

const PUTS = "the puts";
const QUIET = "until quiet";

/** db_bench writes keys twice and others never: what it takes on disk is no measure. */
const sameData = { roles: ["rocksdb"], peer: "rocksdb" } as const;

async function measure(stage: Stage): Promise<Measurement[]> {
  const { data, run } = stage;
  const isSmall = data.count < 100 * KiB;
  const recorder = new LatencyRecorder(data.count);
  const series = new SeriesRecorder(isSmall ? 0.01 : 1);
  const delay = new LoopDelay();
  const memory = new MemoryMeter();
  return await withStore(stage, async (store) => {
    const before = ioCounts();
    if (run.way === "put") delay.start();
    const start = performance.now();
    await fillMetered(store, data, run.way, { recorder, series });
    const filled = performance.now();
    const late = run.way === "put" ? delay.stop() : undefined;
    const quiet = Math.max(filled, await untilQuiet(store));
    const written = ioSince(before);
    const common = {
      operations: data.count,
      warmUp: "none: the JIT starts cold",
      verification: data.verify((key) => store.getSync(key)),
    };
    const puts: Measurement = {
      ...common,
      seconds: (filled - start) / 1000,
      latencies: recorder.summary(),
      series: series.summary(),
      ...(late && { counters: { loopDelayP99Ms: late.p99, loopDelayMaxMs: late.max } }),
      notDone: [
        run.way === "put"
          ? "the latency is that of the last put of each window"
          : `one put in ${SAMPLED_EVERY} was timed: the largest latency may be missed`,
      ],
    };
    const untilQuietAgain: Measurement = {
      ...common,
      seconds: (quiet - start) / 1000,
      counters: {
        spaceBytes: spaceOf(run.directory),
        dataBytes: data.count * (data.valueBytes + data.key(0).length),
        ...written,
        ...memory.counters(),
      },
      notDone: ["the last memtable is not flushed: nothing asks for it"],
    };
    return [puts, untilQuietAgain];
  });
}

export const sustained: Workload = {
  id: "W3",
  title: "sustained: 10 million random puts, 16 B + 100 B, compaction running, until quiet",
  need: "sustainedFill",
  durability: "buffered",
  sizes: { smoke: 20_000, full: 10_000_000 },
  valueBytes: 100,
  writers: [1],
  parts: [PUTS, QUIET],
  memory: { memtableBytes: DEFAULT_MEMTABLE_BYTES, cacheBytes: GiB },
  computesKeys: true,
  targets: [
    timesRocksDb(3, { part: PUTS }),
    timesRocksDb(2, { part: QUIET }),
    {
      text: "space at most 1.1 × RocksDB's",
      of: { part: QUIET },
      figure: "spaceBytes",
      against: sameData,
      most: 1.1,
    },
    {
      text: "written at most 1.1 × RocksDB's",
      of: { part: QUIET },
      figure: "deviceWrittenBytes",
      against: sameData,
      most: 1.1,
    },
    {
      text: "p99.9 at most RocksDB's, by putSync",
      of: { part: PUTS, way: "putSync" },
      figure: "p999",
      against: { roles: ["rocksdb"] },
      most: 1,
    },
    {
      text: "event-loop delay p99 at most 10 ms, by put",
      of: { part: PUTS, way: "put" },
      figure: "loopDelayP99Ms",
      most: 10,
    },
  ],
  measure,
};
