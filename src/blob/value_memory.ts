/**
 * Native memory for large values on their way to the disk or from it: aligned regions, each for one value. A few are kept for
 * the next one, since pages that are there already cost a fraction of fresh ones.
 */
import { BLOCK_BYTES } from "../native/layout.gen.ts";
import { type Region, releaseRegion, reserveRegion } from "../native/region.ts";

/** Bytes of regions that are kept although nobody uses them. */
const IDLE_BYTES_MAX = 32 << 20;
/** No region is smaller. */
const REGION_BYTES_MIN = 64 * 1024;

/** A value's bytes in whole blocks. */
export function inBlocks(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
}

export class ValueMemory {
  /** By size, which is a power of two. */
  readonly #idle = new Map<number, Region[]>();
  #idleBytes = 0;
  #takenBytes = 0;

  /** Bytes of the regions in use. */
  get takenBytes(): number {
    return this.#takenBytes;
  }

  /** A region with room for a value, in whole blocks. Its content is unspecified. */
  take(bytes: number): Region {
    const size = sizeOf(bytes);
    let region = this.#idle.get(size)?.pop();
    if (region === undefined) region = reserveRegion(size);
    else this.#idleBytes -= size;
    this.#takenBytes += region.bytes;
    return region;
  }

  give(region: Region): void {
    this.#takenBytes -= region.bytes;
    if (this.#idleBytes + region.bytes > IDLE_BYTES_MAX) {
      releaseRegion(region.id);
      return;
    }
    this.#idleBytes += region.bytes;
    const same = this.#idle.get(region.bytes);
    if (same === undefined) this.#idle.set(region.bytes, [region]);
    else same.push(region);
  }

  /** The region stays somebody else's for ever: its memory is seen by who should not. */
  abandon(region: Region): void {
    this.#takenBytes -= region.bytes;
  }

  /** Gives back what is idle. */
  drain(): void {
    for (const regions of this.#idle.values()) {
      for (const { id } of regions) releaseRegion(id);
    }
    this.#idle.clear();
    this.#idleBytes = 0;
  }
}

function sizeOf(bytes: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(inBlocks(bytes), REGION_BYTES_MIN)));
}
