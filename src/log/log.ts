/**
 * The log: one for all families. It knows where the next frame goes, how far everything is synced, which older
 * segments are not, and when a new segment is due. It writes nothing itself: it fills the job that does.
 *
 * A sync covers the whole log before it. A frame's own `RWF_DSYNC` is enough only when nothing unsynced lies before it;
 * otherwise older segments are synced first, oldest first, and then the frame's own file.
 * What nobody waits for is synced beside the writers (`mark`, `syncTo`).
 */
import { VarveError } from "../base/errors.ts";
import { isBefore, type LogPosition, type ManifestEdit } from "../format/manifest_edit.ts";
import type { StoreId } from "../format/manifest_file.ts";
import { nativeError } from "../native/failure.ts";
import type { Files } from "../native/files.ts";
import type { Jobs } from "../native/jobs.ts";
import {
  BLOCK_BYTES,
  Extent,
  JobFlag,
  JobHead,
  Lane,
  LOG_SYNC_FILES_MAX,
  LogFrame,
  LogWriteJob,
  Opcode,
} from "../native/layout.gen.ts";
import type { Region } from "../native/region.ts";
import type { Task } from "../native/task.ts";
import { roundUp } from "./frame.ts";
import type { Health } from "./health.ts";
import { createSegment, isUnsynced, reuseSegment, type Segment, SEGMENT_START } from "./segment.ts";
import { SpareSegments } from "./spare_segments.ts";

/** A store's first segment; each next one is four times as large, up to `walSegmentSize`. */
const FIRST_SEGMENT_BYTES = 256 * 1024;
const SEGMENT_GROWTH = 4;
/** The next segment is made when the current one is this full: four times as large, it takes a while to write ahead. */
const PREPARE_FILL = 0.125;
/** One that is only reserved takes no time by its size, but space for as long as it waits: it is made this much ahead. */
const PREPARE_BYTES = 12 << 20;
/** A segment that is less full than this is not left for the next one. */
const TURN_FILL = 0.5;

/** What a group needs written. */
export interface FrameContent {
  readonly runs: readonly { readonly region: Region; readonly bytes: number }[];
  readonly writeCount: number;
  readonly durable: boolean;
}

/** Where the next frame goes, and what it says of those before. */
export interface LogTail {
  /** The segment's file, as the library knows it. */
  readonly file: number;
  /** The checksum of the last frame. */
  readonly chain: number;
  readonly segment: number;
  readonly offset: number;
  /** No frame reaches beyond. */
  readonly end: number;
  readonly synced: LogPosition;
}

export interface LogOptions {
  readonly segmentBytes: number;
  readonly direct: boolean;
}

/** Where recovery found the log's end, and synced it: the next segment continues from there. */
export interface LogEnd {
  readonly position: LogPosition;
  readonly chain: number;
}

export class Log {
  /** Live segments, oldest first: those that recovery replayed, then those written since. */
  readonly segments: Segment[];
  readonly #spares: SpareSegments;
  /** The one that is written to, the last of `segments`. */
  #current: Segment | undefined;
  /** Made ahead; becomes the last of `segments` when the current one is full. */
  #next: Segment | undefined;
  #preparing = false;
  /** The next frame goes to the next segment, although there is room in this one. */
  #turning = false;
  /** Where the next frame goes, and where the last one ended: a sync, or whole blocks, leave a gap between. */
  #offset = SEGMENT_START;
  #lastSegment: number;
  #lastOffset: number;
  #chain: number;
  #synced: LogPosition;
  #durableFrames = 0;
  #frames = 0;
  #nextBytes = FIRST_SEGMENT_BYTES;

  constructor(
    readonly jobs: Jobs,
    readonly files: Files,
    readonly health: Health,
    readonly storeId: StoreId,
    readonly options: LogOptions,
    end: LogEnd,
    replayed: Segment[],
  ) {
    this.segments = replayed;
    this.#spares = new SpareSegments(files, roundUp(options.segmentBytes));
    this.#chain = end.chain;
    this.#synced = end.position;
    this.#lastSegment = end.position.segment;
    this.#lastOffset = end.position.offset;
  }

  /** Where the last frame ended. */
  get position(): LogPosition {
    return { segment: this.#lastSegment, offset: this.#lastOffset };
  }

  /** The segment that the next frame will be in; zero before there is one. */
  get segmentNumber(): number {
    return this.#current?.number ?? 0;
  }

  /** Whether one job can sync, before its own frame, all older segments that need it. */
  get hasRoomForSyncs(): boolean {
    return this.segments.length <= LOG_SYNC_FILES_MAX ||
      this.segments.filter(isUnsynced).length <= LOG_SYNC_FILES_MAX;
  }

  /** Whether everything that was written is known to be on stable storage, with the large values that it stands on. */
  get isSynced(): boolean {
    return !isBefore(this.#synced, this.position);
  }

  /** Makes room for a frame if a segment is at hand; false if one must be made first (`addSegment`). */
  makeRoom(payloadBytes: number): boolean {
    const needed = frameBytesMax(payloadBytes);
    const current = this.#current;
    const fits = current !== undefined && this.#offset + needed <= current.bytes;
    const next = this.#next;
    if (fits && !(this.#turning && next !== undefined)) return true;
    if (next === undefined || SEGMENT_START + needed > next.bytes) return false;
    this.#next = undefined;
    this.#current = next;
    this.segments.push(next);
    this.#offset = SEGMENT_START;
    this.#frames = this.#durableFrames = 0;
    this.#turning = false;
    return true;
  }

  /** Whether this segment may be left for the next one: it is full enough, and was not written ahead. */
  get mayTurn(): boolean {
    const current = this.#current;
    return current !== undefined && !current.blocks && this.#offset >= TURN_FILL * current.bytes;
  }

  /** Whether the next segment is at hand. */
  get hasNext(): boolean {
    return this.#next !== undefined;
  }

  /** Leaves this segment: whoever needs only what is written from now on does not need it. REQUIRES: `mayTurn` and `hasNext`. */
  turn(): void {
    this.#turning = true;
  }

  /** How the current segment is written, if there is one. */
  get isInBlocks(): boolean {
    return this.#current?.blocks === true;
  }

  /** Bytes until the segment after this one should be made, ahead of its need; `Infinity` if it is there, or being made. */
  get bytesUntilNext(): number {
    const current = this.#current;
    if (current === undefined || this.#next !== undefined || this.#preparing) return Infinity;
    const ahead = current.blocks ? Infinity : PREPARE_BYTES;
    return Math.max(PREPARE_FILL * current.bytes, current.bytes - ahead) - this.#offset;
  }

  /**
   * Makes the next segment, with room for a frame of this size, and puts it on record. `record` makes the manifest
   * edit durable: before it, no frame may be in the segment. Returns a segment that is no longer needed.
   */
  *addSegment(
    number: number,
    payloadBytes: number,
    durable: boolean,
    record: (edit: ManifestEdit) => Task<void>,
  ): Task<Segment | undefined> {
    this.#preparing = true;
    try {
      const blocks = this.#frames === 0 ? durable : 2 * this.#durableFrames >= this.#frames;
      const segment = yield* this.#makeSegment(number, payloadBytes, blocks);
      // One made ahead that turned out too small is taken back: an empty segment would end the log.
      const replaced = this.#next;
      const removedLogs = replaced === undefined ? [] : [replaced.number];
      this.#next = undefined;
      try {
        yield* record({ addedLogs: [number], removedLogs });
      } catch (error) {
        // The one made ahead is still on record, and must be used or taken back. An edit that failed on its way to the disk
        // may be found there, and then the new file must be, too.
        this.#next = replaced;
        if (this.health.failure === undefined) yield* this.files.remove(segment.file);
        else yield* this.files.close(segment.file);
        throw error;
      }
      this.#nextBytes *= SEGMENT_GROWTH;
      this.#next = segment;
      return replaced;
    } finally {
      this.#preparing = false;
    }
  }

  *#makeSegment(number: number, payloadBytes: number, blocks: boolean): Task<Segment> {
    const needed = SEGMENT_START + frameBytesMax(payloadBytes);
    const { segmentBytes, direct } = this.options;
    const bytes = roundUp(Math.max(Math.min(this.#nextBytes, segmentBytes), needed));
    const plan = { number, blocks, bytes, storeId: this.storeId, synced: this.#synced };
    if (!blocks) yield* this.#spares.drop(); // what is written now does not ask for it
    const spare = this.#spares.take(bytes);
    if (spare === undefined) return yield* createSegment(this.files, plan, direct);
    return yield* reuseSegment(this.files, { ...plan, bytes: this.#spares.bytes }, spare);
  }

  get isPreparing(): boolean {
    return this.#preparing;
  }

  /** The tail of the segment that is written in bytes, for whoever writes frames there by other means; `undefined` if it is not. */
  get tail(): LogTail | undefined {
    const current = this.#current;
    if (current === undefined || current.blocks) return undefined;
    return {
      file: current.file.handle,
      chain: this.#chain,
      segment: current.number,
      offset: this.#offset,
      end: current.bytes,
      synced: this.#synced,
    };
  }

  /** Takes over so many unsynced frames that were written to the tail. */
  grew(frames: number, offset: number, chain: number, frameEnd: number): void {
    const current = this.#current!;
    this.#lastSegment = current.number;
    this.#lastOffset = frameEnd;
    this.#offset = offset;
    this.#chain = chain;
    this.#frames += frames;
    current.writtenTo = frameEnd;
  }

  /** A job record that writes a frame at the log's end. REQUIRES: `makeRoom` was true. */
  writeJob(content: FrameContent): number | undefined {
    const job = this.jobs.take(Opcode.logWrite, Lane.log);
    if (job !== undefined) this.#fill(job, content);
    return job;
  }

  /** A write that failed is final. Returns the error of everything that it held. */
  failed(result: number): VarveError {
    const error = nativeError(result, "Cannot write the log", { path: this.files.directory });
    this.health.poison(error);
    return error;
  }

  /** Takes over what a finished write changed. REQUIRES: its result is not negative. */
  wrote(job: number, payloadBytes: number, durable: boolean): void {
    const { u32, f64 } = this.jobs.shared;
    const current = this.#current!;
    this.#lastSegment = current.number;
    this.#lastOffset = this.#offset + LogFrame.BYTES + payloadBytes;
    this.#offset = f64[(job + LogWriteJob.endOffset) >> 3];
    this.#chain = u32[(job + LogWriteJob.frameChecksum) >> 2];
    this.#frames++;
    current.writtenTo = this.#lastOffset;
    if (!durable) return;
    this.#durableFrames++;
    for (const segment of this.segments) segment.syncedTo = segment.writtenTo;
    this.#synced = this.position;
    this.#leaveBlock();
  }

  /** What is synced is not written again: the next frame starts on a fresh block. */
  #leaveBlock(): void {
    this.#offset = roundUp(this.#offset);
  }

  /**
   * Where the log ends, for a sync up to there while writing goes on behind it.
   * REQUIRES: no frame is under way, and the tail is not lent.
   */
  mark(): LogPosition {
    this.#leaveBlock();
    return this.position;
  }

  /** Syncs all up to a mark, oldest first. */
  *syncTo(mark: LogPosition): Task<void> {
    for (const segment of [...this.segments]) {
      if (segment.number <= mark.segment) yield* this.#sync(segment);
    }
    if (isBefore(this.#synced, mark)) this.#synced = mark;
  }

  /** Syncs the segments that are full. */
  *syncOlder(): Task<void> {
    for (const segment of [...this.segments]) {
      if (segment !== this.#current) yield* this.#sync(segment);
    }
  }

  /** Syncs every segment, file by file: a sync by way of a frame would need room. REQUIRES: no frame is under way. */
  *syncAll(): Task<void> {
    for (const segment of [...this.segments]) yield* this.#sync(segment);
  }

  /** Covers what is written when it begins. */
  *#sync(segment: Segment): Task<void> {
    const { writtenTo } = segment;
    if (segment.syncedTo >= writtenTo) return;
    try {
      yield* this.files.sync(segment.file);
      segment.syncedTo = Math.max(segment.syncedTo, writtenTo);
    } catch (error) {
      // Closed meanwhile, for another's sync had covered it all.
      if (!(error instanceof VarveError) || segment.syncedTo < writtenTo) throw error;
    }
  }

  /** Forgets these segments, the oldest ones, and returns them. */
  remove(numbers: readonly number[]): Segment[] {
    const removed: Segment[] = [];
    while (this.segments.length > 0 && numbers.includes(this.segments[0].number)) {
      removed.push(this.segments.shift()!);
    }
    return removed;
  }

  /** Keeps a removed segment, to be written again. False: it is of no use, and the caller's. REQUIRES: nobody reads it. */
  keep(segment: Segment): Task<boolean> {
    return this.#spares.keep(segment, this.#current);
  }

  /** Gives back the space of the segments that are kept. False: there are none. */
  dropSpares(): Task<boolean> {
    return this.#spares.drop();
  }

  /** Every open segment, for close. */
  all(): Segment[] {
    return this.#next === undefined ? this.segments : [...this.segments, this.#next];
  }

  #fill(job: number, { runs, writeCount, durable }: FrameContent): void {
    const current = this.#current!;
    const { u32, i32, f64 } = this.jobs.shared;
    let flags = 0;
    if (current.blocks) flags |= JobFlag.blocks;
    if (durable) flags |= JobFlag.durable;
    if (durable && isUnsynced(current)) flags |= JobFlag.syncFile;
    u32[(job + JobHead.flags) >> 2] = flags;
    i32[(job + LogWriteJob.file) >> 2] = current.file.handle;
    u32[(job + LogWriteJob.chain) >> 2] = this.#chain;
    f64[(job + LogWriteJob.offset) >> 3] = this.#offset;
    f64[(job + LogWriteJob.segment) >> 3] = current.number;
    f64[(job + LogWriteJob.syncedSegment) >> 3] = this.#synced.segment;
    f64[(job + LogWriteJob.syncedOffset) >> 3] = this.#synced.offset;
    u32[(job + LogWriteJob.mark) >> 2] = current.mark;
    u32[(job + LogWriteJob.writeCount) >> 2] = writeCount;
    if (durable) this.#fillSyncs(job);
    u32[(job + LogWriteJob.extentCount) >> 2] = runs.length;
    for (let index = 0; index < runs.length; index++) {
      const extent = job + LogWriteJob.extents + index * Extent.BYTES;
      i32[(extent + Extent.region) >> 2] = runs[index].region.id;
      u32[(extent + Extent.offset) >> 2] = 0;
      u32[(extent + Extent.bytes) >> 2] = runs[index].bytes;
    }
  }

  /** The older segments to be synced before the frame, oldest first. */
  #fillSyncs(job: number): void {
    const { u32, i32 } = this.jobs.shared;
    let count = 0;
    for (const segment of this.segments) {
      if (!isUnsynced(segment) || segment === this.#current) continue;
      i32[((job + LogWriteJob.syncFiles) >> 2) + count++] = segment.file.handle;
    }
    u32[(job + LogWriteJob.syncFileCount) >> 2] = count;
  }
}

/** Bytes that a frame may take, with padding to blocks. */
function frameBytesMax(payloadBytes: number): number {
  return LogFrame.BYTES + payloadBytes + BLOCK_BYTES;
}
