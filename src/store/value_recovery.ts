/**
 * Recovery's check of large values. A `buffered` record may have reached the disk without the value that it points to; so
 * those behind the last known sync are read, in the log's order. What checks out is written once more and synced, since what can be
 * read need not be on the disk; the first that does not ends the log before its frame.
 */
import { corruption } from "../base/errors.ts";
import { inBlocks } from "../blob/value_memory.ts";
import { type ValueAddress, writeAddress } from "../format/blob_address.ts";
import { isBefore, type LogPosition } from "../format/manifest_edit.ts";
import { nativeError } from "../native/failure.ts";
import type { Files, OpenFile } from "../native/files.ts";
import { BlobReadJob, Code, FileKind, Lane, Opcode } from "../native/layout.gen.ts";
import { type Region, releaseRegion, reserveRegion } from "../native/region.ts";
import { takeJob, type Task } from "../native/task.ts";

/** An address that the replay put into a memtable. */
export interface ReplayedValue {
  readonly address: ValueAddress;
  /** The frame that holds the record. */
  readonly frame: LogPosition;
}

/** Refuses addresses in segments that the manifest does not name: it has lost an edit, or the record is no record of ours. */
export function requireKnownBlobs(
  files: Files,
  values: readonly ReplayedValue[],
  blobs: ReadonlySet<number>,
): void {
  for (const { address, frame } of values) {
    if (blobs.has(address.number)) continue;
    const path = files.path({ kind: FileKind.log, number: frame.segment });
    throw corruption(
      `Cannot replay '${path}' at offset ${frame.offset}: it points to blob segment ${address.number}, ` +
        `which the manifest does not name`,
      { path, offset: frame.offset },
    );
  }
}

/** Opens the file that takes the values of a blob segment once more. Nobody else may know it by another name. */
export type SegmentOpener = (number: number) => Task<OpenFile>;

/** The segment itself. */
export function segmentItself(files: Files): SegmentOpener {
  return (number) => files.open({ kind: FileKind.blob, number }, 0);
}

/**
 * The frame before which the log ends, if a value is lost. With an `opener`, all before it is on stable storage from now on, in the
 * files that it opens.
 */
export function* findLostValue(
  files: Files,
  values: readonly ReplayedValue[],
  synced: LogPosition,
  opener: SegmentOpener | undefined,
): Task<LogPosition | undefined> {
  const opened = new Map<number, OpenFile>();
  try {
    for (const { address, frame } of values) {
      if (isBefore(frame, synced)) continue;
      const region = reserveRegion(Math.max(inBlocks(address.bytes), 1));
      try {
        if (!(yield* checksOut(files, address, region))) return frame;
        if (opener !== undefined) yield* writeAgain(files, opened, opener, address, region);
      } finally {
        releaseRegion(region.id);
      }
    }
  } finally {
    for (const file of opened.values()) {
      yield* files.sync(file);
      yield* files.close(file);
    }
  }
  return undefined;
}

/** Reads a value into a region. A disk that fails says nothing about what was written, and is thrown. */
function* checksOut(files: Files, address: ValueAddress, into: Region): Task<boolean> {
  const { jobs } = files;
  const job = yield* takeJob(jobs, Opcode.blobRead, Lane.read);
  writeAddress(jobs.shared.u32, (job + BlobReadJob.address) >> 2, address);
  jobs.shared.i32[(job + BlobReadJob.region) >> 2] = into.id;
  yield job;
  const result = jobs.result(job);
  jobs.release(job);
  if (result >= 0) return true;
  if (result === Code.corruption || result === Code.invalid) return false;
  const path = files.path({ kind: FileKind.blob, number: address.number });
  throw nativeError(result, `Cannot read '${path}'`, { path, offset: address.offset });
}

function* writeAgain(
  files: Files,
  opened: Map<number, OpenFile>,
  opener: SegmentOpener,
  { number, offset, bytes }: ValueAddress,
  from: Region,
): Task<void> {
  let file = opened.get(number);
  if (file === undefined) {
    file = yield* opener(number);
    opened.set(number, file);
  }
  from.u8.fill(0, bytes, inBlocks(bytes));
  yield* files.write(file, from, offset, inBlocks(bytes));
}
