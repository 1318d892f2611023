/** Column families: the ordered maps that a store consists of. Every call checks its arguments before anything happens. */
import { invalidArgument, quote, unsupported } from "../base/errors.ts";
import { runTask, type Task } from "../native/task.ts";
import type { Page } from "../read/cursor.ts";
import { WOULD_BLOCK } from "../read/point_reader.ts";
import type { Family } from "../tree/family.ts";
import { rangeSpan } from "../tree/key_span.ts";
import type { Encoding } from "./encodings/encoding.ts";
import type { Handle } from "./handle.ts";
import { Iteration, type RowDecoder, View } from "./iteration.ts";
import {
  type PutOptions,
  type ReadOptions,
  validatePutOptions,
  validateReadOptions,
  validateWriteOptions,
  type WriteOptions,
} from "./options.ts";
import { type KeyRange, type Range, resolveRange } from "./range.ts";
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

  /** Use `db.columnFamily(name)`. */
  constructor(
    handle: Handle,
    family: Family,
    keyEncoding: Encoding<K, KeyOut>,
    valueEncoding: Encoding<V, ValueOut>,
  ) {
    this.#handle = handle;
    this.#family = family;
    this.#keyEncoding = keyEncoding;
    this.#valueEncoding = valueEncoding;
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
      const sequence = this.#sequence(options, "get");
      return abortable(this.#read(key, sequence), signal);
    });
  }

  /** As `get`, blocking the thread. */
  getSync(key: K, options?: ReadOptions): ValueOut | undefined {
    const sequence = this.#sequence(options, "get");
    const prepared = this.#keyEncoding.prepare(key);
    return this.#handle.reader.get(this.#family, prepared, sequence, this.#valueEncoding);
  }

  /** The values of several keys at one moment, in the order of the keys; `undefined` for missing ones. */
  getMany(keys: readonly K[], options?: ReadOptions): Promise<(ValueOut | undefined)[]> {
    return promised(() => {
      const { signal } = validateReadOptions(options);
      signal?.throwIfAborted();
      const sequence = this.#sequence(options, "get");
      const reads = requireArray(keys).map((key) => this.#read(key, sequence));
      return abortable(Promise.all(reads), signal);
    });
  }

  /** As `getMany`, blocking the thread. */
  getManySync(keys: readonly K[], options?: ReadOptions): (ValueOut | undefined)[] {
    const sequence = this.#sequence(options, "get");
    return requireArray(keys).map((key) =>
      this.#handle.reader.get(
        this.#family,
        this.#keyEncoding.prepare(key),
        sequence,
        this.#valueEncoding,
      )
    );
  }

  /** Whether a key has a value. */
  has(key: K, options?: ReadOptions): Promise<boolean> {
    return promised(async () => {
      const { signal } = validateReadOptions(options);
      signal?.throwIfAborted();
      const sequence = this.#sequence(options, "look up");
      const found = this.#readWith(this.#keyEncoding.prepare(key), sequence, PRESENCE);
      return await abortable(Promise.resolve(found), signal) === true;
    });
  }

  /** As `has`, blocking the thread. */
  hasSync(key: K, options?: ReadOptions): boolean {
    const sequence = this.#sequence(options, "look up");
    const prepared = this.#keyEncoding.prepare(key);
    return this.#handle.reader.get(this.#family, prepared, sequence, PRESENCE) === true;
  }

  /** Sets a key. Resolves when the write's durability is kept and every reader sees it. */
  put(key: K, value: V, options?: PutOptions): Promise<void> {
    try {
      const { durability, signal, ttl, transfer } = validatePutOptions(
        options,
        this.#handle.durability,
      );
      if (signal !== undefined) signal.throwIfAborted();
      if (ttl !== undefined || transfer) refuse(transfer ? "transfer" : "ttl");
      this.#requireWritable("put");
      const promise = this.#handle.writer.put(
        this.#family.id,
        this.#keyEncoding.prepare(key),
        this.#valueEncoding.prepare(value),
        durability,
      );
      return signal === undefined ? promise : abortable(promise, signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** As `put`, blocking the thread. */
  putSync(key: K, value: V, options?: PutOptions): void {
    const { durability, ttl, transfer } = validatePutOptions(options, this.#handle.durability);
    if (ttl !== undefined || transfer) refuse(transfer ? "transfer" : "ttl");
    this.#requireWritable("put");
    this.#handle.writer.putSync(
      this.#family.id,
      this.#keyEncoding.prepare(key),
      this.#valueEncoding.prepare(value),
      durability,
    );
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

  /** Not there yet: rejects with `ERR_UNSUPPORTED`. */
  deleteRange(_range: KeyRange<K>, _options?: WriteOptions): Promise<void> {
    return Promise.reject(noRangeTombstones());
  }

  /** Not there yet: throws `ERR_UNSUPPORTED`. */
  deleteRangeSync(_range: KeyRange<K>, _options?: WriteOptions): void {
    throw noRangeTombstones();
  }

  /** Not there yet: rejects with `ERR_UNSUPPORTED`. */
  merge(_key: K, _operand: V, _options?: WriteOptions): Promise<void> {
    return Promise.reject(noMergeOperators());
  }

  /** Not there yet: throws `ERR_UNSUPPORTED`. */
  mergeSync(_key: K, _operand: V, _options?: WriteOptions): void {
    throw noMergeOperators();
  }

  /** The entries of a range in key order, as `[key, value]`. For `for` and for `for await`. */
  entries(range?: Range<K>): Iteration<[KeyOut, ValueOut]> {
    const key = this.#keyEncoding;
    const value = this.#valueEncoding;
    return this.#iterate(range, false, {
      decode: (page, index) => [key.decode(page.key(index)), value.decode(page.value(index))],
    });
  }

  /** The keys of a range in order. */
  keys(range?: Range<K>): Iteration<KeyOut> {
    const key = this.#keyEncoding;
    return this.#iterate(range, true, { decode: (page, index) => key.decode(page.key(index)) });
  }

  /** The values of a range in key order. */
  values(range?: Range<K>): Iteration<ValueOut> {
    const value = this.#valueEncoding;
    return this.#iterate(range, false, {
      decode: (page, index) => value.decode(page.value(index)),
    });
  }

  /** How many keys a range holds; `limit` counts too. Reads them all. */
  count(range?: Range<K>): Promise<number> {
    return promised(() => {
      const resolved = resolveRange(range, this.#keyEncoding);
      resolved.signal?.throwIfAborted();
      const view = new View(this.#handle, this.#family, resolved, true);
      const counting = runTask(this.#handle.store.jobs, countRows(view));
      return abortable(counting, resolved.signal);
    });
  }

  /** As `count`, blocking the thread. */
  countSync(range?: Range<K>): number {
    const resolved = resolveRange(range, this.#keyEncoding);
    const view = new View(this.#handle, this.#family, resolved, true);
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

  /** Not there yet: rejects with `ERR_UNSUPPORTED`. */
  approximateSize(_range?: Range<K>): Promise<number> {
    return Promise.reject(unsupported("Cannot estimate a size: this version does not"));
  }

  /** As `entries`, undecoded and up to 64 KiB at a time: for whoever wants to see many entries fast. */
  pages(range?: Range<K>): Iteration<Page> {
    return this.#iterate(range, false, { wholePages: true, decode: (page) => page });
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
    };
  }

  /** The target behind a public object, or `undefined` if it is no column family. */
  static targetOf(value: unknown): BatchTarget | undefined {
    return value instanceof ColumnFamily ? value.target : undefined;
  }

  #sequence(options: ReadOptions | undefined, attempt: string): number {
    this.#handle.requireFamily(this.#family, attempt);
    const { store } = this.#handle;
    if (options === undefined) return store.visibility.visible;
    const { snapshot } = validateReadOptions(options);
    return snapshot === undefined
      ? store.visibility.visible
      : Snapshot.sequenceOf(snapshot, store, attempt);
  }

  #requireWritable(attempt: string): void {
    this.#handle.requireFamily(this.#family, attempt);
    this.#handle.store.requireWritable(attempt);
  }

  async #read(key: K, sequence: number): Promise<ValueOut | undefined> {
    return await this.#readWith(this.#keyEncoding.prepare(key), sequence, this.#valueEncoding);
  }

  /** Answers at once from memory, or goes to the disk with a copy of the key. */
  #readWith<T>(
    key: Uint8Array | string,
    sequence: number,
    decoder: { readonly keepsBytes: boolean; decode(bytes: Uint8Array): T },
  ): T | undefined | Promise<T | undefined> {
    const { reader, store } = this.#handle;
    const cached = reader.getCached(this.#family, key, sequence, decoder);
    if (cached !== WOULD_BLOCK) return cached;
    const kept = typeof key === "string" ? key : key.slice();
    return runTask(store.jobs, this.#readFromDisk(kept, sequence, decoder));
  }

  *#readFromDisk<T>(
    key: Uint8Array | string,
    sequence: number,
    decoder: { readonly keepsBytes: boolean; decode(bytes: Uint8Array): T },
  ): Task<T | undefined> {
    const { reader, store } = this.#handle;
    // A flush that begins while the thread reads must keep what this read may see.
    store.snapshots.hold(sequence);
    try {
      for (;;) {
        const found = yield* reader.getFromDisk(this.#family, key, sequence, decoder);
        if (found !== WOULD_BLOCK) return found;
        this.#handle.requireFamily(this.#family, "get");
        const cached = reader.getCached(this.#family, key, sequence, decoder);
        if (cached !== WOULD_BLOCK) return cached;
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
    return new Iteration(this.#handle, this.#family, resolved, keysOnly, decoder);
  }
}

function* countRows(view: View): Task<number> {
  try {
    let count = 0;
    while (view.cursor !== undefined) {
      view.requireLive();
      const page = yield* view.cursor.nextTask();
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

function refuse(option: "ttl" | "transfer"): never {
  throw unsupported(`Cannot put with ${option}: this version does not support it`);
}

function noRangeTombstones(): Error {
  return unsupported("Cannot delete a range: this version has no range tombstones");
}

function noMergeOperators(): Error {
  return unsupported("Cannot merge: this version has no merge operators");
}
