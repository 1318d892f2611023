/** Options under which a store must behave the same. */
import type { Durability, OpenOptions } from "../../mod.ts";

const TINY: OpenOptions = { writeBufferSize: 64 * 1024, maxWriteBuffers: 2 };
const MIXED: readonly Durability[] = ["sync", "buffered", "volatile"];

export interface OptionSet {
  readonly name: string;
  readonly options: OpenOptions;
  readonly durabilities: readonly Durability[];
}

export const OPTION_SETS: readonly OptionSet[] = [
  {
    name: "defaults, mixed durability",
    options: {},
    durabilities: ["buffered", "buffered", "volatile", "sync"],
  },
  { name: "tiny write buffers, buffered", options: TINY, durabilities: ["buffered"] },
  { name: "tiny write buffers, volatile", options: TINY, durabilities: ["volatile"] },
  { name: "tiny write buffers, sync", options: TINY, durabilities: ["sync"] },
  {
    name: "small blocks, no filters, no direct I/O, small segments",
    options: {
      ...TINY,
      blockSize: 1024,
      filterBitsPerKey: 0,
      directIo: false,
      walSegmentSize: 64 * 1024,
    },
    durabilities: MIXED,
  },
  {
    name: "compressed tables past the page cache, few descriptors, a tiny cache",
    options: {
      ...TINY,
      compression: { type: "zstd", level: 1 },
      directIo: true,
      maxOpenFiles: 16,
      blockCacheSize: 64 * 1024,
    },
    durabilities: MIXED,
  },
  {
    name: "a tiny budget for all memtables, a tiny cache, one I/O thread",
    options: {
      totalWriteBufferSize: 64 * 1024,
      blockCacheSize: 64 * 1024,
      ioThreads: 1,
      maxWriteBuffers: 1,
    },
    durabilities: MIXED,
  },
  {
    name: "small tables in many levels",
    options: { ...TINY, targetFileSize: 64 * 1024, levelBaseSize: 128 * 1024 },
    durabilities: MIXED,
  },
  {
    name: "tiered compaction, per-level compression",
    options: {
      ...TINY,
      compactionStyle: "tiered",
      compression: [{ type: "none" }, { type: "zstd", level: 3 }],
    },
    durabilities: MIXED,
  },
  {
    name: "values in blob segments from 1 KiB on",
    options: { ...TINY, blobThreshold: 1024, targetFileSize: 64 * 1024 },
    durabilities: MIXED,
  },
  {
    name: "large values past the page cache",
    options: { ...TINY, blobThreshold: 4096, directIo: true, maxOpenFiles: 16 },
    durabilities: MIXED,
  },
];
