/**
 * RocksDB's C API as `bun:ffi` symbols, and the few helpers that C strings and out-parameters need.
 *
 * Lengths (`size_t`) are declared `ptr`: a pointer is a plain number in Bun, whereas a 64-bit integer
 * costs a BigInt or a check. Out-parameters are raw addresses in an explicit `ArrayBuffer`, which
 * JavaScriptCore never moves.
 */
import { CString, dlopen, type Pointer, ptr } from "bun:ffi";
import { Buffer } from "node:buffer";
import { closeSync, existsSync, openSync, readFileSync, readSync } from "node:fs";
import process from "node:process";
import { PeerUnavailable } from "../peer.ts";

const P = "ptr";
/** JavaScript memory that the callee reads, or writes, during the call and not after it. */
const VIEW = "buffer";

const symbols = {
  rocksdb_options_create: { args: [], returns: P },
  rocksdb_options_set_create_if_missing: { args: [P, "u8"], returns: "void" },
  rocksdb_options_set_compression: { args: [P, "i32"], returns: "void" },
  rocksdb_options_set_max_background_jobs: { args: [P, "i32"], returns: "void" },
  rocksdb_options_set_write_buffer_size: { args: [P, P], returns: "void" },
  rocksdb_options_set_use_direct_reads: { args: [P, "u8"], returns: "void" },
  rocksdb_options_set_use_direct_io_for_flush_and_compaction: { args: [P, "u8"], returns: "void" },
  rocksdb_options_set_enable_blob_files: { args: [P, "u8"], returns: "void" },
  rocksdb_options_set_min_blob_size: { args: [P, P], returns: "void" },
  rocksdb_options_set_block_based_table_factory: { args: [P, P], returns: "void" },
  rocksdb_options_destroy: { args: [P], returns: "void" },
  rocksdb_block_based_options_create: { args: [], returns: P },
  rocksdb_block_based_options_set_block_cache: { args: [P, P], returns: "void" },
  rocksdb_block_based_options_set_filter_policy: { args: [P, P], returns: "void" },
  rocksdb_cache_create_lru: { args: [P], returns: P },
  rocksdb_filterpolicy_create_bloom_full: { args: ["f64"], returns: P },
  rocksdb_writeoptions_create: { args: [], returns: P },
  rocksdb_writeoptions_set_sync: { args: [P, "u8"], returns: "void" },
  rocksdb_writeoptions_disable_WAL: { args: [P, "i32"], returns: "void" },
  rocksdb_readoptions_create: { args: [], returns: P },
  rocksdb_flushoptions_create: { args: [], returns: P },
  rocksdb_open: { args: [P, VIEW, P], returns: P },
  rocksdb_close: { args: [P], returns: "void" },
  rocksdb_put: { args: [P, P, VIEW, P, VIEW, P, P], returns: "void" },
  rocksdb_get: { args: [P, P, VIEW, P, P, P], returns: P },
  rocksdb_flush: { args: [P, P, P], returns: "void" },
  rocksdb_flush_wal: { args: [P, "u8", P], returns: "void" },
  rocksdb_property_int: { args: [P, VIEW, P], returns: "i32" },
  rocksdb_compact_range: { args: [P, P, P, P, P], returns: "void" },
  rocksdb_create_iterator: { args: [P, P], returns: P },
  rocksdb_iter_seek_to_first: { args: [P], returns: "void" },
  rocksdb_iter_seek: { args: [P, VIEW, P], returns: "void" },
  rocksdb_iter_valid: { args: [P], returns: "u8" },
  rocksdb_iter_next: { args: [P], returns: "void" },
  rocksdb_iter_key: { args: [P, P], returns: P },
  rocksdb_iter_value: { args: [P, P], returns: P },
  rocksdb_iter_get_error: { args: [P, P], returns: "void" },
  rocksdb_iter_destroy: { args: [P], returns: "void" },
  rocksdb_free: { args: [P], returns: "void" },
} as const;

/** Newer than Debian's 7.8: used where it is there. */
const newerSymbols = {
  rocksdb_options_set_avoid_flush_during_recovery: { args: [P, "u8"], returns: "void" },
} as const;

/** Copying through libc costs 3 ns; a view over foreign memory would cost 130. */
const libcSymbols = { memcpy: { args: [VIEW, P, P], returns: P } } as const;

const ASSERTION_HANDLER = "__assert_fail";
const PIECE_BYTES = 1024 * 1024;

const DEBIAN_LIBRARY = "librocksdb.so.7.8";

/** Words that the callee fills in: an error string, a length. */
const out = new Uint32Array(new ArrayBuffer(16));
export const errorOut = ptr(out);
export const lengthOut = (errorOut + 8) as Pointer;

/** A C string that the callee reads during the call. */
export const cString = (text: string): Uint8Array => new TextEncoder().encode(`${text}\0`);

/** A `size_t` or a null pointer where the C API wants a word. */
export const word = (value: number): Pointer => value as Pointer;

/** What a call returned as an address; a null where the API promises an object ends the run. */
export function address(returned: Pointer | bigint | null): Pointer {
  if (typeof returned === "number") return returned;
  throw new Error(`RocksDB returned ${returned} where it promises an object`);
}

export type RocksDbLibrary = ReturnType<typeof loadRocksDb>;

/** @throws {PeerUnavailable} */
export function loadRocksDb() {
  const path = process.env.ROCKSDB_LIBRARY ?? DEBIAN_LIBRARY;
  try {
    const rocksdb = dlopen(path, symbols).symbols;
    const libc = dlopen("libc.so.6", libcSymbols).symbols;
    return { path, ...rocksdb, ...libc, newer: newerOf(path) };
  } catch (cause) {
    const hint = "install librocksdb-dev or set ROCKSDB_LIBRARY";
    throw new PeerUnavailable(`${path} does not load (${(cause as Error).message}): ${hint}`);
  }
}

function newerOf(path: string) {
  try {
    return dlopen(path, newerSymbols).symbols;
  } catch {
    return undefined;
  }
}

/**
 * Whether the mapped library refers to glibc's assertion handler, as a build with assertions does. Read piece by piece: a
 * library held whole would be memory that the store then seems not to need.
 */
export function importsAssertions(path: string): boolean {
  const mapped = existsSync(path) ? path : mappedPath(path);
  if (mapped === undefined) return false;
  const piece = new Uint8Array(PIECE_BYTES);
  const file = openSync(mapped, "r");
  try {
    for (let offset = 0;; offset += PIECE_BYTES - ASSERTION_HANDLER.length) {
      const bytes = readSync(file, piece, 0, PIECE_BYTES, offset);
      if (Buffer.from(piece.buffer, 0, bytes).includes(ASSERTION_HANDLER)) return true;
      if (bytes < PIECE_BYTES) return false;
    }
  } finally {
    closeSync(file);
  }
}

function mappedPath(name: string): string | undefined {
  const line = readFileSync("/proc/self/maps", "utf8").split("\n").find((row) =>
    row.includes(name)
  );
  return line?.slice(line.indexOf("/"));
}

/** The length that the last call wrote to `lengthOut`. */
export function outLength(): number {
  return out[2];
}

/** @throws {Error} with RocksDB's message if the last call set `errorOut` */
export function throwIfError(library: RocksDbLibrary): void {
  if (out[0] === 0 && out[1] === 0) return;
  const text = word(out[0] + out[1] * 2 ** 32);
  const message = new CString(text).toString();
  out.fill(0, 0, 2);
  library.rocksdb_free(text);
  throw new Error(`RocksDB: ${message}`);
}

/** A copy, owned by the caller, of native memory. */
export function copyOut(library: RocksDbLibrary, source: Pointer, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  if (length > 0) library.memcpy(bytes, source, word(length));
  return bytes;
}
