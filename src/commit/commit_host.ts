/** What stands around the pipeline: the store that it commits for, other Workers, and what it counts. */
import type { Signal } from "../native/signal.ts";
import type { Family } from "../tree/family.ts";

/** What the pipeline needs of the store around it. */
export interface CommitHost {
  family(id: number): Family | undefined;
  /** Something that must happen before more entries fit into memory, or `undefined`. May throw what prevents it. */
  memoryObstacle(): Signal | undefined;
  /** A segment for a frame of this size is being made; set when that ended. May throw what prevents it. */
  segmentObstacle(payloadBytes: number, durable: boolean): Signal;
  /** Large values became visible: their memtables may be full although little was committed. */
  valuesApplied(): void;
  /** Bytes that may be committed before `memoryObstacle` is asked again; zero while anything slows writers down. */
  readonly allowance: number;
  /** Full segments are being synced, more than one frame's write can; set when that ended. */
  syncObstacle(): Signal;
}

/** Where buffers of other Workers come from. */
export interface WriteSource {
  /** Puts what has come into the pipeline, by `enqueueForeign`. */
  collect(): void;
  /** Called before a group becomes visible: readers elsewhere must be able to find it then. */
  beforeVisible(): void;
}

export interface CommitCounters {
  groups: number;
  /** Groups that were synced. */
  syncGroups: number;
  writes: number;
  entries: number;
  bytes: number;
  /** Logged bytes of groups of more than one write: they went out in a call that others' writes shared. */
  bytesCoalesced: number;
}
