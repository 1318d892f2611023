/** Writes as callers make them: one entry, or a batch that is encoded already, asynchronous or blocking. */
import { entryBytesMax } from "../format/log_entry.ts";
import { EntryType } from "../native/layout.gen.ts";
import type { Pipeline } from "./pipeline.ts";

export type Durability = "sync" | "buffered" | "volatile";

/** A value stands for nothing in a delete. */
const NO_VALUE = "";

/** Entries in the log's encoding, and how many they are. */
export interface EncodedEntries {
  readonly bytes: Uint8Array;
  readonly entryCount: number;
}

export class Writer {
  constructor(readonly pipeline: Pipeline) {}

  put(
    family: number,
    key: Uint8Array | string,
    value: Uint8Array | string,
    durability: Durability,
  ): Promise<void> {
    return this.#write(EntryType.put, family, key, value, durability);
  }

  putSync(
    family: number,
    key: Uint8Array | string,
    value: Uint8Array | string,
    durability: Durability,
  ): void {
    this.#writeSync(EntryType.put, family, key, value, durability);
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
  ): Promise<void> {
    const bytes = entryBytesMax(key, value);
    const buffer = this.pipeline.openBuffer(bytes, durability !== "volatile");
    buffer.add(type, family, key, value);
    return this.pipeline.joined(buffer, durability === "sync");
  }

  #writeSync(
    type: number,
    family: number,
    key: Uint8Array | string,
    value: Uint8Array | string,
    durability: Durability,
  ): void {
    const { pool } = this.pipeline;
    const buffer = pool.take(entryBytesMax(key, value), durability !== "volatile");
    try {
      buffer.add(type, family, key, value);
    } catch (error) {
      pool.give(buffer);
      throw error;
    }
    this.pipeline.commitSync(buffer, durability === "sync");
  }
}
