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
} from "../native/layout.gen.ts";
import { native } from "../native/library.ts";
import { type Region, releaseRegion, reserveRegion } from "../native/region.ts";
import type { Task } from "../native/task.ts";

/** Frames start behind the header's block. */
export const SEGMENT_START = BLOCK_BYTES;

export interface Segment {
  readonly number: number;
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

/** What a segment's header states. */
export interface SegmentHeader {
  readonly checksum: number;
  readonly blocks: boolean;
  readonly number: number;
  /** The file's size. */
  readonly bytes: number;
  readonly storeId: StoreId;
  readonly synced: LogPosition;
}

/**
 * Makes a segment: space reserved, and for blocks also written, so that a synced write there changes no metadata;
 * header, file and name on stable storage. A failure leaves no file behind, `ERR_NO_SPACE` included.
 */
export function* createSegment(
  files: Files,
  number: number,
  bytes: number,
  blocks: boolean,
  direct: boolean,
  storeId: StoreId,
  synced: LogPosition,
): Task<Segment> {
  const name = { kind: FileKind.log, number };
  const file = yield* files.open(name, FileFlag.create | (blocks && direct ? FileFlag.direct : 0));
  const header = reserveRegion(BLOCK_BYTES);
  try {
    yield* files.allocate(file, 0, bytes, blocks);
    // Its last block gives the file its size where the system reserves nothing.
    if (!blocks) yield* files.write(file, header, bytes - BLOCK_BYTES, BLOCK_BYTES);
    encodeHeader(header, number, bytes, blocks, storeId, synced);
    yield* files.write(file, header, 0, BLOCK_BYTES);
    yield* files.sync(file);
    yield* files.syncDirectory();
  } catch (error) {
    yield* files.close(file);
    yield* files.unlink(name);
    throw error;
  } finally {
    releaseRegion(header.id);
  }
  return { number, file, blocks, bytes, writtenTo: 0, syncedTo: 0 };
}

/** Closes and removes a segment. REQUIRES: the manifest no longer names it. */
export function* removeSegment(files: Files, segment: Segment): Task<void> {
  yield* files.close(segment.file);
  yield* files.unlink(segment.file);
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
  return {
    checksum,
    blocks: u32[LogSegmentHeader.blocks >> 2] === 1,
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

function encodeHeader(
  region: Region,
  number: number,
  bytes: number,
  blocks: boolean,
  storeId: StoreId,
  synced: LogPosition,
): void {
  const { u8, u32, f64 } = region;
  u8.fill(0, 0, BLOCK_BYTES);
  u32[LogSegmentHeader.magic >> 2] = LOG_MAGIC;
  u32[LogSegmentHeader.version >> 2] = LOG_VERSION;
  u32[LogSegmentHeader.blocks >> 2] = blocks ? 1 : 0;
  f64[LogSegmentHeader.segment >> 3] = number;
  u32[LogSegmentHeader.storeIdLow >> 2] = storeId.low;
  u32[LogSegmentHeader.storeIdHigh >> 2] = storeId.high;
  f64[LogSegmentHeader.syncedSegment >> 3] = synced.segment;
  f64[LogSegmentHeader.syncedOffset >> 3] = synced.offset;
  f64[LogSegmentHeader.bytes >> 3] = bytes;
  u32[LogSegmentHeader.checksum >> 2] = checksumOfHeader(u8);
}

/** Over every byte of the header behind the checksum itself. */
function checksumOfHeader(u8: Uint8Array): number {
  const covered = u8.slice(LogSegmentHeader.checksum + 4, LogSegmentHeader.BYTES);
  return native().call.varve_checksum(covered, covered.length) >>> 0;
}
