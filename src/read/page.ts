/** Pages of rows: what a cursor's fill gave, in native memory and as a copy. */
import { PAGE_OFFSETS_OFFSET, PAGE_STACK_BIT, PageHeader } from "../native/layout.gen.ts";
import { ownBufferBytesMax } from "../native/platform.ts";
import type { Region } from "../native/region.ts";
import { foldStack, type Merging } from "./merging.ts";
import { SHARED_BYTES_MAX } from "./result_slab.ts";

const FIRST_OFFSET = PAGE_OFFSETS_OFFSET >> 2;
/** Below this a loop over bytes beats a slice. */
const LOOP_BYTES_MAX = 32;
/** Whether a row's parts are views of a copy of all rows, rather than copied one by one. */
const COPIES_WHOLE = ownBufferBytesMax === 0;

/**
 * The rows in a cursor's page, good until its next fill or its close; keys and values that are taken of it are the caller's to keep.
 * Whoever runs a user's code takes what he wants of a row before: that code may end the cursor.
 */
export class CurrentPage {
  readonly count: number;
  readonly #source: Region;
  readonly #offsets: Uint32Array<ArrayBuffer>;
  /** Where the rows lie, and from which byte on: in native memory, or from the first look on in a copy. */
  #bytes: Uint8Array<ArrayBuffer>;
  #start: number;
  #isReadable: boolean;
  readonly #hasStacks: boolean;

  constructor(source: Region) {
    const { u8, u32 } = source;
    this.#source = source;
    this.#offsets = u32;
    this.count = u32[PageHeader.count >> 2];
    this.#hasStacks = u32[PageHeader.stackCount >> 2] > 0;
    this.#bytes = u8;
    this.#start = u32[PageHeader.dataOffset >> 2];
    this.#isReadable = !COPIES_WHOLE;
  }

  key(index: number): Uint8Array {
    return this.#piece(FIRST_OFFSET + 2 * index);
  }

  value(index: number): Uint8Array {
    return this.#piece(FIRST_OFFSET + 2 * index + 1);
  }

  /** Whether a row's value is a merge chain that is yet to be folded. */
  isStack(index: number): boolean {
    return this.#hasStacks &&
      (this.#offsets[FIRST_OFFSET + 2 * index + 1] & PAGE_STACK_BIT) !== 0;
  }

  copy(): Page {
    return Page.copyOf(this.#source);
  }

  #copyRows(): void {
    const copy = copyOfRows(
      this.#bytes,
      this.#start,
      this.#offsets[FIRST_OFFSET + 2 * this.count],
    );
    this.#bytes = copy.bytes;
    this.#start = copy.start;
    this.#isReadable = true;
  }

  #piece(at: number): Uint8Array {
    if (!this.#isReadable) this.#copyRows();
    const start = this.#start + (this.#offsets[at] & ~PAGE_STACK_BIT);
    const end = this.#start + (this.#offsets[at + 1] & ~PAGE_STACK_BIT);
    const bytes = end - start;
    if (bytes >= SHARED_BYTES_MAX) return this.#bytes.slice(start, end);
    if (COPIES_WHOLE) return new Uint8Array(this.#bytes.buffer, start, bytes);
    if (bytes > LOOP_BYTES_MAX) return this.#bytes.slice(start, end);
    const from = this.#bytes;
    const piece = new Uint8Array(bytes);
    for (let index = 0; index < bytes; index++) piece[index] = from[start + index];
    return piece;
  }
}

interface Rows {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly start: number;
}

/** Copies of small pages share a buffer: a short range costs no allocation of its own. */
const SLAB_BYTES = 64 * 1024;
const SHARING_BYTES_MAX = SLAB_BYTES / 4;
let slab = new Uint8Array(0);
let slabUsed = 0;

function copyOfRows(u8: Uint8Array<ArrayBuffer>, start: number, bytes: number): Rows {
  if (bytes > SHARING_BYTES_MAX) return { bytes: u8.slice(start, start + bytes), start: 0 };
  // Nothing is left of a buffer that a caller transferred, against the advice.
  if (slabUsed + bytes > slab.length) {
    slab = new Uint8Array(SLAB_BYTES);
    slabUsed = 0;
  }
  const at = slabUsed;
  slab.set(u8.subarray(start, start + bytes), at);
  slabUsed += bytes;
  return { bytes: slab, start: at };
}

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
    const offsets = u32.slice(FIRST_OFFSET, FIRST_OFFSET + 2 * count + 1);
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
