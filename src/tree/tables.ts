/** Table files as tasks: making one from a memtable, opening one that the manifest names, checking every byte of one. */
import { encodeUtf8 } from "../base/bytes.ts";
import { nativeError } from "../native/failure.ts";
import { fileName, type Files } from "../native/files.ts";
import {
  BlobReference,
  Code,
  Compression,
  FileKind,
  JobFlag,
  JobHead,
  Lane,
  Opcode,
  TableDescription,
  TableJob,
} from "../native/layout.gen.ts";
import type { Memtable } from "../memtable/memtable.ts";
import { type Region, releaseRegion, reserveRegion } from "../native/region.ts";
import { takeJob, type Task } from "../native/task.ts";
import type { TableRecord } from "../format/manifest_edit.ts";
import type { Family, FamilyTuning } from "./family.ts";
import type { Table } from "./version.ts";

/** Room for a description with its keys and as many blob references as a table's properties may hold. */
export const DESCRIPTION_BYTES_MAX = 1 << 20;
/** Bounds that keep tuning values inside the library's words. */
const BLOCK_BYTES_MAX = 1 << 30;

/** A table, and what only repairs ask: what it calls its family, and where it comes from. */
export interface DescribedTable {
  readonly table: Table;
  readonly familyName: string;
  readonly origin: TableOrigin | undefined;
}

/** The compaction that made a table. */
export interface TableOrigin {
  /** File numbers of the tables that it read. */
  readonly inputs: readonly number[];
  /** Its tables have the numbers from here on, up to its last one. */
  readonly firstOutput: number;
  readonly isLastOutput: boolean;
}

/**
 * Writes a frozen memtable to a new table file, synced and named durably. Versions that neither the newest reader nor a
 * snapshot can see are left out; `now` is the time by which entries expire, in milliseconds since 1970.
 */
export function* flushTable(
  files: Files,
  memtable: Memtable,
  number: number,
  { id, name, tuning, mergeOperator }: Family,
  snapshots: readonly number[],
  now: number,
): Task<Table> {
  const list = reserveRegion(Math.max(8, snapshots.length * 8));
  try {
    list.f64.set(snapshots);
    const fill = (job: number, description: Region): void => {
      const { u32, i32, f64 } = files.jobs.shared;
      const nameBytes = encodeUtf8(name);
      description.u8.set(nameBytes);
      u32[(job + TableJob.familyNameBytes) >> 2] = nameBytes.length;
      i32[(job + TableJob.source) >> 2] = memtable.region.id;
      const words = tuningWords(tuning, 0);
      u32[(job + TableJob.blockBytes) >> 2] = words.blockBytes;
      u32[(job + TableJob.filterBitsPerKey) >> 2] = words.filterBitsPerKey;
      u32[(job + TableJob.compression) >> 2] = words.compression;
      u32[(job + TableJob.compressionLevel) >> 2] = words.compressionLevel;
      u32[(job + TableJob.snapshotCount) >> 2] = snapshots.length;
      i32[(job + TableJob.snapshotRegion) >> 2] = list.id;
      f64[(job + TableJob.now) >> 3] = now;
      u32[(job + TableJob.mergeOperator) >> 2] = mergeOperator;
    };
    const opcode = Opcode.tableFlush;
    const { table } = yield* describedJob(files, opcode, Lane.background, number, id, fill);
    return table;
  } finally {
    releaseRegion(list.id);
  }
}

/** A family's tuning for tables of one level (0: flushes), as the library takes it. */
export function tuningWords(tuning: FamilyTuning, level: number) {
  const { compression } = tuning;
  const chosen = compression[Math.min(level, compression.length - 1)];
  return {
    blockBytes: Math.min(tuning.blockSize, BLOCK_BYTES_MAX),
    filterBitsPerKey: tuning.filterBitsPerKey,
    compression: Compression[chosen.type],
    compressionLevel: chosen.level,
  };
}

/** Opens a table that the manifest names. Another table's file, or a damaged one, is `ERR_CORRUPTION`. */
export function* openTable(files: Files, record: TableRecord): Task<Table> {
  const { number, family, fileBytes } = record;
  const fill = (job: number): void => {
    files.jobs.shared.f64[(job + TableJob.fileBytes) >> 3] = fileBytes;
  };
  const opcode = Opcode.tableOpen;
  const { table } = yield* describedJob(files, opcode, Lane.read, number, family, fill);
  return { record, handle: table.handle };
}

/** Opens a table of which nothing is known but its file: what it says of itself goes, its family too. */
export function* openFoundTable(
  files: Files,
  number: number,
  fileBytes: number,
): Task<DescribedTable> {
  const fill = (job: number): void => {
    const { u32, f64 } = files.jobs.shared;
    f64[(job + TableJob.fileBytes) >> 3] = fileBytes;
    u32[(job + JobHead.flags) >> 2] = JobFlag.anyFamily;
  };
  return yield* describedJob(files, Opcode.tableOpen, Lane.read, number, 0, fill);
}

/**
 * Reads every block of a table and checks it, `withValues` also the large values that it points to; one that was let go is passed
 * over. Throws `ERR_CORRUPTION` with file and offset.
 */
export function* verifyTable(files: Files, table: Table, withValues = false): Task<void> {
  const { jobs } = files;
  const job = yield* takeJob(jobs, Opcode.tableVerify, Lane.read);
  if (withValues) jobs.shared.u32[(job + JobHead.flags) >> 2] = JobFlag.withValues;
  jobs.shared.i32[(job + TableJob.source) >> 2] = table.handle;
  yield job;
  if (jobs.result(job) === Code.closed) jobs.release(job);
  else finish(files, job, "verify", table.record.number);
}

function* describedJob(
  files: Files,
  opcode: number,
  lane: number,
  number: number,
  family: number,
  fill: (job: number, description: Region) => void,
): Task<DescribedTable> {
  const { jobs } = files;
  const description = reserveRegion(DESCRIPTION_BYTES_MAX);
  try {
    const job = yield* takeJob(jobs, opcode, lane);
    jobs.shared.f64[(job + TableJob.number) >> 3] = number;
    jobs.shared.u32[(job + TableJob.family) >> 2] = family;
    jobs.shared.i32[(job + TableJob.descriptionRegion) >> 2] = description.id;
    fill(job, description);
    yield job;
    const handle = finish(files, job, opcode === Opcode.tableFlush ? "write" : "open", number);
    const { table, familyName, origin } = describeTable(description, 0, 0);
    return { table: { ...table, handle }, familyName, origin };
  } finally {
    releaseRegion(description.id);
  }
}

/** The table that a `TableDescription` at a byte offset describes, and where the next one begins. */
export function describeTable(
  { u8, u32, i32, f64 }: Region,
  offset: number,
  level: number,
): DescribedTable & { end: number } {
  const word = (field: number) => u32[(offset + field) >> 2];
  const float = (field: number) => f64[(offset + field) >> 3];
  const keys = offset + TableDescription.BYTES;
  const smallestEnd = keys + word(TableDescription.smallestKeyBytes);
  const largestEnd = smallestEnd + word(TableDescription.largestKeyBytes);
  const references = Math.ceil(largestEnd / 8) * 8;
  const record: TableRecord = {
    family: word(TableDescription.family),
    level,
    number: float(TableDescription.number),
    fileBytes: float(TableDescription.fileBytes),
    entryCount: float(TableDescription.entryCount),
    deleteCount: float(TableDescription.deleteCount),
    rangeCount: float(TableDescription.rangeCount),
    smallestSequence: float(TableDescription.smallestSequence),
    largestSequence: float(TableDescription.largestSequence),
    smallestKey: u8.slice(keys, smallestEnd),
    largestKey: u8.slice(smallestEnd, largestEnd),
    largestKind: word(TableDescription.largestKind),
    blobs: Array.from({ length: word(TableDescription.blobCount) }, (_, index) => {
      const at = (references + index * BlobReference.BYTES) >> 3;
      return {
        number: f64[at + (BlobReference.number >> 3)],
        bytes: f64[at + (BlobReference.bytes >> 3)],
      };
    }),
  };
  const handle = i32[(offset + TableDescription.handle) >> 2];
  const inputsStart = references + record.blobs.length * BlobReference.BYTES;
  const nameStart = inputsStart + word(TableDescription.inputCount) * 8;
  const inputs = Array.from(f64.subarray(inputsStart >> 3, nameStart >> 3));
  const firstOutput = float(TableDescription.firstOutput);
  const isLastOutput = word(TableDescription.isLastOutput) === 1;
  const nameBytes = u8.slice(nameStart, nameStart + word(TableDescription.familyNameBytes));
  return {
    table: { record, handle },
    familyName: new TextDecoder().decode(nameBytes),
    origin: inputs.length === 0 ? undefined : { inputs, firstOutput, isLastOutput },
    end: offset + word(TableDescription.bytes),
  };
}

function finish(files: Files, job: number, verb: string, number: number): number {
  const result = files.jobs.result(job);
  const offset = files.jobs.value(job);
  const detail = files.jobs.shared.i32[(job + JobHead.detail) >> 2];
  files.jobs.release(job);
  if (result >= 0) return result;
  const name = result === Code.corruption && detail < 0
    ? { kind: FileKind.blob, number: -detail }
    : { kind: FileKind.table, number };
  throw nativeError(result, `Cannot ${verb} '${fileName(name)}'`, {
    path: files.path(name),
    offset,
  });
}
