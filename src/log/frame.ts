/** Frames of the log as they lie in memory: places, sizes, checks. */
import { BLOCK_BYTES, LogFrame } from "../native/layout.gen.ts";
import { native } from "../native/library.ts";
import type { Region } from "../native/region.ts";

const FRAME_VALID = 0;

/** Whether the frame at an offset of a segment checks out. */
export function isSound(region: Region, number: number, offset: number, limit: number): boolean {
  return native().call.varve_frame_check(region.id, offset, limit, number) === FRAME_VALID;
}

/** Bytes to the next frame, when no sync comes between. */
export function frameBytes(region: Region, frame: number): number {
  return LogFrame.BYTES + region.u32[(frame + LogFrame.payloadBytes) >> 2];
}

/** Where the next frame may be if a sync came between. */
export function roundUp(offset: number): number {
  return Math.ceil(offset / BLOCK_BYTES) * BLOCK_BYTES;
}
