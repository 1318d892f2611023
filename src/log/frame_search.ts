/**
 * Looks for sound frames at blocks' starts, in bytes that may be anything. Headers that claim much and do not check out could make
 * that quadratic: the search ends when they have claimed more than any write that was cut off, or any damage, leaves.
 */
import { BLOCK_BYTES, LogFrame } from "../native/layout.gen.ts";
import type { Region } from "../native/region.ts";
import { frameBytes, type FrameOrigin, isSound, roundUp } from "./frame.ts";

/** Bytes put through a checksum, times the segment's. */
const CHECKED_MAX = 16;

export class FrameSearch {
  #left: number;

  /** `limit`: where the segment's bytes end in the region. */
  constructor(readonly region: Region, readonly origin: FrameOrigin, readonly limit: number) {
    this.#left = CHECKED_MAX * Math.max(limit, BLOCK_BYTES);
  }

  /** Whether it gave up: what lies behind is unknown. */
  get gaveUp(): boolean {
    return this.#left < 0;
  }

  /** The first sound frame at a block's start from `start` on. */
  next(start: number): number | undefined {
    const { region, origin, limit } = this;
    const { f64 } = region;
    for (let place = roundUp(start); place < limit; place += BLOCK_BYTES) {
      // Most places hold nothing.
      if (f64[(place + LogFrame.segment) >> 3] !== origin.number) continue;
      this.#left -= this.#claim(place);
      if (this.gaveUp) return undefined;
      if (isSound(region, origin, place, limit)) return place;
    }
    return undefined;
  }

  /** Bytes that looking at a place puts through a checksum. */
  #claim(place: number): number {
    const { region, origin, limit } = this;
    if (place + LogFrame.BYTES > limit) return 0;
    if (region.f64[(place + LogFrame.segment) >> 3] !== origin.number) return 0;
    const bytes = frameBytes(region, place);
    return place + bytes <= limit ? bytes : 0;
  }
}
