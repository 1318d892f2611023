/** Column families: the ordered maps that a store consists of. Every call checks its arguments before anything happens. */
import { compareBytes, encodeUtf8 } from "../base/bytes.ts";
import { largeBytes } from "../commit/writer.ts";
import { invalidArgument, quote } from "../base/errors.ts";
import { runTask, runTasksSync, type Task } from "../native/task.ts";
import { approximateSize } from "../read/approximate_size.ts";
import type { CursorOptions } from "../read/cursor.ts";
import { foldStack, type Merging } from "../read/merging.ts";
import type { Page } from "../read/page.ts";
import { LargeValue, type Pending, WOULD_BLOCK, WOULD_WALK } from "../read/pending.ts";
import { NOT_SAMPLED, type ReadTarget } from "../read/point_reader.ts";
import type { Family } from "../tree/family.ts";
import { rangeSpan } from "../tree/key_span.ts";
import type { Encoding } from "./encodings/encoding.ts";
import { requireInt64 } from "./encodings/int64.ts";
import type { Handle } from "./handle.ts";
import { mergingOf, requireOperator } from "./merging.ts";
import { Iteration, type RowDecoder, View } from "./iteration.ts";
import {
  type Durability,
  type MergeOperator,
  type PutOptions,
  type ReadOptions,
  validatePutOptions,
  validateReadOptions,
  validateWriteOptions,
  type WriteOptions,
} from "./options.ts";
import { type KeyRange, type Range, resolveDeleteRange, resolveRange } from "./range.ts";
import { abortable, promised } from "./signals.ts";
import { Snapshot } from "./snapshot.ts";
import type { BatchTarget } from "./write_batch.ts";

/** Tells a found value from a missing one without decoding it. */
const PRESENCE = { keepsBytes: false, decode: (): true => true };

/**
 * An ordered map from keys to values. `K` and `V` are what goes in, `KeyOut` and `ValueOut` what comes back.
 * Keys are ordered by their encoded bytes. Methods without `Sync` return promises and never throw in the call;
 * their `Sync` twins block the thread.
 *
 * Every method throws (or rejects with) a `VarveError`: `ERR_CLOSED` after `close`, `ERR_COLUMN_FAMILY_DROPPED` after a drop,
 * `ERR_INVALID_ARGUMENT` and `ERR_TOO_LARGE` for arguments, `ERR_IO`, `ERR_NO_SPACE` and `ERR_CORRUPTION` for the disk.
 */
export class ColumnFamily<K, V, KeyOut = K, ValueOut = V> {
  readonly #handle: Handle;
  readonly #family: Family;
  readonly #keyEncoding: Encoding<K, KeyOut>;
  readonly #valueEncoding: Encoding<V, ValueOut>;
  readonly #merging: Merging;
  /** How `get` reads, and how `has` does. */
  readonly #values: ReadTarget<ValueOut>;
  readonly #presence: ReadTarget<true>;

  /** Use `db.columnFamily(name)`. */
  constructor(
    handle: Handle,
    family: Family,
    keyEncoding: Encoding<K, KeyOut>,
    valueEncoding: Encoding<V, ValueOut>,
    mergeOperator: MergeOperator<unknown, unknown> | undefined,
  ) {
    this.#handle = handle;
    this.#family = family;
    this.#keyEncoding = keyEncoding;
    this.#valueEncoding = valueEncoding;
    const merging = this.#merging = mergingOf(mergeOperator, keyEncoding, valueEncoding);
    handle.store.foundation.folding.offer(family.id, merging);
    this.#values = { family, decoder: valueEncoding, merging, keysOnly: false };
    this.#presence = { family, decoder: PRESENCE, merging, keysOnly: true };
  }

  /** The family's name. */
  get name(): string {
    return this.#family.name;
  }

  /** The value of a key, or `undefined`. */
  get(key: K, options?: ReadOptions): Promise<ValueOut | undefined> {
    return promised(() => {
      const { signal } = validateReadOptions(options);
      signal?.throwIfAborted();
      const snapshot = this.#snapshot(options, "get");
      const sequence = this.#sequence(snapshot);
      return abortable(this.#read(key, sequence, snapshot?.time), signal);
    });
  }

  /** As `get`, blocking the thread. */
  getSync(key: K, options?: ReadOptions): ValueOut | undefined {
    const snapshot = this.#snapshot(options, "get");
    const sequence = this.#sequence(snapshot);
    const prepared = this.#keyEncoding.prepare(key);
    return this.#handle.reader.get(this.#values, prepared, sequence, snapshot?.time);
  }

  /** The values of several keys at one moment, in the order of the keys; `undefined` for missing ones. */
  getMany(keys: readonly K[], options?: ReadOptions): Promise<(ValueOut | undefined)[]> {
    return promised(() => {
      const { signal } = validateReadOptions(options);
      signal?.throwIfAborted();
      const snapshot = this.#snapshot(options, "get");
      const time = snapshot?.time ?? this.#handle.store.clock.now();
      const { values, tasks } = this.#readMany(keys, this.#sequence(snapshot), time);
      const { jobs } = this.#handle.store;
      const reads = Promise.all(tasks.map((task) => runTask(jobs, task)));
      return abortable(reads.then(() => values), signal);
    });
  }

  /** As `getMany`, blocking the thread. */
  getManySync(keys: readonly K[], options?: ReadOptions): (ValueOut | undefined)[] {
    const snapshot = this.#snapshot(options, "get");
    const time = snapshot?.time ?? this.#handle.store.clock.now();
    const { values, tasks } = this.#readMany(keys, this.#sequence(snapshot), time);
    runTasksSync(this.#handle.store.jobs, tasks);
    return values;
  }

  /** Whether a key has a value. A merge operator is not asked. */
  has(key: K, options?: ReadOptions): Promise<boolean> {
    return promised(async () => {
      const { signal } = validateReadOptions(options);
      signal?.throwIfAborted();
      const snapshot = this.#snapshot(options, "look up");
      const sequence = this.#sequence(snapshot);
      const prepared = this.#keyEncoding.prepare(key);
      const found = this.#readWith(this.#presence, prepared, sequence, snapshot?.time);
      return await abortable(Promise.resolve(found), signal) === true;
    });
  }

  /** As `has`, blocking the thread. */
  hasSync(key: K, options?: ReadOptions): boolean {
    const snapshot = this.#snapshot(options, "look up");
    const sequence = this.#sequence(snapshot);
    const prepared = this.#keyEncoding.prepare(key);
    return this.#handle.reader.get(this.#presence, prepared, sequence, snapshot?.time) === true;
  }

  /**
   * Sets a key. Resolves when the write's durability is kept and every reader sees it. With `ttl` the entry acts as a delete from
   * so many milliseconds after the call on, judged at the time of the read, or of the snapshot or iterator that it reads from.
   */
  put(key: K, value: V, options?: PutOptions): Promise<void> {
    try {
      const { durability, signal, ttl, transfer } = validatePutOptions(
        options,
        this.#handle.durability,
      );
      if (signal !== undefined) signal.throwIfAborted();
      this.#requireWritable("put");
      const promise = this.#put(key, value, durability, ttl, transfer);
      return signal === undefined ? promise : abortable(promise, signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** As `put`, blocking the thread. */
  putSync(key: K, value: V, options?: PutOptions): void {
    const { durability, ttl, transfer } = validatePutOptions(options, this.#handle.durability);
    this.#requireWritable("put");
    const { writer } = this.#handle;
    const { id } = this.#family;
    const preparedKey = this.#keyEncoding.prepare(key);
    const prepared = this.#prepareValue(value);
    const expiry = this.#expiryOf(ttl);
    const handed = transfer ? this.#requireAllocated(prepared) : undefined;
    const bytes = largeBytes(prepared, this.#family.tuning.blobThreshold);
    if (bytes > 0) {
      const handover = handed && (() => this.#handle.allocations.take(handed)!);
      writer.putLargeSync(id, preparedKey, prepared, bytes, durability, expiry, handover);
    } else {
      writer.putSync(id, preparedKey, prepared, durability, expiry);
      if (handed !== undefined) this.#handle.allocations.release(handed);
    }
  }

  /** Removes a key; one that is not there is fine. */
  delete(key: K, options?: WriteOptions): Promise<void> {
    return promised(() => {
      const { durability, signal } = validateWriteOptions(options, this.#handle.durability);
      signal?.throwIfAborted();
      this.#requireWritable("delete");
      const prepared = this.#keyEncoding.prepare(key);
      const promise = this.#handle.writer.delete(this.#family.id, prepared, durability);
      return abortable(promise, signal);
    });
  }

  /** As `delete`, blocking the thread. */
  deleteSync(key: K, options?: WriteOptions): void {
    const { durability } = validateWriteOptions(options, this.#handle.durability);
    this.#requireWritable("delete");
    this.#handle.writer.deleteSync(this.#family.id, this.#keyEncoding.prepare(key), durability);
  }

  /**
   * Removes every key of a range by one tombstone, whatever their number: `{}` is the whole family. A range that is empty or
   * inverted removes nothing.
   *
   * @throws {VarveError} `ERR_INVALID_ARGUMENT` also for a member that is no bound: a misspelt one would remove too much
   */
  deleteRange(range: KeyRange<K>, options?: WriteOptions): Promise<void> {
    return promised(() => {
      const { durability, signal } = validateWriteOptions(options, this.#handle.durability);
      signal?.throwIfAborted();
      this.#requireWritable("delete a range");
      const bounds = resolveDeleteRange(range, this.#keyEncoding);
      const promise = this.#handle.writer.deleteRange(this.#family.id, bounds, durability);
      return abortable(promise, signal);
    });
  }

  /** As `deleteRange`, blocking the thread. */
  deleteRangeSync(range: KeyRange<K>, options?: WriteOptions): void {
    const { durability } = validateWriteOptions(options, this.#handle.durability);
    this.#requireWritable("delete a range");
    const bounds = resolveDeleteRange(range, this.#keyEncoding);
    this.#handle.writer.deleteRangeSync(this.#family.id, bounds, durability);
  }

  /**
   * Applies an operand to a key's value by the family's `mergeOperator`, without reading it: operands are folded, oldest first, when
   * the key is read. After a delete, a range delete or an expiry they apply to no value.
   *
   * @throws {VarveError} `ERR_UNSUPPORTED` when the family was opened without a merge operator
   */
  merge(key: K, operand: V, options?: WriteOptions): Promise<void> {
    return promised(() => {
      const { durability, signal } = validateWriteOptions(options, this.#handle.durability);
      signal?.throwIfAborted();
      this.#requireWritable("merge");
      requireOperator(this.#merging, this.#family.name);
      const prepared = this.#keyEncoding.prepare(key);
      const promise = this.#handle.writer.merge(
        this.#family.id,
        prepared,
        this.#prepareValue(operand),
        durability,
      );
      return abortable(promise, signal);
    });
  }

  /** As `merge`, blocking the thread. */
  mergeSync(key: K, operand: V, options?: WriteOptions): void {
    const { durability } = validateWriteOptions(options, this.#handle.durability);
    this.#requireWritable("merge");
    requireOperator(this.#merging, this.#family.name);
    const prepared = this.#keyEncoding.prepare(key);
    const value = this.#prepareValue(operand);
    this.#handle.writer.mergeSync(this.#family.id, prepared, value, durability);
  }

  /** The entries of a range in key order, as `[key, value]`. For `for` and for `for await`. */
  entries(range?: Range<K>): Iteration<[KeyOut, ValueOut]> {
    const key = this.#keyEncoding;
    return this.#iterate(range, false, {
      decode: (page, index) => {
        const keyBytes = page.key(index);
        const stackKey = page.isStack(index) ? page.key(index) : undefined;
        const valueBytes = page.value(index);
        const decodedKey = key.decode(keyBytes);
        return [decodedKey, this.#decodeValue(stackKey, valueBytes)];
      },
    });
  }

  /** The keys of a range in order. */
  keys(range?: Range<K>): Iteration<KeyOut> {
    const key = this.#keyEncoding;
    return this.#iterate(range, true, { decode: (page, index) => key.decode(page.key(index)) });
  }

  /** The values of a range in key order. */
  values(range?: Range<K>): Iteration<ValueOut> {
    return this.#iterate(range, false, {
      decode: (page, index) => {
        const stackKey = page.isStack(index) ? page.key(index) : undefined;
        return this.#decodeValue(stackKey, page.value(index));
      },
    });
  }

  /** How many keys a range holds; `limit` counts too. Reads them all. */
  count(range?: Range<K>): Promise<number> {
    return promised(() => {
      const resolved = resolveRange(range, this.#keyEncoding);
      resolved.signal?.throwIfAborted();
      const view = new View(this.#handle, this.#family, resolved, this.#rows(true));
      const counting = runTask(this.#handle.store.jobs, countRows(view));
      return abortable(counting, resolved.signal);
    });
  }

  /** As `count`, blocking the thread. */
  countSync(range?: Range<K>): number {
    const resolved = resolveRange(range, this.#keyEncoding);
    const view = new View(this.#handle, this.#family, resolved, this.#rows(true));
    try {
      let count = 0;
      for (let page = view.cursor?.next(); page !== undefined; page = view.cursor?.next()) {
        count += page.count;
      }
      return count;
    } finally {
      view.close();
    }
  }

  /**
   * About how many bytes a range takes: its share of the table files, to whole blocks, and of the keys and values in memory,
   * which is estimated from a sample where there are many. Old versions and deletes that are not compacted yet count. Reads
   * nothing from the disk; `reverse`, `limit` and `snapshot` make no difference.
   */
  approximateSize(range?: Range<K>): Promise<number> {
    return promised(() => {
      const { lower, upper, empty, signal } = resolveRange(range, this.#keyEncoding);
      signal?.throwIfAborted();
      this.#handle.requireFamily(this.#family, "estimate a size");
      const { context } = this.#handle.store;
      return Promise.resolve(empty ? 0 : approximateSize(this.#family, context, lower, upper));
    });
  }

  /** As `entries`, undecoded and up to 64 KiB at a time: for whoever wants to see many entries fast. */
  pages(range?: Range<K>): Iteration<Page> {
    return this.#iterate(range, false, {
      wholePages: true,
      decode: (page) => page.copy().allFolded(this.#merging),
    });
  }

  /**
   * A full compaction of the family: its memtables to tables, and the tables that touch the range into one sorted run, without what
   * nobody can see any more.
   */
  compact(range?: KeyRange<K>): Promise<void> {
    return promised(() => {
      this.#handle.requireFamily(this.#family, "compact");
      const { lower, upper, empty } = resolveRange(range, this.#keyEncoding);
      if (empty) return Promise.resolve();
      const { store } = this.#handle;
      return runTask(store.jobs, store.compact([this.#family], rangeSpan(lower, upper)));
    });
  }

  /** Where batches send their operations on this family. */
  protected get target(): BatchTarget {
    return {
      handle: this.#handle,
      family: this.#family,
      keyEncoding: this.#keyEncoding as unknown as Encoding<never, unknown>,
      valueEncoding: this.#valueEncoding as unknown as Encoding<never, unknown>,
      merging: this.#merging,
    };
  }

  /** The target behind a public object, or `undefined` if it is no column family. */
  static targetOf(value: unknown): BatchTarget | undefined {
    return value instanceof ColumnFamily ? value.target : undefined;
  }

  #put(
    key: K,
    value: V,
    durability: Durability,
    ttl: number | undefined,
    transfer: boolean,
  ): Promise<void> {
    const { writer, allocations } = this.#handle;
    const { id, tuning } = this.#family;
    const preparedKey = this.#keyEncoding.prepare(key);
    const prepared = this.#prepareValue(value);
    const expiry = this.#expiryOf(ttl);
    const handed = transfer ? this.#requireAllocated(prepared) : undefined;
    const bytes = largeBytes(prepared, tuning.blobThreshold);
    if (bytes > 0) {
      const handover = handed && (() => allocations.take(handed)!);
      return writer.putLarge(id, preparedKey, prepared, bytes, durability, expiry, handover);
    }
    const promise = writer.put(id, preparedKey, prepared, durability, expiry);
    // It was copied, as any small value is.
    if (handed !== undefined) allocations.release(handed);
    return promise;
  }

  #requireAllocated(value: Uint8Array | string): Uint8Array {
    return this.#handle.allocations.require(value, "transfer");
  }

  #expiryOf(ttl: number | undefined): number | undefined {
    return ttl === undefined ? undefined : this.#handle.store.clock.expiryOf(ttl);
  }

  #snapshot(options: ReadOptions | undefined, attempt: string): Snapshot | undefined {
    this.#handle.requireFamily(this.#family, attempt);
    if (options === undefined) return undefined;
    const { snapshot } = validateReadOptions(options);
    return snapshot && Snapshot.of(snapshot, this.#handle.store, attempt);
  }

  #sequence(snapshot: Snapshot | undefined): number {
    return snapshot === undefined ? this.#handle.store.visibility.visible : snapshot.sequence;
  }

  /** A value, or an operand, as it is written. */
  #prepareValue(value: V): Uint8Array | string {
    const prepared = this.#valueEncoding.prepare(value);
    if (this.#family.holdsIntegers) requireInt64(prepared, this.#family.name);
    return prepared;
  }

  /** `stackKey`: the key of a value that is a merge chain yet to be folded. */
  #decodeValue(stackKey: Uint8Array | undefined, value: Uint8Array): ValueOut {
    const folded = stackKey === undefined ? value : foldStack(this.#merging, stackKey, value);
    return this.#valueEncoding.decode(folded);
  }

  #rows(keysOnly: boolean): CursorOptions {
    return { keysOnly, mergeOperator: this.#merging.kind };
  }

  #requireWritable(attempt: string): void {
    this.#handle.requireFamily(this.#family, attempt);
    this.#handle.store.requireWritable(attempt);
  }

  async #read(
    key: K,
    sequence: number,
    time: number | undefined,
  ): Promise<ValueOut | undefined> {
    return await this.#readWith(this.#values, this.#keyEncoding.prepare(key), sequence, time);
  }

  /** Answers at once from memory, or goes to the disk with a copy of the key. */
  #readWith<T>(
    target: ReadTarget<T>,
    key: Uint8Array | string,
    sequence: number,
    time: number | undefined,
  ): T | undefined | Promise<T | undefined> {
    const { reader, store } = this.#handle;
    const started = reader.sampleStart();
    const cached = reader.getCached(target, key, sequence, time);
    if (!isPending(cached)) {
      if (started !== NOT_SAMPLED) reader.latency.record(performance.now() - started);
      return cached;
    }
    const kept = typeof key === "string" ? key : new Uint8Array(key);
    const read = runTask(store.jobs, this.#readFromDisk(cached, target, kept, sequence, time));
    return started === NOT_SAMPLED ? read : read.then((value) => {
      reader.latency.record(performance.now() - started);
      return value;
    });
  }

  /** What memory answers, and a task for each of the rest, in the order of their keys, that fills in its value. */
  #readMany(
    keys: readonly K[],
    sequence: number,
    time: number,
  ): { values: (ValueOut | undefined)[]; tasks: Task<void>[] } {
    const missing: { index: number; key: Uint8Array; pending: Pending }[] = [];
    const values = requireArray(keys).map((key, index) => {
      const prepared = this.#keyEncoding.prepare(key);
      const { reader } = this.#handle;
      const found = reader.getCached(this.#values, prepared, sequence, time);
      if (!isPending(found)) return found;
      const kept = typeof prepared === "string" ? encodeUtf8(prepared) : new Uint8Array(prepared);
      missing.push({ index, key: kept, pending: found });
      return undefined;
    });
    missing.sort((left, right) => compareBytes(left.key, right.key));
    const target = this.#values;
    const read = function* (this: ColumnFamily<K, V, KeyOut, ValueOut>, at: number): Task<void> {
      const { index, key, pending } = missing[at];
      values[index] = yield* this.#readFromDisk(pending, target, key, sequence, time);
    };
    return { values, tasks: missing.map((_, at) => read.call(this, at)) };
  }

  *#readFromDisk<T>(
    pending: Pending,
    target: ReadTarget<T>,
    key: Uint8Array | string,
    sequence: number,
    time: number | undefined,
  ): Task<T | undefined> {
    const { reader, store } = this.#handle;
    // A flush that begins while the thread reads must keep what this read may see.
    store.snapshots.hold(sequence);
    try {
      for (let next = pending;;) {
        const found = yield* reader.getFromDisk(next, target, key, sequence, time);
        if (!isPending(found)) return found;
        this.#handle.requireFamily(this.#family, "get");
        // To look again would ask for blocks that the cache may not have kept.
        const again = found === WOULD_BLOCK ? reader.getCached(target, key, sequence, time) : found;
        if (!isPending(again)) return again;
        next = again;
      }
    } finally {
      store.snapshots.release(sequence);
    }
  }

  #iterate<T>(
    range: Range<K> | undefined,
    keysOnly: boolean,
    decoder: RowDecoder<T>,
  ): Iteration<T> {
    this.#handle.requireFamily(this.#family, "iterate");
    const resolved = resolveRange(range, this.#keyEncoding);
    return new Iteration(this.#handle, this.#family, resolved, this.#rows(keysOnly), decoder);
  }
}

function* countRows(view: View): Task<number> {
  try {
    let count = 0;
    while (view.cursor !== undefined) {
      view.requireLive();
      const page = yield* view.cursor.nextTask();
      view.requireLive();
      if (page === undefined) break;
      count += page.count;
    }
    return count;
  } finally {
    view.close();
  }
}

function requireArray<T>(keys: readonly T[]): readonly T[] {
  if (Array.isArray(keys)) return keys;
  throw invalidArgument(`Cannot get ${quote(keys)}: takes an array of keys`);
}

function isPending<T>(found: T | Pending): found is Pending {
  return found === WOULD_BLOCK || found === WOULD_WALK || found instanceof LargeValue;
}
