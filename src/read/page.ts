/** A page of rows: what a cursor's fill gave, copied out of native memory. */
import { PAGE_OFFSETS_OFFSET, PAGE_STACK_BIT, PageHeader } from "../native/layout.gen.ts";
import type { Region } from "../native/region.ts";
import { foldStack, type Merging } from "./merging.ts";
import { SHARED_BYTES_MAX } from "./result_slab.ts";

/** Rows that were copied out of native memory: the caller's to keep. */
export class Page {
  /** Rows whose value is a merge chain that is yet to be folded. */
  readonly #stacks: ReadonlySet<number> | undefined;

  constructor(
    readonly count: number,
    /** All keys and values back to back. */
    readonly bytes: Uint8Array<ArrayBuffer>,
    /** Key i starts at `[2 * i]`, its value at `[2 * i + 1]`, and ends where the next offset says. */
    readonly offsets: Uint32Array<ArrayBuffer>,
    stacks?: ReadonlySet<number>,
  ) {
    this.#stacks = stacks;
  }

  /** A copy of the rows in a cursor's page. */
  static copyOf({ u8, u32 }: Region): Page {
    const count = u32[PageHeader.count >> 2];
    const start = u32[PageHeader.dataOffset >> 2];
    const first = PAGE_OFFSETS_OFFSET >> 2;
    const offsets = u32.slice(first, first + 2 * count + 1);
    const stacks = u32[PageHeader.stackCount >> 2] > 0 ? takeStackBits(offsets) : undefined;
    return new Page(count, u8.slice(start, start + offsets[2 * count]), offsets, stacks);
  }

  key(index: number): Uint8Array {
    return this.#piece(2 * index);
  }

  value(index: number): Uint8Array {
    return this.#piece(2 * index + 1);
  }

  /** A row's value, folded if that is still to be done. Then it runs the user's operator. */
  folded(index: number, merging: Merging): Uint8Array {
    const value = this.value(index);
    return this.#stacks?.has(index) ? foldStack(merging, this.key(index), value) : value;
  }

  /** The same rows with every value folded. */
  allFolded(merging: Merging): Page {
    if (this.#stacks === undefined) return this;
    const values = Array.from({ length: this.count }, (_, index) => this.folded(index, merging));
    const offsets = new Uint32Array(this.offsets.length);
    for (const [index, value] of values.entries()) {
      const at = 2 * index;
      offsets[at + 1] = offsets[at] + this.offsets[at + 1] - this.offsets[at];
      offsets[at + 2] = offsets[at + 1] + value.length;
    }
    const bytes = new Uint8Array(offsets[2 * this.count]);
    for (const [index, value] of values.entries()) {
      bytes.set(
        this.bytes.subarray(this.offsets[2 * index], this.offsets[2 * index + 1]),
        offsets[2 * index],
      );
      bytes.set(value, offsets[2 * index + 1]);
    }
    return new Page(this.count, bytes, offsets);
  }

  /** Pieces of `SHARED_BYTES_MAX` and more are copied once more, to have a buffer of their own. */
  #piece(at: number): Uint8Array {
    const start = this.offsets[at];
    const end = this.offsets[at + 1];
    return end - start < SHARED_BYTES_MAX
      ? new Uint8Array(this.bytes.buffer, start, end - start)
      : this.bytes.slice(start, end);
  }
}

/** Which values have the bit that says that they are stacks; it is taken off. */
function takeStackBits(offsets: Uint32Array): ReadonlySet<number> {
  const stacks = new Set<number>();
  for (let at = 1; at < offsets.length; at += 2) {
    if ((offsets[at] & PAGE_STACK_BIT) === 0) continue;
    offsets[at] &= ~PAGE_STACK_BIT;
    stacks.add(at >> 1);
  }
  return stacks;
}
