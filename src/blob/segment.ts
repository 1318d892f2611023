/**
 * One blob segment: a file that is reserved whole, then filled with values, each from a block's start. Space is taken by moving
 * `end`; so no two threads extend the file, and no write needs another's.
 */
import type { StoreId } from "../format/manifest_file.ts";
import type { Files, OpenFile } from "../native/files.ts";
import {
  BLOB_MAGIC,
  BLOB_VERSION,
  BlobSegmentHeader,
  BLOCK_BYTES,
  FileFlag,
  FileKind,
} from "../native/layout.gen.ts";
import { native } from "../native/library.ts";
import { type Region, releaseRegion, reserveRegion } from "../native/region.ts";
import { Signal } from "../native/signal.ts";
import type { Task } from "../native/task.ts";

/** Values start behind the header's block. */
export const BLOB_SEGMENT_START = BLOCK_BYTES;

export class BlobSegment {
  /** Where the next value goes. */
  end = BLOB_SEGMENT_START;
  /** It takes no further value. */
  sealed = false;
  /** Values on their way to it. */
  writing = 0;
  /** Values written so far. The how-manieth one was is its mark. */
  written = 0;
  /** Every value up to this mark is on stable storage. */
  synced = 0;
  /** The greatest mark that an acknowledged record stands on. */
  used = 0;
  /** Values of writes that have not ended: their records may still be applied. */
  held = 0;
  /** Set when nothing is written to it any more: it is sealed, cut off, and synced as far as that can be. */
  readonly finished = new Signal();
  /** A value in it cannot be read: it stays as it is. */
  stuck = false;
  /** The failed sync behind which nothing more can be made durable. */
  failure: unknown;
  /** `file`: for writing; there is none once everything is on stable storage. `bytes`: the file's length. */
  constructor(readonly number: number, public file: OpenFile | undefined, public bytes: number) {}

  /** One that was there when the store was opened: it takes no values. */
  static found(number: number, bytes: number): BlobSegment {
    const segment = new BlobSegment(number, undefined, bytes);
    segment.end = bytes;
    segment.sealed = true;
    segment.finished.set();
    return segment;
  }

  /** Bytes for values, those that nothing points to included. */
  get valueBytes(): number {
    return Math.max(0, this.end - BLOB_SEGMENT_START);
  }

  /** Nothing is written to it any more, and each value that it took is in a memtable, or will never be. */
  get isSettled(): boolean {
    return this.finished.ready && this.held === 0;
  }

  hasRoom(bytes: number): boolean {
    return !this.sealed && this.end + bytes <= this.bytes;
  }

  /** Whether an acknowledged record stands on something that may be lost. */
  get owesSync(): boolean {
    return this.used > this.synced;
  }
}

/**
 * Makes a segment: space reserved, header, length and name on stable storage. A failure leaves no file behind,
 * `ERR_NO_SPACE` included.
 */
export function* createBlobSegment(
  files: Files,
  number: number,
  bytes: number,
  direct: boolean,
  storeId: StoreId,
): Task<BlobSegment> {
  const name = { kind: FileKind.blob, number };
  const file = yield* files.open(name, FileFlag.create | (direct ? FileFlag.direct : 0));
  yield* files.making(file, fillNew(files, file, bytes, storeId));
  return new BlobSegment(number, file, bytes);
}

function* fillNew(files: Files, file: OpenFile, bytes: number, storeId: StoreId): Task<void> {
  const header = reserveRegion(BLOCK_BYTES);
  try {
    yield* files.allocate(file, 0, bytes, false);
    // Where the system reserves nothing, the length at least is there: writes then extend no file.
    if ((yield* files.size(file)) < bytes) yield* files.truncate(file, bytes);
    encodeHeader(header, file.number, storeId);
    yield* files.write(file, header, 0, BLOCK_BYTES);
    yield* files.sync(file);
    yield* files.syncDirectory();
  } finally {
    releaseRegion(header.id);
  }
}

/** What a segment's header states. */
export interface BlobHeader {
  readonly checksum: number;
  readonly number: number;
  readonly storeId: StoreId;
}

/** The header at the start of a region, or what is wrong with it. */
export function decodeBlobHeader({ u8, u32, f64 }: Region): BlobHeader | string {
  if (u32[BlobSegmentHeader.magic >> 2] !== BLOB_MAGIC) return "it is not a blob segment";
  const checksum = u32[BlobSegmentHeader.checksum >> 2];
  if (checksum !== checksumOfHeader(u8)) return "its header is damaged";
  const version = u32[BlobSegmentHeader.version >> 2];
  if (version !== BLOB_VERSION) {
    return `it has format version ${version}, this library knows ${BLOB_VERSION}`;
  }
  return {
    checksum,
    number: f64[BlobSegmentHeader.number >> 3],
    storeId: {
      low: u32[BlobSegmentHeader.storeIdLow >> 2],
      high: u32[BlobSegmentHeader.storeIdHigh >> 2],
    },
  };
}

/** What is wrong with a segment's header, or `undefined`. `header`: room for it. */
export function* readSegmentFault(
  files: Files,
  number: number,
  storeId: StoreId,
  header: Region,
): Task<string | undefined> {
  const file = yield* files.open({ kind: FileKind.blob, number }, FileFlag.readOnly);
  try {
    const read = yield* files.read(file, header, 0, BLOCK_BYTES);
    return read < BLOCK_BYTES ? "it has no header" : faultOfHeader(header, number, storeId);
  } finally {
    yield* files.close(file);
  }
}

/** What is wrong with a header at the start of a region, or `undefined`. */
function faultOfHeader(
  region: Region,
  number: number,
  storeId: StoreId,
): string | undefined {
  const header = decodeBlobHeader(region);
  if (typeof header === "string") return header;
  const { low, high } = header.storeId;
  const isOurs = low === storeId.low && high === storeId.high;
  return isOurs && header.number === number ? undefined : "it is another segment";
}

function encodeHeader({ u8, u32, f64 }: Region, number: number, storeId: StoreId): void {
  u8.fill(0, 0, BLOCK_BYTES);
  u32[BlobSegmentHeader.magic >> 2] = BLOB_MAGIC;
  u32[BlobSegmentHeader.version >> 2] = BLOB_VERSION;
  f64[BlobSegmentHeader.number >> 3] = number;
  u32[BlobSegmentHeader.storeIdLow >> 2] = storeId.low;
  u32[BlobSegmentHeader.storeIdHigh >> 2] = storeId.high;
  u32[BlobSegmentHeader.checksum >> 2] = checksumOfHeader(u8);
}

/** Over every byte of the header behind the checksum itself. */
function checksumOfHeader(u8: Uint8Array): number {
  const covered = u8.slice(BlobSegmentHeader.checksum + 4, BlobSegmentHeader.BYTES);
  return native().call.varve_checksum(covered, covered.length) >>> 0;
}
