/** W14: how long an open takes: of what was closed cleanly, and of what a kill left in the log. */
import type { Measurement } from "../harness/measurement.ts";
import { ComputedDataSet, type DataSet, HeldDataSet } from "../harness/data_set.ts";
import type { Case } from "../harness/case.ts";
import { fillUntimed } from "../work/fill.ts";
import { withLargeStore } from "../work/large_store.ts";
import { DEFAULT_MEMTABLE_BYTES, GiB, KiB, MiB, type Stage, type Workload } from "./workload.ts";

const CLOSED = "closed cleanly after W3";
const KILLED = "killed with the log unflushed";

const LOGGED_VALUE_BYTES = KiB;
const LOGGED_BYTES = 256 * MiB;
const FULL_COUNT = 10_000_000;

/** The entries of a variant: W3's, or as large a share of 256 MiB of 1 KiB values as W3's count is of ten million. */
function dataOf({ variant, count, seed, valueBytes }: Case): DataSet {
  if (variant === CLOSED) return new ComputedDataSet({ count, seed, valueBytes });
  const logged = Math.ceil((LOGGED_BYTES / LOGGED_VALUE_BYTES) * (count / FULL_COUNT));
  return new HeldDataSet({ count: logged, seed, valueBytes: LOGGED_VALUE_BYTES });
}

async function prepare(stage: Stage): Promise<"close" | "kill"> {
  const data = dataOf(stage.run);
  if (stage.run.variant === CLOSED) {
    await withLargeStore({ ...stage, data }, () => Promise.resolve());
    return "close";
  }
  const store = await stage.driver.open(stage.options);
  await fillUntimed(store, data, stage.run);
  return "kill";
}

async function measure({ driver, options, run }: Stage): Promise<Measurement[]> {
  const data = dataOf(run);
  const start = performance.now();
  const store = await driver.open(options);
  const seconds = (performance.now() - start) / 1000;
  const verification = data.verify((key) => store.getSync(key));
  await store.close();
  const loggedBytes = data.count * (data.valueBytes + data.key(0).length);
  return [{
    operations: 1,
    seconds,
    counters: run.variant === KILLED
      ? { loggedBytes, replayMegabytesPerSecond: loggedBytes / seconds / 1e6 }
      : {},
    verification,
    warmUp: "the library was loaded; nothing had been opened in this process",
    notDone: ["the page cache is warm: the process before this one has just written the files"],
  }];
}

export const reopen: Workload = {
  id: "W14",
  title: "open: after W3, closed cleanly; and after a kill with 256 MiB of 1 KiB values in the log",
  need: "reopen",
  durability: "buffered",
  sizes: { smoke: 20_000, full: FULL_COUNT },
  valueBytes: 100,
  writers: [1],
  variants: [CLOSED, KILLED],
  unit: "ms",
  memory: { memtableBytes: DEFAULT_MEMTABLE_BYTES, cacheBytes: GiB },
  // Nothing may be flushed before the kill: all of it is to be found in the log.
  openOptions: (variant) => variant === KILLED ? { memtableBytes: GiB } : {},
  targets: [
    { text: "at most RocksDB's time", of: {}, against: { roles: ["rocksdb"] }, most: 1 },
    {
      text: "replay at least 500 MB/s",
      of: { variant: KILLED },
      figure: "replayMegabytesPerSecond",
      least: 500,
    },
  ],
  prepare,
  measure,
};
