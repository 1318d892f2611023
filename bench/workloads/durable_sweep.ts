/** How many writers share a group and a sync as they grow in number: the table behind W5. */
import { durablePuts } from "../work/durable_puts.ts";
import type { Workload } from "./workload.ts";

export const durableSweep: Workload = {
  ...durablePuts,
  id: "groups",
  title: "durable writers at once, 1 KiB values: writers per group, puts per sync, syncs a second",
  need: "concurrentDurablePut",
  sizes: { smoke: 1_000, full: 200_000 },
  writers: [1, 4, 8, 64, 1000],
  targets: [],
};
