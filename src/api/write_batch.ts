/** Batches: operations on any column families of a store that take effect together or not at all. */
import { encodeUtf8 } from "../base/bytes.ts";
import { closed, invalidArgument, quote, tooLarge } from "../base/errors.ts";
import { encodeEntry, entryBytesMax } from "../format/log_entry.ts";
import { type EncodedEntries, largeBytes, type LargeEntry, NO_ADDRESS } from "../commit/writer.ts";
import { BlobAddress, EntryType } from "../native/layout.gen.ts";
import type { Merging } from "../read/merging.ts";
import type { Family } from "../tree/family.ts";
import type { Encoding } from "./encodings/encoding.ts";
import { requireInt64 } from "./encodings/int64.ts";
import type { Handle } from "./handle.ts";
import { requireOperator } from "./merging.ts";
import { validateWriteOptions, type WriteOptions } from "./options.ts";
import { type KeyRange, resolveDeleteRange } from "./range.ts";
import { abortable, promised } from "./signals.ts";

/** Encoded bytes of one batch. */
const BATCH_BYTES_MAX = 2 ** 30;
const FIRST_CAPACITY = 1024;
const NO_VALUE = "";

/** A family as a batch sees it: where an operation goes, and how its key and value are encoded. */
export interface BatchTarget {
  readonly handle: Handle;
  readonly family: Family;
  readonly keyEncoding: Encoding<never, unknown>;
  readonly valueEncoding: Encoding<never, unknown>;
  readonly merging: Merging;
}

/** Finds the target behind a public `ColumnFamily`, or `undefined` for anything else. */
export type TargetOf = (value: unknown) => BatchTarget | undefined;

/**
 * Collects operations and writes them as one: one log record over all families, one moment of visibility. Keys and values are
 * taken as they are when each call is made. Operations act in the order of the calls.
 *
 * @example
 * ```ts
 * await db.batch().put("a", "1").put(users, "2", { name: "Bob" }).delete(users, "1").write();
 * ```
 */
export class WriteBatch {
  readonly #default: BatchTarget;
  readonly #targetOf: TargetOf;
  readonly #families = new Set<Family>();
  #bytes = new Uint8Array(new ArrayBuffer(FIRST_CAPACITY));
  #words = new Uint32Array(this.#bytes.buffer);
  #used = 0;
  /** Values of blob segments, copied, and their bytes. */
  readonly #large: LargeEntry[] = [];
  #largeBytes = 0;
  #entryCount = 0;
  #written = false;

  /** Use `db.batch()`. */
  constructor(defaultTarget: BatchTarget, targetOf: TargetOf) {
    this.#default = defaultTarget;
    this.#targetOf = targetOf;
  }

  /** How many operations the batch holds. */
  get length(): number {
    return this.#entryCount;
  }

  /** Sets a key, in the default family or in the one given first. */
  put(key: unknown, value: unknown): this;
  put(columnFamily: object, key: unknown, value: unknown): this;
  put(...parameters: unknown[]): this {
    const [target, key, value] = this.#resolve(parameters, 2, "put");
    this.#requireUnwritten("put");
    const { family, keyEncoding } = target;
    const preparedKey = keyEncoding.prepare(key as never);
    const prepared = prepareValue(target, value);
    const bytes = largeBytes(prepared, family.tuning.blobThreshold);
    if (bytes > 0) return this.#addLarge(target, preparedKey, prepared, bytes);
    return this.#add(EntryType.put, target, preparedKey, prepared);
  }

  /** Removes a key, from the default family or from the one given first. */
  delete(key: unknown): this;
  delete(columnFamily: object, key: unknown): this;
  delete(...parameters: unknown[]): this {
    const [target, key] = this.#resolve(parameters, 1, "delete");
    this.#requireUnwritten("delete");
    return this.#add(EntryType.delete, target, target.keyEncoding.prepare(key as never), NO_VALUE);
  }

  /** Removes a range of keys, from the default family or from the one given first. An empty range adds nothing. */
  deleteRange(range: KeyRange<unknown>): this;
  deleteRange(columnFamily: object, range: KeyRange<unknown>): this;
  deleteRange(...parameters: unknown[]): this {
    const [target, range] = this.#resolve(parameters, 1, "delete a range");
    this.#requireUnwritten("delete a range");
    const { lower, upper, empty } = resolveDeleteRange(
      range as KeyRange<never>,
      target.keyEncoding,
    );
    target.handle.requireFamily(target.family, "add to a batch");
    return empty ? this : this.#add(EntryType.deleteRange, target, lower, upper ?? NO_VALUE);
  }

  /**
   * Applies an operand to a key's value, in the default family or in the one given first.
   *
   * @throws {VarveError} `ERR_UNSUPPORTED` when the family was opened without a merge operator
   */
  merge(key: unknown, operand: unknown): this;
  merge(columnFamily: object, key: unknown, operand: unknown): this;
  merge(...parameters: unknown[]): this {
    const [target, key, operand] = this.#resolve(parameters, 2, "merge");
    this.#requireUnwritten("merge");
    requireOperator(target.merging, target.family.name);
    const preparedKey = target.keyEncoding.prepare(key as never);
    return this.#add(EntryType.merge, target, preparedKey, prepareValue(target, operand));
  }

  /**
   * Writes the batch and uses it up. Resolves when its durability is kept.
   *
   * @throws {VarveError} `ERR_CLOSED` when it was written before, `ERR_COLUMN_FAMILY_DROPPED`, `ERR_NO_SPACE`, `ERR_IO`
   */
  write(options?: WriteOptions): Promise<void> {
    return promised(() => {
      const { durability, signal } = validateWriteOptions(options, this.#default.handle.durability);
      signal?.throwIfAborted();
      const entries = this.#finish();
      return abortable(this.#default.handle.writer.batch(entries, durability), signal);
    });
  }

  /** As `write`, blocking the thread. */
  writeSync(options?: WriteOptions): void {
    const { durability } = validateWriteOptions(options, this.#default.handle.durability);
    this.#default.handle.writer.batchSync(this.#finish(), durability);
  }

  /** `[family, ...arguments]`, whether the family was given or not. */
  #resolve(
    parameters: unknown[],
    plainCount: number,
    verb: string,
  ): [BatchTarget, unknown, unknown] {
    if (parameters.length <= plainCount) return [this.#default, parameters[0], parameters[1]];
    const target = this.#targetOf(parameters[0]);
    if (target === undefined) {
      throw invalidArgument(`Cannot ${verb} into ${quote(parameters[0])}: takes a ColumnFamily`);
    }
    if (target.handle.store !== this.#default.handle.store) {
      throw invalidArgument(
        `Cannot ${verb} into column family '${target.family.name}': it is another store's`,
      );
    }
    return [target, parameters[1], parameters[2]];
  }

  /** A put whose value goes to a blob segment when the batch is written; until then it is a copy beside the entries. */
  #addLarge(
    target: BatchTarget,
    key: Uint8Array | string,
    value: Uint8Array | string,
    bytes: number,
  ): this {
    const total = this.#used + this.#largeBytes + bytes;
    if (total > BATCH_BYTES_MAX) {
      throw tooLarge("add to a batch", "the batch", total, BATCH_BYTES_MAX);
    }
    this.#add(EntryType.putBlob, target, key, NO_ADDRESS);
    const copy = typeof value === "string" ? encodeUtf8(value) : new Uint8Array(value);
    this.#large.push({ offset: this.#used - BlobAddress.BYTES, value: copy });
    this.#largeBytes += bytes;
    return this;
  }

  #add(
    type: number,
    { handle, family }: BatchTarget,
    key: Uint8Array | string,
    value: Uint8Array | string,
  ): this {
    handle.requireFamily(family, "add to a batch");
    const needed = this.#used + entryBytesMax(key, value);
    this.#reserve(needed);
    const end = encodeEntry(this.#bytes, this.#words, this.#used, type, family.id, key, value);
    const total = end + this.#largeBytes;
    if (total > BATCH_BYTES_MAX) {
      throw tooLarge("add to a batch", "the batch", total, BATCH_BYTES_MAX);
    }
    this.#used = end;
    this.#entryCount++;
    this.#families.add(family);
    return this;
  }

  #finish(): EncodedEntries {
    this.#requireUnwritten("write");
    const { handle } = this.#default;
    handle.requireOpen("write");
    handle.store.requireWritable("write");
    for (const family of this.#families) handle.requireFamily(family, "write");
    this.#written = true;
    return {
      bytes: this.#bytes.subarray(0, this.#used),
      entryCount: this.#entryCount,
      values: this.#large.length > 0 ? this.#large : undefined,
    };
  }

  #requireUnwritten(verb: string): void {
    if (this.#written) throw closed(verb, "the batch");
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#bytes.length) return;
    const grown = new Uint8Array(
      new ArrayBuffer(Math.ceil(Math.max(bytes, 2 * this.#bytes.length) / 8) * 8),
    );
    grown.set(this.#bytes.subarray(0, this.#used));
    this.#bytes = grown;
    this.#words = new Uint32Array(grown.buffer);
  }
}

/** A value, or an operand, as it is written. */
function prepareValue({ family, valueEncoding }: BatchTarget, value: unknown): Uint8Array | string {
  const prepared = valueEncoding.prepare(value as never);
  if (family.holdsIntegers) requireInt64(prepared, family.name);
  return prepared;
}
