/** Writes as callers make them: one entry, or a batch that is encoded already, asynchronous or blocking. */
import { byteLengthUtf8, byteLengthUtf8Max, encodeUtf8Into } from "../base/bytes.ts";
import { tooLarge } from "../base/errors.ts";
import { entryBytesMax } from "../format/log_entry.ts";
import {
  BlobAddress,
  EntryType,
  TAIL_ENTRY_BYTES_MAX,
  TAIL_UNLOGGED,
  VALUE_BYTES_MAX,
} from "../native/layout.gen.ts";
import type { Region } from "../native/region.ts";
import type { Pipeline } from "./pipeline.ts";
import type { WriteBuffer } from "./write_buffer.ts";

export type Durability = "sync" | "buffered" | "volatile";

/** What stands for no value in a delete, and for no upper bound in a range tombstone. */
const NO_VALUE = new Uint8Array(0);

/** Stands where a large value's address will be. */
export const NO_ADDRESS = new Uint8Array(BlobAddress.BYTES);

/** Text that is committed from here, within the call that encodes it; none that is longer is. */
const KEY_TEXT = new Uint8Array(TAIL_ENTRY_BYTES_MAX);
const VALUE_TEXT = new Uint8Array(TAIL_ENTRY_BYTES_MAX);

/** Gives the memory of a value that is handed over. */
export type Handover = () => Region;

/** Entries in the log's encoding, and how many they are. */
export interface EncodedEntries {
  readonly bytes: Uint8Array;
  readonly entryCount: number;
  /** Those among them whose values are large. */
  readonly values?: readonly LargeEntry[];
}

export interface LargeEntry {
  /** Where the address is to stand, from the start of the entries. */
  readonly offset: number;
  readonly value: Uint8Array;
}

/** The bytes of a value if it is large, else zero. */
export function largeBytes(value: Uint8Array | string, threshold: number): number {
  let bytes = value.length;
  if (typeof value === "string") {
    if (byteLengthUtf8Max(value) < threshold) return 0;
    bytes = byteLengthUtf8(value);
  }
  if (bytes > VALUE_BYTES_MAX) throw tooLarge("put a value", "it", bytes, VALUE_BYTES_MAX);
  return bytes < threshold ? 0 : bytes;
}

function putType(expiry: number | undefined): number {
  return expiry === undefined ? EntryType.put : EntryType.putExpiring;
}

const NO_ENTRIES: EncodedEntries = { bytes: new Uint8Array(0), entryCount: 0 };

/** From `lower` (inclusive) to `upper` (exclusive); `undefined`: to the end. */
export interface RangeBounds {
  readonly lower: Uint8Array;
  readonly upper: Uint8Array | undefined;
  /** No key lies within. */
  readonly empty: boolean;
}

/** Where writes go: the engine's pipeline, or the way to it. */
export interface WritePipeline extends
  Pick<
    Pipeline,
    "pool" | "openBuffer" | "joined" | "commitEntry" | "commitSync" | "requestBarrier" | "enqueue"
  > {
  readonly health: Pick<Pipeline["health"], "requireSound">;
  readonly values: Pick<Pipeline["values"], "take" | "counters">;
}

export class Writer {
  constructor(readonly pipeline: WritePipeline) {}

  /** With `expiry`, in milliseconds since 1970, the entry acts as a delete from then on. */
  put(
    family: number,
    key: Uint8Array | string,
    value: Uint8Array | string,
    durability: Durability,
    expiry?: number,
  ): Promise<void> {
    return this.#write(putType(expiry), family, key, value, durability, expiry);
  }

  putSync(
    family: number,
    key: Uint8Array | string,
    value: Uint8Array | string,
    durability: Durability,
    expiry?: number,
  ): void {
    this.#writeSync(putType(expiry), family, key, value, durability, expiry);
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

  /**
   * A put whose value goes to a blob segment. `bytes`: what `largeBytes` said of it. With `handover`, the value lies at the front of
   * the region that it gives, which is this write's from then on; it is called when the write is accepted.
   */
  putLarge(
    family: number,
    key: Uint8Array | string,
    value: Uint8Array | string,
    bytes: number,
    durability: Durability,
    expiry?: number,
    handover?: Handover,
  ): Promise<void> {
    this.pipeline.health.requireSound("write");
    const buffer = this.#large(family, key, value, bytes, durability, expiry, handover);
    return this.pipeline.enqueue(buffer, durability === "sync");
  }

  putLargeSync(
    family: number,
    key: Uint8Array | string,
    value: Uint8Array | string,
    bytes: number,
    durability: Durability,
    expiry?: number,
    handover?: Handover,
  ): void {
    this.pipeline.health.requireSound("write");
    const buffer = this.#large(family, key, value, bytes, durability, expiry, handover);
    this.pipeline.commitSync(buffer, durability === "sync");
  }

  batch(entries: EncodedEntries, durability: Durability): Promise<void> {
    const { bytes, entryCount, values } = entries;
    if (values !== undefined) {
      this.pipeline.health.requireSound("write");
      return this.pipeline.enqueue(this.#largeBatch(entries, durability), durability === "sync");
    }
    const buffer = this.pipeline.openBuffer(bytes.length, durability !== "volatile");
    buffer.addEncoded(bytes, entryCount);
    return this.pipeline.joined(buffer, durability === "sync");
  }

  batchSync(entries: EncodedEntries, durability: Durability): void {
    const { bytes, entryCount, values } = entries;
    if (values !== undefined) {
      this.pipeline.commitSync(this.#largeBatch(entries, durability), durability === "sync");
      return;
    }
    const buffer = this.pipeline.pool.take(bytes.length, durability !== "volatile");
    buffer.addEncoded(bytes, entryCount);
    this.pipeline.commitSync(buffer, durability === "sync");
  }

  /** A buffer of its own with the entry, once key and value are found to be good. */
  #large(
    family: number,
    key: Uint8Array | string,
    value: Uint8Array | string,
    bytes: number,
    durability: Durability,
    expiry: number | undefined,
    handover: Handover | undefined,
  ): WriteBuffer {
    const { pool, values } = this.pipeline;
    const buffer = pool.takeOwn(entryBytesMax(key, NO_ADDRESS), durability !== "volatile");
    try {
      const type = expiry === undefined ? EntryType.putBlob : EntryType.putBlobExpiring;
      buffer.add(type, family, key, NO_ADDRESS, expiry);
      buffer.expectValue(bytes, handover === undefined ? values.take(value, bytes) : handover());
      if (handover !== undefined) values.counters.transferred++;
    } catch (error) {
      pool.give(buffer);
      throw error;
    }
    return buffer;
  }

  #largeBatch({ bytes, entryCount, values }: EncodedEntries, durability: Durability): WriteBuffer {
    const buffer = this.pipeline.pool.takeOwn(bytes.length, durability !== "volatile");
    buffer.addEncoded(bytes, entryCount);
    for (const { offset, value } of values!) {
      // A copy already, which nobody else has.
      buffer.expectValueAt(bytes.length, offset, value.length, value);
    }
    return buffer;
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
    if (type <= EntryType.merge && durability !== "sync") {
      const head = durability === "volatile" ? type | TAIL_UNLOGGED : type;
      if (this.#commitEntry(head, family, key, value)) return;
    }
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

  /** Without a buffer, from the caller's memory or that of `KEY_TEXT` and `VALUE_TEXT`. False: nothing was done. */
  #commitEntry(
    head: number,
    family: number,
    key: Uint8Array | string,
    value: Uint8Array | string,
  ): boolean {
    let keyBytes = key.length;
    if (typeof key === "string") {
      keyBytes = encodeUtf8Into(key, KEY_TEXT, 0);
      key = KEY_TEXT;
    }
    let valueBytes = value.length;
    if (typeof value === "string") {
      valueBytes = encodeUtf8Into(value, VALUE_TEXT, 0);
      value = VALUE_TEXT;
    }
    if (keyBytes < 0 || valueBytes < 0 || keyBytes + valueBytes > TAIL_ENTRY_BYTES_MAX) {
      return false;
    }
    return this.pipeline.commitEntry(head | (keyBytes << 16), family, key, value, valueBytes);
  }
}
