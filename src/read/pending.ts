/** Answers of reads that were not to wait: the rest is for an I/O thread. */
import type { ValueAddress } from "../format/blob_address.ts";

/** A block of a table is not in memory. */
export const WOULD_BLOCK: unique symbol = Symbol("a block is not in memory");

/** The same, of a key that asks for more than its newest version: its merge operands, say. */
export const WOULD_WALK: unique symbol = Symbol("a key's versions are not all in memory");

/** The place of a large value. */
export class LargeValue {
  constructor(readonly address: ValueAddress) {}
}

export type Pending = typeof WOULD_BLOCK | typeof WOULD_WALK | LargeValue;
