/** The device without a store: what any figure of bytes per second is to be held against. */
import { MiB, type Workload } from "./workload.ts";

export const deviceWrites: Workload = {
  id: "device",
  title: "1 MiB direct writes, one at a time, no store",
  need: "rawWrite",
  durability: "buffered",
  counts: { smoke: 64, medium: 1024, full: 4096 },
  valueBytes: MiB,
  writers: [1],
  memory: { memtableBytes: 0, cacheBytes: 0 },
  measure() {
    throw new Error("The device is measured by a program, not through a store");
  },
};
