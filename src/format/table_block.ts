/**
 * The content of a table's blocks, entry by entry, for people who look at a file. The library reads them for everything else
 * (`zig/src/block_reader.zig`, `range_fragments.zig`). Nothing here trusts the bytes: lengths are compared with what remains.
 */
import { KEY_BYTES_MAX } from "../base/bytes.ts";

/** An entry of a data or index block. */
export interface BlockEntry {
  /** In the block's content. */
  readonly offset: number;
  readonly bytes: number;
  readonly key: Uint8Array;
  /** `EntryType` */
  readonly type: number;
  readonly sequence: number;
  readonly value: Uint8Array;
}

/** A piece of range tombstones. */
export interface RangePiece {
  readonly offset: number;
  readonly bytes: number;
  readonly lower: Uint8Array;
  /** Exclusive; `undefined`: there is no bound. */
  readonly upper: Uint8Array | undefined;
  /** Newest first. */
  readonly sequences: readonly number[];
}

/** What is wrong with a block's content, and where in it. */
export class MalformedBlock extends Error {
  constructor(readonly offset: number, found: string) {
    super(found);
  }
}

const TRAILER_BYTES = 8;
const VARINT_BYTES_MAX = 5;
const RANGES_VERSION = 1;
const ADJACENT = 1;
const UNBOUNDED = 2;
const UPPER_HALF = 2 ** 32;
/** A trailer is the sequence number times this, plus the type. */
const TRAILER_FACTOR = 2 ** 8;

/** Throws {@linkcode MalformedBlock} where the entries end to make sense. */
export function* blockEntries(content: Uint8Array): Generator<BlockEntry> {
  const view = viewOf(content);
  if (content.length < 4) throw new MalformedBlock(0, "it has no restart points");
  const restartCount = view.getUint32(content.length - 4, true);
  const end = content.length - 4 - 4 * restartCount;
  if (restartCount === 0 || end < 0) {
    throw new MalformedBlock(content.length - 4, `it states ${restartCount} restart points`);
  }
  let restart = 0;
  const from = new Walker(content, end);
  let before = new Uint8Array(0);
  while (from.at < end) {
    const offset = from.at;
    const shared = from.varint();
    const rest = from.varint();
    const valueBytes = from.varint();
    if (shared > before.length || shared + rest > KEY_BYTES_MAX) {
      throw new MalformedBlock(offset, `a key shares ${shared} of ${before.length} bytes`);
    }
    if (restart < restartCount && view.getUint32(end + 4 * restart, true) === offset) {
      if (shared > 0) throw new MalformedBlock(offset, "a restart point shares bytes");
      restart++;
    }
    const key = new Uint8Array(shared + rest);
    key.set(before.subarray(0, shared));
    key.set(from.take(rest), shared);
    const { type, sequence } = from.trailer();
    const value = from.take(valueBytes);
    yield { offset, bytes: from.at - offset, key, type, sequence, value };
    before = key;
  }
  if (restart < restartCount) {
    throw new MalformedBlock(end + 4 * restart, "a restart point is no entry's start");
  }
}

/** Throws {@linkcode MalformedBlock} where the pieces end to make sense. */
export function* rangePieces(content: Uint8Array): Generator<RangePiece> {
  const from = new Walker(content, content.length);
  if (from.word() !== RANGES_VERSION) throw new MalformedBlock(0, "it is of an unknown version");
  const count = from.word();
  let upper: Uint8Array | undefined = new Uint8Array(0);
  for (let index = 0; index < count; index++) {
    const offset = from.at;
    const kind = from.take(1)[0];
    const sequenceCount = from.varint();
    if (kind > (ADJACENT | UNBOUNDED) || upper === undefined || (index === 0 && kind & ADJACENT)) {
      throw new MalformedBlock(offset, `a piece of kind ${kind} cannot stand here`);
    }
    const lower: Uint8Array = kind & ADJACENT ? upper : from.take(from.varint()).slice();
    upper = kind & UNBOUNDED ? undefined : from.take(from.varint()).slice();
    if (sequenceCount * TRAILER_BYTES > content.length - from.at) {
      throw new MalformedBlock(offset, `a piece states ${sequenceCount} sequence numbers`);
    }
    const sequences = Array.from({ length: sequenceCount }, () => from.number());
    yield { offset, bytes: from.at - offset, lower, upper, sequences };
  }
  if (from.at < content.length) throw new MalformedBlock(from.at, "something stands behind it");
}

/** Reads on from a place, and never past the end. */
class Walker {
  at = 0;
  readonly #view: DataView;

  constructor(readonly bytes: Uint8Array, readonly end: number) {
    this.#view = viewOf(bytes);
  }

  take(count: number): Uint8Array {
    const start = this.#pass(count);
    return this.bytes.subarray(start, start + count);
  }

  word(): number {
    return this.#view.getUint32(this.#pass(4), true);
  }

  varint(): number {
    const start = this.at;
    let value = 0;
    for (let index = 0; index < VARINT_BYTES_MAX; index++) {
      const byte = this.bytes[this.#pass(1)];
      value += (byte & 0x7f) * 2 ** (7 * index);
      if (byte < 0x80) {
        if (value < UPPER_HALF) return value;
        break;
      }
    }
    throw new MalformedBlock(start, "a number does not end");
  }

  trailer(): { type: number; sequence: number } {
    const start = this.#pass(TRAILER_BYTES);
    const low = this.#view.getUint32(start, true);
    const high = this.#view.getUint32(start + 4, true);
    const sequence = (low >>> 8) + high * (UPPER_HALF / TRAILER_FACTOR);
    return { type: low & 0xff, sequence };
  }

  /** A u64. */
  number(): number {
    const start = this.#pass(8);
    const value = this.#view.getUint32(start, true) +
      this.#view.getUint32(start + 4, true) * UPPER_HALF;
    if (!Number.isSafeInteger(value)) throw new MalformedBlock(start, "a number is too large");
    return value;
  }

  #pass(count: number): number {
    const start = this.at;
    if (count > this.end - start) {
      throw new MalformedBlock(start, `${count} bytes are announced, ${this.end - start} remain`);
    }
    this.at = start + count;
    return start;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
