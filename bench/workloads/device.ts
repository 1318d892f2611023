/** The device without a store: what any figure of bytes per second is to be held against. */
import { BUFFERED, DIRECT } from "../work/io_modes.ts";
import { MiB, programsOnly, type Workload } from "./workload.ts";

export const deviceWrites: Workload = {
  id: "device",
  title: "1 MiB writes, one at a time, synced at the end, no store",
  need: "rawWrite",
  durability: "buffered",
  sizes: { smoke: 16, full: 4096 },
  valueBytes: MiB,
  writers: [1],
  variants: [DIRECT, BUFFERED],
  unit: "MB/s",
  memory: { memtableBytes: 0, cacheBytes: 0 },
  diskBytesPerOperation: MiB,
  targets: [],
  measure: programsOnly,
};
