/**
 * The memory of a memtable: a region that fills from its tail, and views that show what is in use. The library takes from the same
 * tail.
 */
import { assert } from "../base/assert.ts";
import { MemtableHeader } from "../native/layout.gen.ts";
import { type Region, region } from "../native/region.ts";

const TAIL = MemtableHeader.tailWords >> 2;
/** Beside a single entry too large for any budget, a memtable holds nothing but its first indexes. */
export const INDEX_RESERVE_BYTES = 1 << 20;

/**
 * What JavaScript writes of that: it adds nothing beyond the budget but one point index, of 16 bytes for each slot of the one
 * before, to which at least 33 bytes belong that are there already; small ones grow fourfold. The ordered index is the library's.
 */
function viewedBytes(budgetBytes: number): number {
  const bytes = 1.5 * budgetBytes + 3 * INDEX_RESERVE_BYTES;
  return Math.ceil(bytes / 8) * 8;
}

/** Views begin with so much and grow with what is in use: Bun's collector counts all that they show as its own. */
export const FIRST_VIEWED_BYTES = 128 * 1024;

export class Arena {
  #region: Region;
  #u32: Uint32Array<ArrayBuffer>;
  readonly #viewedBytesMax: number;

  constructor(region: Region, budgetBytes: number) {
    this.#region = region;
    this.#u32 = region.u32;
    this.#viewedBytesMax = Math.min(viewedBytes(budgetBytes), region.bytes);
  }

  /** The views show everything that was allocated until the last `take` or `catchUp`. */
  get region(): Region {
    return this.#region;
  }

  get u32(): Uint32Array<ArrayBuffer> {
    return this.#u32;
  }

  /** Words in use. */
  get tail(): number {
    return Atomics.load(this.#u32, TAIL);
  }

  /** Words from the tail. Views taken before may not show them. */
  take(words: number): number {
    const start = Atomics.add(this.#u32, TAIL, words);
    if (start + words > this.#u32.length) this.#show(start + words);
    return start;
  }

  /** Shows what the library has added, too. */
  catchUp(): void {
    this.catchUpTo(this.tail);
  }

  /** The same, up to a tail that was loaded before. */
  catchUpTo(tail: number): void {
    if (tail > this.#u32.length && this.#u32.byteLength < this.#viewedBytesMax) {
      this.#show(Math.min(tail, this.#viewedBytesMax >> 2));
    }
  }

  #show(words: number): void {
    const most = this.#viewedBytesMax;
    assert(words * 4 <= most, "a memtable's reserve holds its indexes");
    const bytes = Math.max(words * 4, 2 * this.#u32.byteLength);
    this.#region = region(this.#region.id, Math.min(Math.ceil(bytes / 8) * 8, most));
    this.#u32 = this.#region.u32;
  }
}
