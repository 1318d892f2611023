/** Frames and runs of the log as they lie in memory: places, sizes, checks. */
import { corruption, type VarveError } from "../base/errors.ts";
import { BLOCK_BYTES, LogFrame } from "../native/layout.gen.ts";
import { native } from "../native/library.ts";
import type { Region } from "../native/region.ts";

const FRAME_VALID = 0;

/** What the frames of one segment carry, and nothing else that may stand in its file. */
export interface FrameOrigin {
  /** The segment's. */
  readonly number: number;
  /** Zero, but in a segment that was made of an older one. */
  readonly mark: number;
}

/** Whether the frame at an offset of a segment checks out. */
export function isSound(
  region: Region,
  { number, mark }: FrameOrigin,
  offset: number,
  limit: number,
): boolean {
  return native().call.varve_frame_check(region.id, offset, limit, number, mark) === FRAME_VALID;
}

/** Bytes to the next frame, when no sync comes between. */
export function frameBytes(region: Region, frame: number): number {
  return LogFrame.BYTES + region.u32[(frame + LogFrame.payloadBytes) >> 2];
}

/** Where the next frame may be if a sync came between. */
export function roundUp(offset: number): number {
  return Math.ceil(offset / BLOCK_BYTES) * BLOCK_BYTES;
}

/** The bytes of a run whose entries all lie within it and can be what they say, or `undefined`. */
export function soundRunBytes(region: Region, run: number, end: number): number | undefined {
  const bytes = native().call.varve_run_check(region.id, run, end);
  return bytes < 0 ? undefined : bytes;
}

/** A segment that is not what it must be. */
export function damage(path: string, offset: number, found: string): VarveError {
  return corruption(`Cannot replay '${path}' at offset ${offset}: ${found}`, { path, offset });
}
