/**
 * A piece of a log segment in memory, moved over the file as a replay goes on. It is small and used again and again: memory that
 * nobody has touched costs more than the reading.
 */
import type { Files, OpenFile } from "../native/files.ts";
import { BLOCK_BYTES, LogFrame } from "../native/layout.gen.ts";
import { type Region, releaseRegion, reserveRegion } from "../native/region.ts";
import type { Task } from "../native/task.ts";
import { damage, frameBytes, type FrameOrigin, isSound, roundUp } from "./frame.ts";

/** What it shows at once, unless one frame is larger. */
const WINDOW_BYTES = 2 << 20;
/** Bytes that a search puts through a checksum, times the segment's: headers may claim much at every block. */
const CHECKED_MAX = 16;

export class SegmentWindow {
  #memory: Region | undefined;
  #file: OpenFile | undefined;
  #limit = 0;
  #base = 0;
  #end = 0;

  constructor(readonly files: Files) {}

  release(): void {
    if (this.#memory !== undefined) releaseRegion(this.#memory.id);
    this.#memory = undefined;
  }

  /** Shows the front of a segment, of which nothing from `limit` on is looked at. */
  *open(file: OpenFile, limit: number): Task<void> {
    this.#file = file;
    this.#limit = limit;
    this.#base = this.#end = 0;
    yield* this.show(0, Math.min(limit, BLOCK_BYTES));
  }

  /** Holds the bytes of the file from `base` on, up to `end`. */
  get region(): Region {
    return this.#memory!;
  }

  /** A whole number of blocks. */
  get base(): number {
    return this.#base;
  }

  get end(): number {
    return this.#end;
  }

  /** Moves, if need be, so that these bytes are shown. It shows fewer only where the file has ended. */
  *show(from: number, to: number): Task<void> {
    if (from >= this.#base && to <= this.#end) return;
    this.#moveTo(from, to);
    const base = this.#base;
    const bytes = this.#end - base;
    const read = yield* this.files.read(this.#file!, this.#memory!, base, bytes);
    this.#end = base + read;
  }

  /** The same, without the stretches that the file system knows to be holes. False: nothing but one follows `from`. */
  *#showData(from: number, to: number): Task<boolean> {
    if (from >= this.#base && to <= this.#end) return true;
    this.#moveTo(from, to);
    const bytes = this.#end - this.#base;
    const read = yield* this.files.readData(this.#file!, this.#memory!, this.#base, bytes);
    this.#end = this.#base + read;
    return read > 0;
  }

  #moveTo(from: number, to: number): void {
    this.#base = Math.floor(from / BLOCK_BYTES) * BLOCK_BYTES;
    this.#end = Math.min(this.#limit, Math.max(to, this.#base + WINDOW_BYTES));
    const bytes = Math.max(this.#end - this.#base, BLOCK_BYTES);
    if (this.#memory !== undefined && this.#memory.bytes >= bytes) return;
    this.release();
    this.#memory = reserveRegion(Math.max(bytes, WINDOW_BYTES));
  }

  /**
   * Up to where the segment must be shown to tell whether a frame follows at an offset; `undefined`: none does, or what is
   * shown tells.
   */
  bytesNeeded(origin: FrameOrigin, offset: number): number | undefined {
    for (const place of [offset, roundUp(offset)]) {
      const header = place + LogFrame.BYTES;
      const end = header <= this.#end && this.#isHeader(origin, place)
        ? this.#frameEnd(place)
        : header;
      if (end > this.#end && end <= this.#limit) return end;
    }
    return undefined;
  }

  /** Visits every sound frame at a block's start from `start` up to `limit`: where it is in the region. */
  *search(
    origin: FrameOrigin,
    start: number,
    limit: number,
    path: string,
    visit: (region: Region, at: number) => void,
  ): Task<void> {
    let left = CHECKED_MAX * Math.max(limit, BLOCK_BYTES);
    for (let place = roundUp(start); place + LogFrame.BYTES <= limit; place += BLOCK_BYTES) {
      if (place < this.#base || place + LogFrame.BYTES > this.#end) {
        if (!(yield* this.#showData(place, place + LogFrame.BYTES))) return;
        if (place + LogFrame.BYTES > this.#end) return;
      }
      if (!this.#isHeader(origin, place)) continue;
      const end = this.#frameEnd(place);
      if (end > limit) continue;
      left -= end - place;
      if (left < 0) throw damage(path, start, "what follows looks like frames, and is none");
      yield* this.#showData(place, end);
      const at = place - this.#base;
      if (isSound(this.region, origin, at, this.#end - this.#base)) {
        visit(this.region, at);
      }
    }
  }

  /** Whether something that says that it is a frame of this segment stands at a place that is shown. */
  #isHeader({ number }: FrameOrigin, place: number): boolean {
    return this.region.f64[(place - this.#base + LogFrame.segment) >> 3] === number;
  }

  #frameEnd(place: number): number {
    return place + frameBytes(this.region, place - this.#base);
  }
}
