/**
 * The way through the frames of one segment after the other, as the library goes it (`log_walk.zig`): it puts entries into memtables
 * by itself, or only checks them, and stops where somebody here has to decide. One for each replay; it blocks this thread.
 */
import { assert } from "../base/assert.ts";
import type { LogPosition } from "../format/manifest_edit.ts";
import { LogWalk, WalkFamily, WalkMode, WalkStop } from "../native/layout.gen.ts";
import { native } from "../native/library.ts";
import { type Region, releaseRegion, reserveRegion } from "../native/region.ts";
import { damage, type FrameOrigin } from "./frame.ts";
import { SEGMENT_START } from "./segment.ts";

/** Where the entries of one family go. */
export interface FamilyTarget {
  readonly id: number;
  /** A memtable's region, and how far it may be filled. */
  readonly memtable: number;
  /** What is not newer is left out. */
  readonly flushedSequence: number;
}

/** Takes a run: the region and the offset of its `LogRun`, and the segment and the offset of its frame. */
export type RunVisitor = (region: Region, offset: number, segment: number, frame: number) => void;

/** What becomes of entries. Nothing, where neither is given. */
export interface EntrySink {
  readonly run?: RunVisitor;
  readonly memtables?: MemtableSink;
}

/** Memtables that the library fills. */
export interface MemtableSink {
  /** All families there are. Asked for at the beginning, and after every call of `entry`. */
  targets(): readonly FamilyTarget[];
  /** Families with smaller numbers that are no targets were dropped. */
  readonly nextFamily: number;
  /**
   * Takes the entry at a byte offset, which the library leaves: its memtable is full, its value large, or its family unknown.
   */
  entry(region: Region, offset: number, sequence: number, segment: number, frame: number): void;
  /** Called when an entry that expires was put away. */
  expires(): void;
}

/** The bytes of a segment that lie in memory: from `base` on. */
export interface Shown {
  readonly region: Region;
  readonly base: number;
}

const HEADER_WORDS = LogWalk.BYTES >> 2;
const FAMILY_WORDS = WalkFamily.BYTES >> 2;

export class FrameWalk {
  #request: Region;

  constructor(readonly sink: EntrySink) {
    this.#request = reserveRegion(bytesFor(sink.memtables?.targets().length ?? 0));
    this.#request.u8.fill(0, 0, LogWalk.BYTES);
    const mode = sink.memtables !== undefined ? "apply" : sink.run !== undefined ? "runs" : "check";
    this.#request.u32[LogWalk.mode >> 2] = WalkMode[mode];
  }

  release(): void {
    releaseRegion(this.#request.id);
  }

  /** Goes to the first frame of a segment; `chain`: of the frame before, unless there was none. */
  begin({ number, mark }: FrameOrigin, isFirst: boolean, chain: number): void {
    const { u32, f64 } = this.#request;
    f64[LogWalk.segment >> 3] = number;
    u32[LogWalk.mark >> 2] = mark;
    f64[LogWalk.offset >> 3] = SEGMENT_START;
    u32[LogWalk.isFirst >> 2] = isFirst ? 1 : 0;
    u32[LogWalk.chain >> 2] = chain;
    f64[LogWalk.frame >> 3] = 0;
  }

  /**
   * Walks to where the frames end, or the bytes that are shown do; nothing from `limit` on counts. A malformed run is
   * `ERR_CORRUPTION`.
   */
  run({ run, memtables }: EntrySink, shown: Shown, limit: number, path: string): void {
    const { u32, i32, f64 } = this.#request;
    const { region, base } = shown;
    i32[LogWalk.source >> 2] = region.id;
    f64[LogWalk.base >> 3] = base;
    f64[LogWalk.limit >> 3] = limit;
    const segment = f64[LogWalk.segment >> 3];
    if (memtables !== undefined) this.#aim(memtables);
    for (;;) {
      const stop = native().call.varve_log_walk(this.#request.id);
      if (u32[LogWalk.sawExpiry >> 2] !== 0) memtables?.expires();
      const frame = f64[LogWalk.frame >> 3];
      switch (stop) {
        case WalkStop.end:
          return;
        case WalkStop.run:
          run!(region, f64[LogWalk.run >> 3] - base, segment, frame);
          break;
        case WalkStop.entry:
          this.#handOver(memtables!, shown, segment, frame);
          break;
        case WalkStop.malformed:
          throw damage(path, f64[LogWalk.run >> 3], "a run of entries is malformed");
        default:
          assert(false, "a walk is asked for what is there");
      }
    }
  }

  #handOver(
    memtables: MemtableSink,
    { region, base }: Shown,
    segment: number,
    frame: number,
  ): void {
    const { f64 } = this.#request;
    const sequence = f64[LogWalk.sequence >> 3] - 1;
    memtables.entry(region, f64[LogWalk.refused >> 3] - base, sequence, segment, frame);
    this.#aim(memtables);
  }

  #aim(memtables: MemtableSink): void {
    const { u32, i32, f64 } = this.#request;
    const targets = memtables.targets();
    u32[LogWalk.familyCount >> 2] = targets.length;
    u32[LogWalk.nextFamily >> 2] = memtables.nextFamily;
    targets.forEach(({ id, memtable, flushedSequence }, index) => {
      const at = HEADER_WORDS + index * FAMILY_WORDS;
      u32[at + (WalkFamily.family >> 2)] = id;
      i32[at + (WalkFamily.memtable >> 2)] = memtable;
      f64[(at >> 1) + (WalkFamily.flushedSequence >> 3)] = flushedSequence;
    });
  }

  /** Where the last frame ended. */
  get offset(): number {
    return this.#request.f64[LogWalk.offset >> 3];
  }

  /** Its checksum. */
  get chain(): number {
    return this.#request.u32[LogWalk.chain >> 2];
  }

  /** The furthest place that a frame says was synced. */
  get synced(): LogPosition {
    const { f64 } = this.#request;
    return {
      segment: f64[LogWalk.syncedSegment >> 3],
      offset: f64[LogWalk.syncedOffset >> 3],
    };
  }

  /** The greatest sequence number of an entry; zero: there was none. */
  get lastSequence(): number {
    return this.#request.f64[LogWalk.lastSequence >> 3];
  }
}

function bytesFor(familyCount: number): number {
  return LogWalk.BYTES + familyCount * WalkFamily.BYTES;
}
