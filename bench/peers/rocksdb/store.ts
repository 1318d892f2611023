/** RocksDB in this process, through its C API: what a JavaScript program gets from it by FFI. */
import type { Pointer } from "bun:ffi";
import { basename } from "node:path";
import type { OpenOptions, Store, StoreDriver } from "../peer.ts";
import type { See } from "../store.ts";
import {
  address,
  copyOut,
  cString,
  errorOut,
  importsAssertions,
  lengthOut,
  loadRocksDb,
  outLength,
  type RocksDbLibrary,
  throwIfError,
  word,
} from "./library.ts";
import { createOptions, describeOptions, type Layout } from "./options.ts";

const NULL = word(0);

/** Zero when nothing is running or due. */
const WORK_PROPERTIES = [
  "rocksdb.num-running-flushes",
  "rocksdb.num-running-compactions",
  "rocksdb.mem-table-flush-pending",
  "rocksdb.compaction-pending",
].map(cString);

export function load(layout: Layout): StoreDriver {
  const library = loadRocksDb();
  const version = basename(library.path);
  return {
    kind: "store",
    version,
    warnings: importsAssertions(library.path)
      ? [`${version} is built with assertions, 30 to 40 % slower than a release build`]
      : [],
    settings: (options) => describeOptions(library, layout, options),
    open: (options) => Promise.resolve(new RocksDbStore(library, layout, options)),
  };
}

class RocksDbStore implements Store {
  readonly #library: RocksDbLibrary;
  readonly #hasLog: boolean;
  readonly #db: Pointer;
  readonly #writeOptions: Pointer;
  readonly #readOptions: Pointer;
  /** Kept between short scans, as RocksDB advises; it shows the store as it was, so that a write ends it. */
  #iterator: Pointer | undefined;

  constructor(library: RocksDbLibrary, layout: Layout, options: OpenOptions) {
    this.#library = library;
    this.#hasLog = options.durability !== "volatile";
    const databaseOptions = createOptions(library, layout, options);
    const path = cString(`${options.directory}/rocksdb`);
    const opened = library.rocksdb_open(databaseOptions, path, errorOut);
    throwIfError(library);
    this.#db = address(opened);
    library.rocksdb_options_destroy(databaseOptions);
    this.#writeOptions = address(library.rocksdb_writeoptions_create());
    library.rocksdb_writeoptions_set_sync(
      this.#writeOptions,
      Number(options.durability === "sync"),
    );
    library.rocksdb_writeoptions_disable_WAL(this.#writeOptions, Number(!this.#hasLog));
    this.#readOptions = address(library.rocksdb_readoptions_create());
  }

  putSync(key: Uint8Array, value: Uint8Array): void {
    if (this.#iterator !== undefined) this.#dropIterator();
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
    this.#flush();
    this.#library.rocksdb_compact_range(this.#db, NULL, NULL, NULL, NULL);
    return Promise.resolve();
  }

  /** Without a log only a flush brings data to the disk. */
  sync(): Promise<void> {
    if (this.#hasLog) {
      this.#library.rocksdb_flush_wal(this.#db, 1, errorOut);
      throwIfError(this.#library);
    } else {
      this.#flush();
    }
    return Promise.resolve();
  }

  isQuiet(): boolean {
    return WORK_PROPERTIES.every((name) => {
      const failed = this.#library.rocksdb_property_int(this.#db, name, lengthOut);
      if (failed) throw new Error("RocksDB does not know its property");
      return outLength() === 0;
    });
  }

  scan(see: See): void {
    const iterator = this.#openIterator();
    this.#library.rocksdb_iter_seek_to_first(iterator);
    this.#visit(iterator, Infinity, see);
    this.#dropIterator();
  }

  scanFrom(key: Uint8Array, count: number, see: See): void {
    const iterator = this.#openIterator();
    this.#library.rocksdb_iter_seek(iterator, key, word(key.length));
    this.#visit(iterator, count, see);
  }

  close(): Promise<void> {
    this.#dropIterator();
    this.#library.rocksdb_close(this.#db);
    return Promise.resolve();
  }

  #flush(): void {
    const flushOptions = address(this.#library.rocksdb_flushoptions_create());
    this.#library.rocksdb_flush(this.#db, flushOptions, errorOut);
    throwIfError(this.#library);
  }

  #openIterator(): Pointer {
    const { rocksdb_create_iterator } = this.#library;
    return this.#iterator ??= address(rocksdb_create_iterator(this.#db, this.#readOptions));
  }

  #dropIterator(): void {
    if (this.#iterator !== undefined) this.#library.rocksdb_iter_destroy(this.#iterator);
    this.#iterator = undefined;
  }

  #visit(iterator: Pointer, count: number, see: See): void {
    const library = this.#library;
    for (let left = count; left > 0 && library.rocksdb_iter_valid(iterator); left--) {
      const keyAddress = address(library.rocksdb_iter_key(iterator, lengthOut));
      const key = copyOut(library, keyAddress, outLength());
      const valueAddress = address(library.rocksdb_iter_value(iterator, lengthOut));
      see(key, copyOut(library, valueAddress, outLength()));
      if (left > 1) library.rocksdb_iter_next(iterator);
    }
    library.rocksdb_iter_get_error(iterator, errorOut);
    throwIfError(library);
  }
}
