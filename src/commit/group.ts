/** Which of the queued buffers are committed together. */
import type { ValueWrite } from "../blob/value_write.ts";
import { LOG_EXTENTS_MAX } from "../native/layout.gen.ts";
import type { Signal } from "../native/signal.ts";
import type { WriteBuffer } from "./write_buffer.ts";

/** A group takes buffers up to this size, so that a sync is not kept waiting by a long copy. */
const GROUP_BYTES_MAX = 8 << 20;

/** Buffers that are committed together: one frame, one sync at most, one moment of visibility. */
export interface Group {
  readonly lane: Lane;
  readonly buffers: readonly WriteBuffer[];
  /** Those that the frame carries: neither empty nor volatile. */
  readonly runs: readonly WriteBuffer[];
  readonly payloadBytes: number;
  readonly writeCount: number;
  readonly entryCount: number;
  readonly durable: boolean;
  segment: number;
  lastSequence: number;
  /** When a durable group's frame was begun. */
  startedAt: number;
}

/** Buffers in order, and what the first of them waits for. */
export interface Lane {
  readonly queue: WriteBuffer[];
  blockedOn: Signal | undefined;
}

/** The buffers at the head of a lane that make one group. They stay there until it begins. */
export function nextGroup(lane: Lane): Group {
  const buffers: WriteBuffer[] = [];
  const runs: WriteBuffer[] = [];
  let bytes = 0;
  let payloadBytes = 0;
  let writeCount = 0;
  let entryCount = 0;
  let durable = false;
  let foreignLogged: boolean | undefined;
  for (const buffer of lane.queue) {
    bytes += buffer.bytes;
    if (buffers.length === LOG_EXTENTS_MAX || (buffers.length > 0 && bytes > GROUP_BYTES_MAX)) {
      break;
    }
    if (!buffer.isWhole || buffer.valueFailure !== undefined) break; // never the first
    if (buffer.isForeign) {
      // A host that dies leaves of a group what is in the log. What another Worker wrote is committed up to some place, not here and there.
      foreignLogged ??= buffer.logged;
      if (buffer.logged !== foreignLogged) break;
    }
    buffers.push(buffer);
    entryCount += buffer.entryCount;
    if (buffer.durable) durable = true;
    if (!buffer.logged || buffer.entryCount === 0) continue;
    runs.push(buffer);
    payloadBytes += buffer.bytes;
    writeCount += buffer.writeCount;
  }
  return {
    lane,
    buffers,
    runs,
    payloadBytes,
    writeCount,
    entryCount,
    durable,
    segment: 0,
    lastSequence: 0,
    startedAt: 0,
  };
}

export function* valuesOf(buffers: readonly WriteBuffer[]): Iterable<ValueWrite> {
  for (const { values } of buffers) yield* values;
}

export function dequeue({ lane: { queue }, buffers }: Group): void {
  if (buffers.length === queue.length) queue.length = 0;
  else queue.splice(0, buffers.length);
}
