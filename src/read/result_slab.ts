/**
 * Memory for results. Small ones are cut from a shared slab (as Node's pooled Buffers are) where a buffer of their own would cost
 * more; larger ones have one. A slab is never used twice, so what comes back is the caller's to keep.
 */
import { wordsOf } from "../base/words.ts";
import { ownBufferBytesMax } from "../native/platform.ts";

const SLAB_BYTES = 64 * 1024;
/** Results below this may share a buffer: the contract's figure. */
export const SHARED_BYTES_MAX = 4096;
/** Below this a loop over words beats `TypedArray.set` with its two views. */
const LOOP_BYTES_MAX = 256;

export class ResultSlab {
  #buffer = new ArrayBuffer(SLAB_BYTES);
  #u32 = new Uint32Array(this.#buffer);
  #used = 0;

  /** A copy of `bytes` bytes that start at a word of native memory. */
  copyWords(u8: Uint8Array, u32: Uint32Array, start: number, bytes: number): Uint8Array {
    if (bytes > LOOP_BYTES_MAX || bytes <= ownBufferBytesMax) {
      return this.copy(u8, start << 2, bytes);
    }
    const offset = this.#take(bytes);
    const words = wordsOf(bytes);
    const into = this.#u32;
    for (let index = 0, at = offset >> 2; index < words; index++) {
      into[at + index] = u32[start + index];
    }
    return new Uint8Array(this.#buffer, offset, bytes);
  }

  /** A copy of `bytes` bytes at a byte offset. */
  copy(u8: Uint8Array, offset: number, bytes: number): Uint8Array {
    if (bytes >= SHARED_BYTES_MAX || bytes <= ownBufferBytesMax) {
      return u8.slice(offset, offset + bytes);
    }
    const at = this.#take(bytes); // may begin another slab
    const result = new Uint8Array(this.#buffer, at, bytes);
    result.set(u8.subarray(offset, offset + bytes));
    return result;
  }

  /** Offset of a free piece, on a word; begins another slab when this one is used up. */
  #take(bytes: number): number {
    const taken = wordsOf(bytes) << 2;
    // Nothing is left of a buffer that a caller transferred, against the advice.
    if (this.#used + taken > this.#u32.byteLength) {
      this.#buffer = new ArrayBuffer(SLAB_BYTES);
      this.#u32 = new Uint32Array(this.#buffer);
      this.#used = 0;
    }
    const offset = this.#used;
    this.#used += taken;
    return offset;
  }
}
