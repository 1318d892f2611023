/**
 * What a log still proves when no manifest says which segments are live: for a repair.
 *
 * Segments are taken by their numbers. One belongs to the log if its first frame carries the checksum of the last frame that was
 * taken: that proves that its writer knew where the log had ended, whatever lies behind that place in the older segment. One that
 * does not follow is no part of it, and a later one that does follow still is. Within a segment the log goes on as long as frames
 * follow each other. So what is taken is one unbroken stretch of the log, up to the first gap.
 *
 * Which segment is the first cannot be proven: what came before it is in tables. It is the lowest one that holds a frame, unless
 * something before it cannot be read; then only the log's very first frame will do, which follows nothing.
 */
import { unsupported, VarveError } from "../base/errors.ts";
import { isBefore, type LogPosition } from "../format/manifest_edit.ts";
import type { StoreId } from "../format/manifest_file.ts";
import type { Files } from "../native/files.ts";
import { BLOCK_BYTES, FileFlag, FileKind, LogFrame } from "../native/layout.gen.ts";
import { type Region, releaseRegion, reserveRegion } from "../native/region.ts";
import type { Task } from "../native/task.ts";
import { frameBytes, type FrameOrigin, isSound, roundUp, soundRunBytes } from "./frame.ts";
import { FrameSearch } from "./frame_search.ts";
import type { RunVisitor } from "./frame_walk.ts";
import { SEGMENT_BYTES_MAX } from "./replay.ts";
import {
  decodeSegmentHeader,
  isOfLaterVersion,
  SEGMENT_START,
  type SegmentHeader,
} from "./segment.ts";

/** The chain of a frame that follows nothing. */
const NO_CHAIN = 0;

/** A segment that is part of the log, and where its last frame ends. */
export interface SavedSegment {
  readonly number: number;
  readonly end: number;
  /** The size that its header states. */
  readonly bytes: number;
}

export interface SalvagedLog {
  readonly segments: readonly SavedSegment[];
  /** Segments that hold something which is no part of the log, and why. */
  readonly lost: readonly { readonly number: number; readonly reason: string }[];
  /** Sound frames behind the end, in the last segment; empty if there are none. */
  readonly cutOff: string;
  /** How far the log says that it was synced: noughts for not at all. */
  readonly synced: LogPosition;
  /** Whose log it is; `undefined` if no segment says. */
  readonly storeId: StoreId | undefined;
}

/**
 * Reads the segments of these numbers, ascending, and shows each run that counts to `visit`. Changes nothing. `storeId`: whose they
 * have to be, if that is known. `end`: a frame that does not count, nor does what follows it. Throws `ERR_UNSUPPORTED` for a segment of a later version.
 */
export function* salvageLog(
  files: Files,
  numbers: readonly number[],
  storeId: StoreId | undefined,
  visit: RunVisitor,
  end?: LogPosition,
): Task<SalvagedLog> {
  const salvage = new Salvage(files, storeId, visit, end);
  for (const number of numbers) yield* salvage.segment(number);
  return salvage;
}

/**
 * Makes a segment what a manifest may state: as long as its header says, and on stable storage up to its end. Its frames are
 * written once more, for a sync that failed before the process ended left some that no later sync writes.
 */
export function* settleSegment(files: Files, { number, end, bytes }: SavedSegment): Task<void> {
  const file = yield* files.open({ kind: FileKind.log, number }, 0);
  try {
    const region = reserveRegion(end);
    try {
      yield* files.read(file, region, 0, end);
      yield* files.write(file, region, 0, end);
    } finally {
      releaseRegion(region.id);
    }
    if ((yield* files.size(file)) < bytes) yield* files.truncate(file, bytes);
    yield* files.sync(file);
  } finally {
    yield* files.close(file);
  }
}

class Salvage implements SalvagedLog {
  readonly segments: SavedSegment[] = [];
  readonly lost: { number: number; reason: string }[] = [];
  cutOff = "";
  synced: LogPosition = { segment: 0, offset: 0 };
  #chain = NO_CHAIN;
  /** Something before the first segment that was taken cannot be read. */
  #gap = false;

  constructor(
    readonly files: Files,
    public storeId: StoreId | undefined,
    readonly visit: RunVisitor,
    readonly end: LogPosition | undefined,
  ) {}

  *segment(number: number): Task<void> {
    try {
      const { region, bytes } = yield* twice(() => this.#read(number));
      try {
        this.#take(region, number, bytes);
      } finally {
        releaseRegion(region.id);
      }
    } catch (error) {
      if (!(error instanceof VarveError) || error.errnoName !== "EIO") throw error;
      this.#lose(number, error.message);
    }
  }

  /** The whole file, in a region for the caller to release; nothing of one that is too large. */
  *#read(number: number): Task<{ region: Region; bytes: number }> {
    const file = yield* this.files.open({ kind: FileKind.log, number }, FileFlag.readOnly);
    try {
      const size = yield* this.files.size(file);
      const wanted = size > SEGMENT_BYTES_MAX ? 0 : size;
      const region = reserveRegion(Math.max(wanted, BLOCK_BYTES));
      try {
        return { region, bytes: yield* this.files.read(file, region, 0, wanted) };
      } catch (error) {
        releaseRegion(region.id);
        throw error;
      }
    } finally {
      yield* this.files.close(file);
    }
  }

  #take(region: Region, number: number, limit: number): void {
    if (limit < BLOCK_BYTES) return this.#lose(number, "it has no header, or is no segment at all");
    const header = decodeSegmentHeader(region);
    if (typeof header === "string") {
      if (!isOfLaterVersion(region)) return this.#lose(number, header);
      throw unsupported(
        `Cannot repair '${this.files.directory}': log segment ${number}: ${header}`,
      );
    }
    if (header.number !== number || !this.#isOurs(header)) {
      return this.#lose(number, "it is another segment");
    }
    if (!isSound(region, header, SEGMENT_START, limit)) {
      if (limit < header.bytes) return this.#lose(number, "it is cut off behind its header");
      // Space that was reserved and never written; in a damaged block something would stand.
      if (isBlank(region, SEGMENT_START)) return;
      return this.#lose(number, "its first frame is damaged");
    }
    const chain = region.u32[(SEGMENT_START + LogFrame.chain) >> 2];
    const isFirst = this.segments.length === 0;
    const follows = isFirst ? chain === NO_CHAIN || !this.#gap : chain === this.#chain;
    if (!follows) return this.#lose(number, "it does not follow what is left of the log before it");
    const end = this.#frames(region, header, limit);
    if (end === SEGMENT_START) return this.#lose(number, "nothing in it makes sense");
    this.#claim(header.synced);
    this.storeId ??= header.storeId;
    this.segments.push({ number, end, bytes: Math.max(header.bytes, end) });
    this.cutOff = framesBehind(region, header, end, limit);
  }

  #isOurs({ storeId }: SegmentHeader): boolean {
    const known = this.storeId;
    return known === undefined || (storeId.low === known.low && storeId.high === known.high);
  }

  /** Takes frames while they follow each other. REQUIRES: the first one is sound and follows. */
  #frames(region: Region, origin: FrameOrigin, limit: number): number {
    let end = SEGMENT_START;
    let frame: number | undefined = SEGMENT_START;
    while (frame !== undefined && this.#visitRuns(region, origin.number, frame)) {
      this.#chain = region.u32[(frame + LogFrame.checksum) >> 2];
      this.#claim({
        segment: region.f64[(frame + LogFrame.syncedSegment) >> 3],
        offset: region.f64[(frame + LogFrame.syncedOffset) >> 3],
      });
      end = frame + frameBytes(region, frame);
      frame = [end, roundUp(end)].find((place) =>
        isSound(region, origin, place, limit) &&
        region.u32[(place + LogFrame.chain) >> 2] === this.#chain
      );
    }
    return end;
  }

  /** False: a run makes no sense, and nothing of its frame counts. */
  #visitRuns(region: Region, number: number, frame: number): boolean {
    if (this.end !== undefined && !isBefore({ segment: number, offset: frame }, this.end)) {
      return false;
    }
    const end = frame + frameBytes(region, frame);
    const runs: number[] = [];
    for (let run = frame + LogFrame.BYTES; run < end;) {
      const bytes = soundRunBytes(region, run, end);
      if (bytes === undefined) return false;
      runs.push(run);
      run += bytes;
    }
    for (const run of runs) this.visit(region, run, number, frame);
    return true;
  }

  #claim(synced: LogPosition): void {
    if (isBefore(this.synced, synced)) this.synced = synced;
  }

  #lose(number: number, reason: string): void {
    this.lost.push({ number, reason });
    if (this.segments.length === 0) this.#gap = true;
  }
}

/** A medium that fails to read may succeed at the next try; what fails again is taken for lost. */
export function* twice<T>(begin: () => Task<T>): Task<T> {
  try {
    return yield* begin();
  } catch (error) {
    if (!(error instanceof VarveError) || error.errnoName !== "EIO") throw error;
    return yield* begin();
  }
}

function isBlank({ u32 }: Region, offset: number): boolean {
  const start = offset >> 2;
  return u32.subarray(start, start + (BLOCK_BYTES >> 2)).every((word) => word === 0);
}

/** What to say of frames that cannot be reached. */
function framesBehind(region: Region, origin: FrameOrigin, end: number, limit: number): string {
  const search = new FrameSearch(region, origin, limit);
  const place = search.next(end);
  if (place !== undefined) {
    return `the log ends at offset ${end}, and there are frames from ${place} on`;
  }
  if (search.gaveUp) return `what follows offset ${end} looks like frames, and is none`;
  return "";
}
