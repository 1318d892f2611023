/** Handing a buffer over against copying it, for values that fill whole blocks and for values that do not. */
import { clock, LatencyRecorder, type Measurement } from "../harness/measurement.ts";
import { required, type Store, type ValueCounters } from "../peers/peer.ts";
import { canTrace, countCalls } from "../work/traced.ts";
import { DEFAULT_MEMTABLE_BYTES, MiB, type Stage, withStore, type Workload } from "./workload.ts";
import { type DataSet, HeldDataSet } from "../harness/data_set.ts";
import type { Target } from "../harness/target.ts";

const ALIGNED_COPY = "aligned, copied";
const ALIGNED_TRANSFER = "aligned, transferred";
const UNALIGNED_COPY = "unaligned, copied";
const UNALIGNED_TRANSFER = "unaligned, transferred";

/** Past the end of the last whole block. */
const UNALIGNED_BYTES = 100;
const PUTS_AT_ONCE = 16;
/** Values whose system calls are counted one by one. */
const TRACED_MAX = 128;

async function measure(stage: Stage): Promise<Measurement[]> {
  const { run, options } = stage;
  const isAligned = run.variant === ALIGNED_COPY || run.variant === ALIGNED_TRANSFER;
  const valueBytes = run.valueBytes + (isAligned ? 0 : UNALIGNED_BYTES);
  const data = new HeldDataSet({ ...run, valueBytes });
  const isHandedOver = run.variant === ALIGNED_TRANSFER || run.variant === UNALIGNED_TRANSFER;
  return await withStore({ ...stage, options: { ...options, valueBytes } }, async (store) => {
    const sync = required(store, "sync");
    const counters = required(store, "valueCounters");
    const putAll = isHandedOver ? putTransferred : putCopied;
    const before = counters();
    const recorder = new LatencyRecorder(data.count);
    const seconds = await clock(async () => {
      await putAll(store, data, recorder);
      await sync();
    });
    const after = counters();
    const latencies = recorder.summary();
    const verification = data.verify((key) => store.getSync(key));
    const traced = new HeldDataSet({
      ...run,
      valueBytes,
      seed: run.seed + 1,
      count: Math.min(run.count, TRACED_MAX),
    });
    const calls = canTrace()
      ? await countCalls(run.directory, () => putAll(store, traced, recorder))
      : {};
    return [{
      operations: data.count,
      seconds,
      bytes: data.count * valueBytes,
      latencies,
      counters: {
        ...countersOf(before, after),
        ...(canTrace() && { straceWritesPerValue: writesOf(calls) / traced.count }),
      },
      verification,
      warmUp: "none",
      notDone: [
        "both ways make each value in a buffer first: that copy is the program's own work",
        "the latency is what a value costs the program's thread: to allocate, to fill, and to call put, not to await it",
        "the calls are those of more values, behind the clock",
      ],
    }];
  });
}

/** What the store did with the values of the clocked part. */
function countersOf(before: ValueCounters, after: ValueCounters): Record<string, number> {
  const since = (name: keyof ValueCounters) => after[name] - before[name];
  return {
    storeCopiedBytes: since("copiedBytes"),
    handedOver: since("transferred"),
    wholeBlocks: since("aligned"),
    paddedBytes: since("paddedBytes"),
    writeCallsPerValue: since("writeCalls") / since("valuesWritten"),
  };
}

function writesOf(calls: Readonly<Record<string, number>>): number {
  return Object.entries(calls)
    .filter(([name]) => name.startsWith("pwrite"))
    .reduce((sum, [, count]) => sum + count, 0);
}

/** The program makes its value in a buffer of its own, again and again the same one. */
async function putCopied(store: Store, data: DataSet, recorder: LatencyRecorder): Promise<void> {
  const put = required(store, "put");
  const own = new Uint8Array(data.valueBytes);
  let newest: Promise<unknown> | undefined;
  for (let index = 0; index < data.count; index++) {
    const start = performance.now();
    own.set(data.value(index));
    newest = put(data.key(index), own);
    recorder.record(start);
    if ((index + 1) % PUTS_AT_ONCE === 0) await newest;
  }
  await newest;
}

/** The program makes its value in a buffer of the store's. */
async function putTransferred(
  store: Store,
  data: DataSet,
  recorder: LatencyRecorder,
): Promise<void> {
  const allocate = required(store, "allocate");
  const put = required(store, "putTransferred");
  let newest: Promise<unknown> | undefined;
  for (let index = 0; index < data.count; index++) {
    const start = performance.now();
    const value = allocate(data.valueBytes);
    value.set(data.value(index));
    newest = put(data.key(index), value);
    recorder.record(start);
    if ((index + 1) % PUTS_AT_ONCE === 0) await newest;
  }
  await newest;
}

export const transfer: Workload = {
  id: "transfer",
  title:
    "put of 1 MiB with and without transfer, on aligned and unaligned values, sync() at the end",
  need: "transfer",
  durability: "buffered",
  sizes: { smoke: 8, full: 2048 },
  valueBytes: MiB,
  writers: [1],
  variants: [ALIGNED_COPY, ALIGNED_TRANSFER, UNALIGNED_COPY, UNALIGNED_TRANSFER],
  unit: "MB/s",
  memory: { memtableBytes: DEFAULT_MEMTABLE_BYTES, cacheBytes: 64 * MiB },
  diskBytesPerOperation: 2 * MiB,
  targets: [[ALIGNED_TRANSFER, ALIGNED_COPY], [UNALIGNED_TRANSFER, UNALIGNED_COPY]].flatMap(
    ([variant, copied]): Target[] => {
      const against = { roles: ["subject"] as const, variant: copied };
      return [
        // The device bounds all four: a quarter more or less of one repeat is its doing.
        {
          text: `not in every repeat slower than copying, ${variant}`,
          of: { variant },
          figure: "largest",
          against: { ...against, figure: "smallest" },
          least: 1,
        },
        {
          text: `no more of the program's thread than copying, ${variant}`,
          of: { variant },
          figure: "p50",
          against,
          most: 1,
        },
      ];
    },
  ),
  measure,
};
