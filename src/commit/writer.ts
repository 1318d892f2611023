/** Writes as callers make them: one entry, or a batch that is encoded already, asynchronous or blocking. */
import { entryBytesMax } from "../format/log_entry.ts";
import { EntryType } from "../native/layout.gen.ts";
import type { Pipeline } from "./pipeline.ts";

export type Durability = "sync" | "buffered" | "volatile";

/** What stands for no value in a delete, and for no upper bound in a range tombstone. */
const NO_VALUE = "";

/** Entries in the log's encoding, and how many they are. */
export interface EncodedEntries {
  readonly bytes: Uint8Array;
  readonly entryCount: number;
}

const NO_ENTRIES: EncodedEntries = { bytes: new Uint8Array(0), entryCount: 0 };

/** From `lower` (inclusive) to `upper` (exclusive); `undefined`: to the end. */
export interface RangeBounds {
  readonly lower: Uint8Array;
  readonly upper: Uint8Array | undefined;
  /** No key lies within. */
  readonly empty: boolean;
}

export class Writer {
  constructor(readonly pipeline: Pipeline) {}

  /** With `expiry`, in milliseconds since 1970, the entry acts as a delete from then on. */
  put(
    family: number,
    key: Uint8Array | string,
    value: Uint8Array | string,
    durability: Durability,
    expiry?: number,
  ): Promise<void> {
    return this.#write(EntryType.put, family, key, value, durability, expiry);
  }

  putSync(
    family: number,
    key: Uint8Array | string,
    value: Uint8Array | string,
    durability: Durability,
    expiry?: number,
  ): void {
    this.#writeSync(EntryType.put, family, key, value, durability, expiry);
  }

  merge(
    family: number,
    key: Uint8Array | string,
    operand: Uint8Array | string,
    durability: Durability,
  ): Promise<void> {
    return this.#write(EntryType.merge, family, key, operand, durability);
  }

  mergeSync(
    family: number,
    key: Uint8Array | string,
    operand: Uint8Array | string,
    durability: Durability,
  ): void {
    this.#writeSync(EntryType.merge, family, key, operand, durability);
  }

  /** One range tombstone; none for an empty range, which keeps its place among the writes all the same. */
  deleteRange(family: number, range: RangeBounds, durability: Durability): Promise<void> {
    if (range.empty) return this.batch(NO_ENTRIES, durability);
    const { lower, upper = NO_VALUE } = range;
    return this.#write(EntryType.deleteRange, family, lower, upper, durability);
  }

  deleteRangeSync(family: number, range: RangeBounds, durability: Durability): void {
    if (range.empty) return this.batchSync(NO_ENTRIES, durability);
    const { lower, upper = NO_VALUE } = range;
    this.#writeSync(EntryType.deleteRange, family, lower, upper, durability);
  }

  delete(family: number, key: Uint8Array | string, durability: Durability): Promise<void> {
    return this.#write(EntryType.delete, family, key, NO_VALUE, durability);
  }

  deleteSync(family: number, key: Uint8Array | string, durability: Durability): void {
    this.#writeSync(EntryType.delete, family, key, NO_VALUE, durability);
  }

  batch({ bytes, entryCount }: EncodedEntries, durability: Durability): Promise<void> {
    const buffer = this.pipeline.openBuffer(bytes.length, durability !== "volatile");
    buffer.addEncoded(bytes, entryCount);
    return this.pipeline.joined(buffer, durability === "sync");
  }

  batchSync({ bytes, entryCount }: EncodedEntries, durability: Durability): void {
    const buffer = this.pipeline.pool.take(bytes.length, durability !== "volatile");
    buffer.addEncoded(bytes, entryCount);
    this.pipeline.commitSync(buffer, durability === "sync");
  }

  #write(
    type: number,
    family: number,
    key: Uint8Array | string,
    value: Uint8Array | string,
    durability: Durability,
    expiry?: number,
  ): Promise<void> {
    const bytes = entryBytesMax(key, value);
    const buffer = this.pipeline.openBuffer(bytes, durability !== "volatile");
    buffer.add(type, family, key, value, expiry);
    return this.pipeline.joined(buffer, durability === "sync");
  }

  #writeSync(
    type: number,
    family: number,
    key: Uint8Array | string,
    value: Uint8Array | string,
    durability: Durability,
    expiry?: number,
  ): void {
    const { pool } = this.pipeline;
    const buffer = pool.take(entryBytesMax(key, value), durability !== "volatile");
    try {
      buffer.add(type, family, key, value, expiry);
    } catch (error) {
      pool.give(buffer);
      throw error;
    }
    this.pipeline.commitSync(buffer, durability === "sync");
  }
}
