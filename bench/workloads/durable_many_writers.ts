/** W5: writers that wait at the same time share a sync. */
import { aheadOfAll, timesRocksDb } from "../harness/target.ts";
import { durablePuts } from "../work/durable_puts.ts";
import type { Workload } from "./workload.ts";

export const durableManyWriters: Workload = {
  ...durablePuts,
  id: "W5",
  title: "durable, 64 writers at once, 1 KiB values, each waits for its sync",
  need: "concurrentDurablePut",
  sizes: { smoke: 640, full: 500_000 },
  writers: [64],
  targets: [timesRocksDb(5, {}, "at least 5 × RocksDB's 64 threads"), aheadOfAll({})],
};
