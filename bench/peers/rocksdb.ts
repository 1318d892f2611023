/** RocksDB in this process, through its C API: what a JavaScript program gets from it by FFI. */
import type { Pointer } from "bun:ffi";
import type { OpenOptions, Store, StoreDriver } from "./peer.ts";
import {
  address,
  copyOut,
  errorOut,
  importsAssertions,
  lengthOut,
  loadRocksDb,
  outLength,
  type RocksDbLibrary,
  throwIfError,
  word,
} from "./rocksdb_library.ts";

const NO_COMPRESSION = 0;
const BACKGROUND_JOBS = 2;
const FILTER_BITS_PER_KEY = 10;
const NULL = word(0);

export function load(): StoreDriver {
  const library = loadRocksDb();
  return {
    kind: "store",
    version: library.path,
    warnings: importsAssertions(library.path)
      ? [`${library.path} is built with assertions, 30 to 40 % slower than a release build`]
      : [],
    settings: ({ durability, memtableBytes, cacheBytes }) =>
      `${writeSetting(durability)}, no compression, ${BACKGROUND_JOBS} background jobs, ` +
      `write_buffer_size ${memtableBytes}, LRU block cache ${cacheBytes}, ` +
      `Bloom filter ${FILTER_BITS_PER_KEY} bits; rocksdb_get and one copy per get`,
    open: (options) => Promise.resolve(new RocksDbStore(library, options)),
  };
}

function writeSetting(durability: OpenOptions["durability"]): string {
  if (durability === "sync") return "WriteOptions.sync";
  return durability === "volatile" ? "WriteOptions.disableWAL" : "WAL, not synced";
}

class RocksDbStore implements Store {
  readonly #library: RocksDbLibrary;
  readonly #db: Pointer;
  readonly #writeOptions: Pointer;
  readonly #readOptions: Pointer;

  constructor(library: RocksDbLibrary, options: OpenOptions) {
    this.#library = library;
    const databaseOptions = createOptions(library, options);
    const path = new TextEncoder().encode(`${options.directory}/rocksdb\0`);
    const opened = library.rocksdb_open(databaseOptions, path, errorOut);
    throwIfError(library);
    this.#db = address(opened);
    library.rocksdb_options_destroy(databaseOptions);
    this.#writeOptions = address(library.rocksdb_writeoptions_create());
    library.rocksdb_writeoptions_set_sync(
      this.#writeOptions,
      Number(options.durability === "sync"),
    );
    library.rocksdb_writeoptions_disable_WAL(
      this.#writeOptions,
      Number(options.durability === "volatile"),
    );
    this.#readOptions = address(library.rocksdb_readoptions_create());
  }

  putSync(key: Uint8Array, value: Uint8Array): void {
    this.#library.rocksdb_put(
      this.#db,
      this.#writeOptions,
      key,
      word(key.length),
      value,
      word(value.length),
      errorOut,
    );
    throwIfError(this.#library);
  }

  getSync(key: Uint8Array): Uint8Array | undefined {
    const library = this.#library;
    const found = library.rocksdb_get(
      this.#db,
      this.#readOptions,
      key,
      word(key.length),
      lengthOut,
      errorOut,
    );
    throwIfError(library);
    if (found === null) return undefined;
    const value = copyOut(library, address(found), outLength());
    library.rocksdb_free(found);
    return value;
  }

  settle(): Promise<void> {
    const flushOptions = address(this.#library.rocksdb_flushoptions_create());
    this.#library.rocksdb_flush(this.#db, flushOptions, errorOut);
    throwIfError(this.#library);
    this.#library.rocksdb_compact_range(this.#db, NULL, NULL, NULL, NULL);
    return Promise.resolve();
  }

  scan(see: (key: Uint8Array, value: Uint8Array) => void): void {
    const library = this.#library;
    const iterator = address(library.rocksdb_create_iterator(this.#db, this.#readOptions));
    library.rocksdb_iter_seek_to_first(iterator);
    while (library.rocksdb_iter_valid(iterator)) {
      const keyAddress = address(library.rocksdb_iter_key(iterator, lengthOut));
      const key = copyOut(library, keyAddress, outLength());
      const valueAddress = address(library.rocksdb_iter_value(iterator, lengthOut));
      see(key, copyOut(library, valueAddress, outLength()));
      library.rocksdb_iter_next(iterator);
    }
    library.rocksdb_iter_get_error(iterator, errorOut);
    library.rocksdb_iter_destroy(iterator);
    throwIfError(library);
  }

  close(): Promise<void> {
    this.#library.rocksdb_close(this.#db);
    return Promise.resolve();
  }
}

function createOptions(library: RocksDbLibrary, options: OpenOptions): Pointer {
  const tableOptions = address(library.rocksdb_block_based_options_create());
  const cache = library.rocksdb_cache_create_lru(word(options.cacheBytes));
  library.rocksdb_block_based_options_set_block_cache(tableOptions, cache);
  const filter = library.rocksdb_filterpolicy_create_bloom_full(FILTER_BITS_PER_KEY);
  library.rocksdb_block_based_options_set_filter_policy(tableOptions, filter);

  const databaseOptions = address(library.rocksdb_options_create());
  library.rocksdb_options_set_create_if_missing(databaseOptions, 1);
  library.rocksdb_options_set_compression(databaseOptions, NO_COMPRESSION);
  library.rocksdb_options_set_max_background_jobs(databaseOptions, BACKGROUND_JOBS);
  library.rocksdb_options_set_write_buffer_size(databaseOptions, word(options.memtableBytes));
  library.rocksdb_options_set_block_based_table_factory(databaseOptions, tableOptions);
  return databaseOptions;
}
