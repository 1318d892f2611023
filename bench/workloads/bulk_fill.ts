/** W11: large values at the device's pace, everything on stable storage before the clock stops. */
import { clock } from "../harness/measurement.ts";
import { ioCounts, ioSince } from "../harness/process_counters.ts";
import { timesRocksDb } from "../harness/target.ts";
import { required } from "../peers/peer.ts";
import { fill } from "../work/fill.ts";
import { BUFFERED, DIRECT, openByVariant } from "../work/io_modes.ts";
import { DEFAULT_MEMTABLE_BYTES, GiB, MiB, withStore, type Workload } from "./workload.ts";

export const bulkFill: Workload = {
  id: "W11",
  title: "fill with 1 MiB values, sync() at the end inside the clock",
  need: "bulkFill",
  durability: "buffered",
  sizes: { smoke: 16, full: 4096 },
  valueBytes: MiB,
  writers: [1],
  variants: [DIRECT, BUFFERED],
  unit: "MB/s",
  memory: { memtableBytes: DEFAULT_MEMTABLE_BYTES, cacheBytes: GiB },
  // The value itself, and once more in a log.
  diskBytesPerOperation: 2 * MiB,
  openOptions: openByVariant,
  targets: [
    {
      text: "at least 80 % of a plain loop of direct writes",
      of: { variant: DIRECT },
      against: { roles: ["device"] },
      least: 0.8,
    },
    timesRocksDb(1.5, { variant: DIRECT }, "at least 1.5 × BlobDB, direct"),
  ],
  measure: (stage) =>
    withStore(stage, async (store) => {
      const { data, run } = stage;
      const sync = required(store, "sync");
      const before = ioCounts();
      const seconds = await clock(async () => {
        await fill(store, data, run.way);
        await sync();
      });
      return [{
        operations: data.count,
        seconds,
        bytes: data.count * data.valueBytes,
        counters: ioSince(before) as Record<string, number>,
        verification: data.verify((key) => store.getSync(key)),
        warmUp: "none",
        notDone: ["flush and compaction that remain after the sync"],
      }];
    }),
};
