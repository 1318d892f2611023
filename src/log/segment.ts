/**
 * One log segment: a preallocated file that is written in one way from its first byte to its last, in whole blocks
 * (direct I/O, for synced groups) or in bytes (through the page cache, for buffered ones).
 */
import type { StoreId } from "../format/manifest_file.ts";
import type { LogPosition } from "../format/manifest_edit.ts";
import type { Files, OpenFile } from "../native/files.ts";
import {
  BLOCK_BYTES,
  FileFlag,
  FileKind,
  LOG_MAGIC,
  LOG_VERSION,
  LogSegmentHeader,
  SegmentWay,
} from "../native/layout.gen.ts";
import { native } from "../native/library.ts";
import { type Region, releaseRegion, reserveRegion } from "../native/region.ts";
import type { Task } from "../native/task.ts";
import type { FrameOrigin } from "./frame.ts";

/** Frames start behind the header's block. */
export const SEGMENT_START = BLOCK_BYTES;

export interface Segment extends FrameOrigin {
  readonly file: OpenFile;
  readonly blocks: boolean;
  /** Reserved bytes; no frame reaches beyond. */
  readonly bytes: number;
  /** Where the last frame ends that was written since it was opened; zero for none. What a sync covered reaches as far, or less far. */
  writtenTo: number;
  syncedTo: number;
}

export function isUnsynced({ writtenTo, syncedTo }: Segment): boolean {
  return syncedTo < writtenTo;
}

/** What a segment is made for. */
export interface SegmentPlan {
  readonly number: number;
  readonly blocks: boolean;
  /** The file's size. */
  readonly bytes: number;
  readonly storeId: StoreId;
  readonly synced: LogPosition;
}

/** What a segment's header states. */
export interface SegmentHeader extends SegmentPlan, FrameOrigin {
  readonly checksum: number;
}

/**
 * Makes a segment: space reserved, and for blocks also written, so that a synced write there changes no metadata;
 * header, file and name on stable storage. A failure leaves no file behind, `ERR_NO_SPACE` included.
 */
export function* createSegment(files: Files, plan: SegmentPlan, direct: boolean): Task<Segment> {
  const { number, blocks, bytes } = plan;
  const name = { kind: FileKind.log, number };
  const file = yield* files.open(name, FileFlag.create | (blocks && direct ? FileFlag.direct : 0));
  yield* files.making(file, fillNew(files, file, plan));
  return { number, mark: 0, file, blocks, bytes, writtenTo: 0, syncedTo: 0 };
}

function* fillNew(files: Files, file: OpenFile, plan: SegmentPlan): Task<void> {
  const { blocks, bytes } = plan;
  const header = reserveRegion(BLOCK_BYTES);
  try {
    yield* files.allocate(file, 0, bytes, blocks);
    // Its last block gives the file its size where the system reserves nothing.
    if (!blocks) yield* files.write(file, header, bytes - BLOCK_BYTES, BLOCK_BYTES);
    encodeHeader(header, plan, false);
    yield* files.write(file, header, 0, BLOCK_BYTES);
    yield* files.sync(file);
    yield* files.syncDirectory();
  } finally {
    releaseRegion(header.id);
  }
}

/**
 * Makes a segment in blocks of a file that was one: its space is there and written. Its frames carry a mark that nobody can know
 * beforehand, so that nothing which stands in the file is taken for one of them. A failure leaves no file behind.
 */
export function* reuseSegment(files: Files, plan: SegmentPlan, spare: OpenFile): Task<Segment> {
  const { number, blocks, bytes } = plan;
  const file: OpenFile = { ...spare, kind: FileKind.log, number };
  const mark = yield* files.making(spare, writeOver(files, spare, plan));
  yield* files.making(spare, files.rename(spare, file));
  yield* files.making(file, files.syncDirectory());
  return { number, mark, file, blocks, bytes, writtenTo: 0, syncedTo: 0 };
}

/** Returns the mark of the segment's frames. */
function* writeOver(files: Files, spare: OpenFile, plan: SegmentPlan): Task<number> {
  // With the first frame's place: nothing stands there until it is written, as in a new file.
  const front = reserveRegion(2 * BLOCK_BYTES);
  try {
    // From here on the file must not come back under the name that it had as a segment.
    yield* files.syncDirectory();
    front.u8.fill(0, BLOCK_BYTES, 2 * BLOCK_BYTES);
    const mark = encodeHeader(front, plan, true);
    yield* files.write(spare, front, 0, 2 * BLOCK_BYTES);
    yield* files.sync(spare);
    return mark;
  } finally {
    releaseRegion(front.id);
  }
}

/** The header at the start of a region, or what is wrong with it. */
export function decodeSegmentHeader(region: Region): SegmentHeader | string {
  const { u8, u32, f64 } = region;
  if (u32[LogSegmentHeader.magic >> 2] !== LOG_MAGIC) return "it is not a log segment";
  const checksum = u32[LogSegmentHeader.checksum >> 2];
  if (checksum !== checksumOfHeader(u8)) return "its header is damaged";
  const version = u32[LogSegmentHeader.version >> 2];
  if (version !== LOG_VERSION) {
    return `it has format version ${version}, this library knows ${LOG_VERSION}`;
  }
  const way = u32[LogSegmentHeader.way >> 2];
  return {
    checksum,
    mark: (way & SegmentWay.reused) !== 0 ? checksum : 0,
    blocks: (way & SegmentWay.blocks) !== 0,
    number: f64[LogSegmentHeader.segment >> 3],
    bytes: f64[LogSegmentHeader.bytes >> 3],
    storeId: {
      low: u32[LogSegmentHeader.storeIdLow >> 2],
      high: u32[LogSegmentHeader.storeIdHigh >> 2],
    },
    synced: {
      segment: f64[LogSegmentHeader.syncedSegment >> 3],
      offset: f64[LogSegmentHeader.syncedOffset >> 3],
    },
  };
}

/** Whether a header checks out and was written by a later version. */
export function isOfLaterVersion({ u8, u32 }: Region): boolean {
  return u32[LogSegmentHeader.magic >> 2] === LOG_MAGIC &&
    u32[LogSegmentHeader.checksum >> 2] === checksumOfHeader(u8) &&
    u32[LogSegmentHeader.version >> 2] > LOG_VERSION;
}

/** Returns the mark of the segment's frames. */
function encodeHeader(region: Region, plan: SegmentPlan, isReused: boolean): number {
  const { number, blocks, bytes, storeId, synced } = plan;
  const { u8, u32, f64 } = region;
  u8.fill(0, 0, BLOCK_BYTES);
  u32[LogSegmentHeader.magic >> 2] = LOG_MAGIC;
  u32[LogSegmentHeader.version >> 2] = LOG_VERSION;
  u32[LogSegmentHeader.way >> 2] = (blocks ? SegmentWay.blocks : 0) |
    (isReused ? SegmentWay.reused : 0);
  f64[LogSegmentHeader.segment >> 3] = number;
  u32[LogSegmentHeader.storeIdLow >> 2] = storeId.low;
  u32[LogSegmentHeader.storeIdHigh >> 2] = storeId.high;
  f64[LogSegmentHeader.syncedSegment >> 3] = synced.segment;
  f64[LogSegmentHeader.syncedOffset >> 3] = synced.offset;
  f64[LogSegmentHeader.bytes >> 3] = bytes;
  const checksum = checksumOfHeader(u8);
  u32[LogSegmentHeader.checksum >> 2] = checksum;
  return isReused ? checksum : 0;
}

/** Over every byte of the header behind the checksum itself. */
function checksumOfHeader(u8: Uint8Array): number {
  const covered = u8.slice(LogSegmentHeader.checksum + 4, LogSegmentHeader.BYTES);
  return native().call.varve_checksum(covered, covered.length) >>> 0;
}
