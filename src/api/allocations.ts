/**
 * `db.allocate`: native memory that a user fills and hands over to `put` without a copy.
 *
 * Each allocation is one region and one `ArrayBuffer` over its front, made for it alone: detaching that buffer takes the memory back
 * from the user, and nothing else does. No finalizer frees anything. What the user has detached by other means (`transfer()`,
 * `structuredClone`) may still be seen through the new buffer, so its memory is never used again.
 */
import { invalidArgument, quote, tooLarge } from "../base/errors.ts";
import { isUint8Array } from "../base/bytes.ts";
import type { ValueMemory } from "../blob/value_memory.ts";
import { VALUE_BYTES_MAX } from "../native/layout.gen.ts";
import { type Region, viewOfRegion } from "../native/region.ts";

export class Allocations {
  /** Those that are out, by the buffer that the user holds. */
  readonly #out = new Map<ArrayBufferLike, Region | undefined>();

  constructor(readonly memory: ValueMemory) {}

  allocate(bytes: number): Uint8Array<ArrayBuffer> {
    if (!Number.isSafeInteger(bytes) || bytes < 0) {
      throw invalidArgument(`Cannot allocate ${quote(bytes)} bytes: takes a whole number from 0`);
    }
    if (bytes > VALUE_BYTES_MAX) {
      throw tooLarge("allocate a buffer", "it", bytes, VALUE_BYTES_MAX);
    }
    // Neither runtime makes a view of nothing.
    const region = bytes === 0 ? undefined : this.memory.take(bytes);
    const buffer = region === undefined ? new ArrayBuffer(0) : viewOfRegion(region, bytes);
    this.#out.set(buffer, region);
    return new Uint8Array(buffer);
  }

  /** Throws unless the value is a view from the start of a buffer that is out. Changes nothing. */
  require(value: unknown, attempt: string): Uint8Array {
    if (
      isUint8Array(value) && value.byteOffset === 0 && this.#out.has(value.buffer) &&
      !isGone(value.buffer)
    ) {
      return value;
    }
    throw invalidArgument(
      `Cannot ${attempt} ${quote(value)}: takes a view from the start of a buffer of allocate()`,
    );
  }

  /** Takes the memory back from the user; it is the caller's now. `undefined`: there is none, for no bytes. REQUIRES: `require`. */
  take({ buffer }: Uint8Array): Region | undefined {
    const region = this.#out.get(buffer);
    this.#out.delete(buffer);
    detach(buffer);
    return region;
  }

  release(value: unknown): void {
    const region = this.take(this.require(value, "release"));
    if (region !== undefined) this.memory.give(region);
  }

  /** Takes back everything that is out. */
  end(): void {
    for (const [buffer, region] of this.#out) {
      const isForeign = isGone(buffer);
      if (!isForeign) detach(buffer);
      if (region === undefined) continue;
      if (isForeign) this.memory.abandon(region);
      else this.memory.give(region);
    }
    this.#out.clear();
  }
}

/** Whether somebody has detached a buffer. A zero-length one of ours is never told from a detached one by its length. */
function isGone(buffer: ArrayBufferLike): boolean {
  return (buffer as ArrayBuffer).detached;
}

/** To no bytes: whatever takes over is empty, and nothing is copied. */
function detach(buffer: ArrayBufferLike): void {
  (buffer as ArrayBuffer).transfer(0);
}
