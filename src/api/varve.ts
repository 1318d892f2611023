/** `Varve`: an open store, which is also its own `"default"` column family. */
import { invalidArgument, quote } from "../base/errors.ts";
import { REAL_DISK, removeDirectory } from "../native/store_handle.ts";
import { runTask, runTaskSync, type Task } from "../native/task.ts";
import { EVENT_NAMES, type EventName, type Listener } from "../store/events.ts";
import { DEFAULT_FAMILY } from "../store/families.ts";
import { attach, attachSync, detach, detachSync, repair } from "../workers/registry.ts";
import type { RepairReport } from "../store/repair.ts";
import type { OpenStore } from "../store/open_store.ts";
import type { Family } from "../tree/family.ts";
import { rangeSpan } from "../tree/key_span.ts";
import { addOperations, type BatchOperation } from "./batch_operations.ts";
import { ColumnFamily } from "./column_family.ts";
import {
  type KeyEncodingOption,
  type KeyInput,
  type KeyOutput,
  resolveKeyEncoding,
} from "./encodings/key_encoding.ts";
import {
  resolveValueEncoding,
  type ValueEncodingOption,
  type ValueInput,
  type ValueOutput,
} from "./encodings/value_encoding.ts";
import { Handle } from "./handle.ts";
import { locate, resolveStorePath, resolveTarget } from "./location.ts";
import { operatorName } from "./merging.ts";
import {
  type ColumnFamilyOptions,
  type IntegerMerging,
  type OpenOptions,
  type ResolvedFamilyOptions,
  type ResolvedOptions,
  validateColumnFamilyOptions,
  validateFamilyName,
  validateOpenOptions,
  type WriteOptions,
} from "./options.ts";
import type { KeyRange } from "./range.ts";
import { promised } from "./signals.ts";
import { Snapshot } from "./snapshot.ts";
import { describeEngine, type Stats, statsOf } from "./stats.ts";
import { WriteBatch } from "./write_batch.ts";

/** A column family with the encodings that its options name. */
export type FamilyOf<KE extends KeyEncodingOption, VE extends ValueEncodingOption> = ColumnFamily<
  KeyInput<KE>,
  ValueInput<VE>,
  KeyOutput<KE>,
  ValueOutput<VE>
>;

/** A store with the encodings that its options name. */
export type VarveOf<KE extends KeyEncodingOption, VE extends ValueEncodingOption> = Varve<
  KeyInput<KE>,
  ValueInput<VE>,
  KeyOutput<KE>,
  ValueOutput<VE>
>;

/**
 * An embedded, ordered, durable key-value store. A promise that `put` returns resolves when the write is on stable storage
 * (`durability: "sync"`, the default); writers that wait at the same time share one sync.
 *
 * @example
 * ```ts
 * import { Varve } from "varve";
 *
 * await using db = await Varve.open("./data");
 * await db.put("user:1", "Ada");
 * for (const [key, value] of db.entries({ prefix: "user:" })) console.log(key, value);
 * ```
 */
export class Varve<
  K = Uint8Array | string,
  V = Uint8Array | string,
  KeyOut = Uint8Array,
  ValueOut = Uint8Array,
> extends ColumnFamily<K, V, KeyOut, ValueOut> {
  readonly #handle: Handle;
  readonly #options: ResolvedOptions;
  #closing: Promise<void> | undefined;

  private constructor(store: OpenStore, options: ResolvedOptions) {
    const handle = new Handle(store, options.durability);
    store.describe ??= describeEngine;
    const { keyEncoding, valueEncoding, mergeOperator } = options.columnFamilies
      .get(DEFAULT_FAMILY)!;
    super(
      handle,
      store.families.named(DEFAULT_FAMILY)!,
      resolveKeyEncoding(keyEncoding) as never,
      resolveValueEncoding(valueEncoding) as never,
      mergeOperator,
    );
    this.#handle = handle;
    this.#options = options;
  }

  /**
   * Opens a store, or makes it (parents too). In one process a second open of the same directory attaches to the running store.
   *
   * @param path a path, or a `file:` URL
   * @throws {VarveError} `ERR_LOCKED` when another process has it, `ERR_NOT_FOUND` with `createIfMissing: false`, `ERR_EXISTS`
   * with `errorIfExists`, `ERR_CORRUPTION`, `ERR_INVALID_ARGUMENT`, `ERR_IO`, `ERR_NATIVE`
   */
  static open(path: string | URL): Promise<Varve>;
  static open<
    KE extends KeyEncodingOption = "binary",
    VE extends ValueEncodingOption = "int64",
  >(path: string | URL, options: OpenOptions<KE, VE> & IntegerMerging): Promise<VarveOf<KE, VE>>;
  static open<
    KE extends KeyEncodingOption = "binary",
    VE extends ValueEncodingOption = "binary",
  >(path: string | URL, options?: OpenOptions<KE, VE>): Promise<VarveOf<KE, VE>>;
  static async open(path: string | URL, options?: OpenOptions): Promise<unknown> {
    const resolved = validateOpenOptions(options);
    const store = await attach(locate(path, resolved), resolved);
    try {
      await runTask(store.jobs, agreeOnDefault(store, resolved));
    } catch (error) {
      await detach(store);
      throw error;
    }
    return new Varve(store, resolved);
  }

  /** As `open`, blocking the thread. */
  static openSync(path: string | URL): Varve;
  static openSync<
    KE extends KeyEncodingOption = "binary",
    VE extends ValueEncodingOption = "int64",
  >(path: string | URL, options: OpenOptions<KE, VE> & IntegerMerging): VarveOf<KE, VE>;
  static openSync<
    KE extends KeyEncodingOption = "binary",
    VE extends ValueEncodingOption = "binary",
  >(path: string | URL, options?: OpenOptions<KE, VE>): VarveOf<KE, VE>;
  static openSync(path: string | URL, options?: OpenOptions): unknown {
    const resolved = validateOpenOptions(options);
    const store = attachSync(locate(path, resolved), resolved);
    try {
      runTaskSync(store.jobs, agreeOnDefault(store, resolved));
    } catch (error) {
      detachSync(store);
      throw error;
    }
    return new Varve(store, resolved);
  }

  /**
   * Removes a store's files, and its directory if nothing else is in it. No store there: nothing happens.
   *
   * @throws {VarveError} `ERR_LOCKED` while somebody has it open
   */
  static destroy(path: string | URL): Promise<void> {
    return promised(() => {
      removeDirectory(REAL_DISK, resolveStorePath(path));
      return Promise.resolve();
    });
  }

  /**
   * Makes a store whose manifest or pointer is damaged or gone one that opens again, from what its tables and its log still
   * prove: every table that checks out, and the log up to its first gap. Nothing is deleted: what could not be used is moved to
   * the directory `lost` in the store's, old manifests too. May be repeated, after a crash as well. Rather make a copy first.
   *
   * @param options `disk`: the simulated disk that the store is on
   * @returns what was kept and what was lost
   * @throws {VarveError} `ERR_LOCKED` while anybody has it open, `ERR_NOT_FOUND` where nothing of a store is, `ERR_UNSUPPORTED`
   * for files of a later version, `ERR_NO_SPACE`, `ERR_IO`
   */
  static repair(path: string | URL, options?: Pick<OpenOptions, "disk">): Promise<RepairReport> {
    return promised(() => {
      const resolved = validateOpenOptions({ disk: options?.disk });
      return repair(locate(path, resolved), resolved);
    });
  }

  /**
   * The column family of this name, made durably if it is missing. The encodings are this handle's own.
   *
   * @throws {VarveError} `ERR_INVALID_ARGUMENT` also when the family's stored merge operator has another name
   */
  columnFamily(name: string): Promise<FamilyOf<"binary", "binary">>;
  columnFamily<
    KE extends KeyEncodingOption = "binary",
    VE extends ValueEncodingOption = "int64",
  >(
    name: string,
    options: ColumnFamilyOptions<KE, VE> & IntegerMerging,
  ): Promise<FamilyOf<KE, VE>>;
  columnFamily<
    KE extends KeyEncodingOption = "binary",
    VE extends ValueEncodingOption = "binary",
  >(name: string, options?: ColumnFamilyOptions<KE, VE>): Promise<FamilyOf<KE, VE>>;
  columnFamily(name: string, options?: ColumnFamilyOptions): Promise<unknown> {
    return promised(async () => {
      const tuning = this.#familyOptions(name, options);
      const family = await this.#run(this.#openFamily(name, tuning));
      return this.#familyHandle(family, tuning);
    });
  }

  /** As `columnFamily`, blocking the thread. */
  columnFamilySync(name: string): FamilyOf<"binary", "binary">;
  columnFamilySync<
    KE extends KeyEncodingOption = "binary",
    VE extends ValueEncodingOption = "int64",
  >(name: string, options: ColumnFamilyOptions<KE, VE> & IntegerMerging): FamilyOf<KE, VE>;
  columnFamilySync<
    KE extends KeyEncodingOption = "binary",
    VE extends ValueEncodingOption = "binary",
  >(name: string, options?: ColumnFamilyOptions<KE, VE>): FamilyOf<KE, VE>;
  columnFamilySync(name: string, options?: ColumnFamilyOptions): unknown {
    const tuning = this.#familyOptions(name, options);
    const opening = this.#openFamily(name, tuning);
    return this.#familyHandle(runTaskSync(this.#handle.store.jobs, opening), tuning);
  }

  /** The names of all column families, `"default"` first. */
  columnFamilies(): string[] {
    this.#handle.requireOpen("list column families");
    return this.#handle.store.families.names();
  }

  /**
   * Drops a column family with everything in it; handles to it fail from then on with `ERR_COLUMN_FAMILY_DROPPED`.
   *
   * @throws {VarveError} `ERR_NOT_FOUND` when there is none of this name, `ERR_INVALID_ARGUMENT` for `"default"`
   */
  dropColumnFamily(name: string): Promise<void> {
    return promised(() => this.#run(this.#dropping(name)));
  }

  /** As `dropColumnFamily`, blocking the thread. */
  dropColumnFamilySync(name: string): void {
    runTaskSync(this.#handle.store.jobs, this.#dropping(name));
  }

  /** A builder for an atomic write over column families; with operations, writes them at once. */
  batch(): WriteBatch;
  batch(operations: readonly BatchOperation[], options?: WriteOptions): Promise<void>;
  batch(
    operations?: readonly BatchOperation[],
    options?: WriteOptions,
  ): WriteBatch | Promise<void> {
    if (operations === undefined) {
      this.#handle.requireOpen("begin a batch");
      return this.#newBatch();
    }
    return promised(() => {
      const batch = this.#newBatch();
      addOperations(batch, operations);
      return batch.write(options);
    });
  }

  /** Writes operations as one, blocking the thread. */
  batchSync(operations: readonly BatchOperation[], options?: WriteOptions): void {
    const batch = this.#newBatch();
    addOperations(batch, operations);
    batch.writeSync(options);
  }

  /** A consistent view of all column families as they are now. Dispose it when it is not needed. */
  snapshot(): Snapshot {
    this.#handle.requireOpen("take a snapshot");
    return new Snapshot(this.#handle);
  }

  /** Resolves when every write that was committed before the call is on stable storage. */
  sync(): Promise<void> {
    return promised(() => this.#run(this.#syncing()));
  }

  /** As `sync`, blocking the thread. */
  syncSync(): void {
    runTaskSync(this.#handle.store.jobs, this.#syncing());
  }

  /** Turns what is in memory into tables. */
  flush(): Promise<void> {
    return promised(() => {
      this.#handle.requireOpen("flush");
      return this.#run(this.#handle.store.flush());
    });
  }

  /** As `flush`, blocking the thread. */
  flushSync(): void {
    this.#handle.requireOpen("flush");
    runTaskSync(this.#handle.store.jobs, this.#handle.store.flush());
  }

  /**
   * A full compaction: memtables to tables, and those into one sorted run, without what nobody can see any more. With a range, of the
   * default family's tables that touch it; without one, of all families.
   */
  override compact(range?: KeyRange<K>): Promise<void> {
    if (range !== undefined) return super.compact(range);
    return promised(() => {
      this.#handle.requireOpen("compact");
      const { store } = this.#handle;
      return this.#run(
        store.compact(store.families.all(), rangeSpan(new Uint8Array(0), undefined)),
      );
    });
  }

  /**
   * Makes a copy that opens as a store of its own: everything that was committed before the call is in it, `"volatile"` writes
   * too, and nothing that comes later. Tables are shared with it by hard links where the file system allows, and copied elsewhere;
   * the store goes on meanwhile. The copy is there whole and durably when the promise resolves, or not at all.
   *
   * @param dir where the copy goes, missing parents are made; a path whose last part is a name, or a `file:` URL
   * @throws {VarveError} `ERR_EXISTS` when something is there that is no empty directory, `ERR_LOCKED` while another process makes
   * a checkpoint there, `ERR_READ_ONLY`, `ERR_NO_SPACE`, `ERR_IO`
   */
  checkpoint(dir: string | URL): Promise<void> {
    return promised(() => {
      this.#handle.requireOpen("make a checkpoint");
      return this.#run(this.#handle.store.checkpoint(resolveTarget(dir)));
    });
  }

  /**
   * Reads every live file and checks every checksum.
   *
   * @throws {VarveError} `ERR_CORRUPTION` with `path` and `offset`
   */
  verify(): Promise<void> {
    return promised(() => {
      this.#handle.requireOpen("verify");
      return this.#run(this.#handle.store.verify());
    });
  }

  /** Counters, sizes and shapes as a plain object. */
  stats(): Stats {
    this.#handle.requireOpen("read statistics");
    return statsOf(this.#handle);
  }

  /**
   * An array on aligned native memory, to be filled and handed over by `put(key, array, { transfer: true })`: a large value is then
   * written from where it lies, without a copy. Its content is unspecified, as with `Buffer.allocUnsafe`. An accepted put detaches
   * it; so does closing this handle. Do not transfer its `ArrayBuffer` yourself.
   *
   * @param bytes from 0 to 1 GiB; more is `ERR_TOO_LARGE`
   */
  allocate(bytes: number): Uint8Array<ArrayBuffer> {
    this.#handle.requireOpen("allocate");
    return this.#handle.allocations.allocate(bytes);
  }

  /**
   * Gives back an array of `allocate` that was not handed over, and detaches it.
   *
   * @throws {VarveError} `ERR_INVALID_ARGUMENT` for anything else, an array that was given back or handed over before included
   */
  release(array: Uint8Array): void {
    this.#handle.requireOpen("release");
    this.#handle.allocations.release(array);
  }

  /** Calls the listener on each event of this name; see `EventTypes` for what it gets. */
  addEventListener<Name extends EventName>(name: Name, listener: Listener<Name>): void {
    checkListener(name, listener);
    this.#handle.requireOpen("add a listener");
    this.#handle.store.events.add(name, listener);
  }

  /** Ends what `addEventListener` began. */
  removeEventListener<Name extends EventName>(name: Name, listener: Listener<Name>): void {
    checkListener(name, listener);
    this.#handle.store.events.remove(name, listener);
  }

  /**
   * Closes this handle; the last one closes the store: pending writes end, `"volatile"` ones are flushed, the log is synced if it
   * owes a sync, and the clean close goes on record. Closing twice is fine.
   */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /** As `close`, blocking the thread. */
  closeSync(): void {
    const { store } = this.#handle;
    if (this.#closing !== undefined) {
      if (store.isClosed) store.jobs.drive(() => store.isReleased);
      return;
    }
    this.#closing = Promise.resolve();
    this.#handle.end();
    detachSync(store);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  [Symbol.dispose](): void {
    this.closeSync();
  }

  async #close(): Promise<void> {
    this.#handle.end();
    await detach(this.#handle.store);
  }

  #run<T>(task: Task<T>): Promise<T> {
    return runTask(this.#handle.store.jobs, task);
  }

  *#syncing(): Task<void> {
    this.#handle.requireOpen("sync");
    const { store } = this.#handle;
    if (store.readOnly) return;
    store.health.requireSound("sync");
    const barrier = store.pipeline.requestBarrier(true);
    yield barrier;
    if (barrier.error !== undefined) throw barrier.error;
  }

  *#dropping(name: string): Task<void> {
    this.#handle.requireOpen("drop a column family");
    validateFamilyName(name);
    if (name === DEFAULT_FAMILY) {
      throw invalidArgument(`Cannot drop column family ${quote(name)}: every store has it`);
    }
    yield* this.#handle.store.dropFamily(name);
  }

  #newBatch(): WriteBatch {
    return new WriteBatch(this.target, ColumnFamily.targetOf);
  }

  #familyOptions(name: unknown, options: unknown): ResolvedFamilyOptions {
    this.#handle.requireOpen("open a column family");
    const { columnFamilies, familyDefaults } = this.#options;
    const base = columnFamilies.get(validateFamilyName(name)) ?? familyDefaults;
    return validateColumnFamilyOptions(options, base);
  }

  #openFamily(name: string, options: ResolvedFamilyOptions): Task<Family> {
    return this.#handle.store.openFamily(name, options, operatorName(options.mergeOperator));
  }

  #familyHandle(
    family: Family,
    { keyEncoding, valueEncoding, mergeOperator }: ResolvedFamilyOptions,
  ): unknown {
    return new ColumnFamily(
      this.#handle,
      family,
      resolveKeyEncoding(keyEncoding),
      resolveValueEncoding(valueEncoding),
      mergeOperator,
    );
  }
}

/** What `open` says of the default family's merge operator goes on record, or is refused. */
function* agreeOnDefault(store: OpenStore, { columnFamilies }: ResolvedOptions): Task<void> {
  const options = columnFamilies.get(DEFAULT_FAMILY)!;
  const operator = operatorName(options.mergeOperator);
  if (operator !== undefined) yield* store.openFamily(DEFAULT_FAMILY, options, operator);
}

function checkListener(name: unknown, listener: unknown): void {
  if (!EVENT_NAMES.includes(name as EventName)) {
    throw invalidArgument(
      `Cannot listen to ${quote(name)}: takes one of ${EVENT_NAMES.join(", ")}`,
    );
  }
  if (typeof listener !== "function") {
    throw invalidArgument(`Cannot listen with ${quote(listener)}: takes a function`);
  }
}
