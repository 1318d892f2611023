/** How RocksDB is set up: what the peers are given, no compression, and what its own documentation advises. */
import type { Pointer } from "bun:ffi";
import { existsSync, readFileSync } from "node:fs";
import type { OpenOptions } from "../peer.ts";
import { address, type RocksDbLibrary, word } from "./library.ts";

const NO_COMPRESSION = 0;
const BACKGROUND_JOBS = 2;
const FILTER_BITS_PER_KEY = 10;
/** As Varve's default: values this large live outside the tree. */
const MIN_BLOB_BYTES = 64 * 1024;

/** Whether large values go to blob files (BlobDB). */
export type Layout = "tables" | "blobs";

export function describeOptions(
  library: RocksDbLibrary,
  layout: Layout,
  { directory, durability, memtableBytes, cacheBytes, directIo }: OpenOptions,
): string {
  return [
    versionIn(directory),
    writeSetting(durability),
    "no compression",
    `${BACKGROUND_JOBS} background jobs`,
    `write_buffer_size ${memtableBytes}`,
    `LRU block cache ${cacheBytes}`,
    `Bloom filter ${FILTER_BITS_PER_KEY} bits`,
    directIo && "use_direct_reads, use_direct_io_for_flush_and_compaction",
    directIo === false && "page cache",
    layout === "blobs" && `blob files from ${MIN_BLOB_BYTES} B`,
    library.newer && "avoid_flush_during_recovery",
    "rocksdb_get and one copy per get",
  ].filter(Boolean).join(", ");
}

/** The library does not tell its version; the log of a database that it has opened does. */
function versionIn(directory: string): string {
  const log = `${directory}/rocksdb/LOG`;
  const found = existsSync(log) && /RocksDB version: (\S+)/.exec(readFileSync(log, "utf8"));
  return found ? `RocksDB ${found[1]}` : "RocksDB of an unknown version";
}

function writeSetting(durability: OpenOptions["durability"]): string {
  if (durability === "sync") return "WriteOptions.sync";
  return durability === "volatile" ? "WriteOptions.disableWAL" : "WAL, not synced";
}

export function createOptions(
  library: RocksDbLibrary,
  layout: Layout,
  options: OpenOptions,
): Pointer {
  const tableOptions = address(library.rocksdb_block_based_options_create());
  const cache = library.rocksdb_cache_create_lru(word(options.cacheBytes));
  library.rocksdb_block_based_options_set_block_cache(tableOptions, cache);
  const filter = library.rocksdb_filterpolicy_create_bloom_full(FILTER_BITS_PER_KEY);
  library.rocksdb_block_based_options_set_filter_policy(tableOptions, filter);

  const created = address(library.rocksdb_options_create());
  library.rocksdb_options_set_create_if_missing(created, 1);
  library.rocksdb_options_set_compression(created, NO_COMPRESSION);
  library.rocksdb_options_set_max_background_jobs(created, BACKGROUND_JOBS);
  library.rocksdb_options_set_write_buffer_size(created, word(options.memtableBytes));
  library.rocksdb_options_set_block_based_table_factory(created, tableOptions);
  const direct = Number(options.directIo ?? false);
  library.rocksdb_options_set_use_direct_reads(created, direct);
  library.rocksdb_options_set_use_direct_io_for_flush_and_compaction(created, direct);
  if (layout === "blobs") {
    library.rocksdb_options_set_enable_blob_files(created, 1);
    library.rocksdb_options_set_min_blob_size(created, word(MIN_BLOB_BYTES));
  }
  library.newer?.rocksdb_options_set_avoid_flush_during_recovery(created, 1);
  return created;
}
