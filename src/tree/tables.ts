/** Table files as tasks: making one from a memtable, opening one that the manifest names, checking every byte of one. */
import { nativeError } from "../native/failure.ts";
import { fileName, type Files } from "../native/files.ts";
import {
  Compression,
  FileKind,
  KEY_BYTES_MAX,
  Lane,
  Opcode,
  TableDescription,
  TableJob,
} from "../native/layout.gen.ts";
import type { Memtable } from "../memtable/memtable.ts";
import { type Region, releaseRegion, reserveRegion } from "../native/region.ts";
import { takeJob, type Task } from "../native/task.ts";
import type { TableRecord } from "../format/manifest_edit.ts";
import type { FamilyTuning } from "./family.ts";
import type { Table } from "./version.ts";

const DESCRIPTION_BYTES_MAX = TableDescription.BYTES + 2 * (KEY_BYTES_MAX + 1);
/** Bounds that keep tuning values inside the library's words. */
const BLOCK_BYTES_MAX = 1 << 30;

/**
 * Writes a frozen memtable to a new table file, synced and named durably. Versions that neither the newest reader nor a
 * snapshot can see are left out.
 */
export function* flushTable(
  files: Files,
  memtable: Memtable,
  number: number,
  family: number,
  tuning: FamilyTuning,
  snapshots: readonly number[],
): Task<Table> {
  const list = reserveRegion(Math.max(8, snapshots.length * 8));
  try {
    list.f64.set(snapshots);
    return yield* describedJob(files, Opcode.tableFlush, Lane.background, number, family, (job) => {
      const { u32, i32 } = files.jobs.shared;
      i32[(job + TableJob.source) >> 2] = memtable.region.id;
      u32[(job + TableJob.blockBytes) >> 2] = Math.min(tuning.blockSize, BLOCK_BYTES_MAX);
      u32[(job + TableJob.filterBitsPerKey) >> 2] = tuning.filterBitsPerKey;
      const { compression, compressionLevel } = compressionOf(tuning, 0);
      u32[(job + TableJob.compression) >> 2] = compression;
      u32[(job + TableJob.compressionLevel) >> 2] = compressionLevel;
      u32[(job + TableJob.snapshotCount) >> 2] = snapshots.length;
      i32[(job + TableJob.snapshotRegion) >> 2] = list.id;
    });
  } finally {
    releaseRegion(list.id);
  }
}

/** What tables of a level (0: flushes) are compressed with, as the library takes it. */
export function compressionOf(
  { compression }: FamilyTuning,
  level: number,
): { compression: number; compressionLevel: number } {
  const chosen = compression[Math.min(level, compression.length - 1)];
  return { compression: Compression[chosen.type], compressionLevel: chosen.level };
}

/** Opens a table that the manifest names. Another table's file, or a damaged one, is `ERR_CORRUPTION`. */
export function* openTable(files: Files, record: TableRecord): Task<Table> {
  const { handle } = yield* describedJob(
    files,
    Opcode.tableOpen,
    Lane.read,
    record.number,
    record.family,
    (job) => {
      files.jobs.shared.f64[(job + TableJob.fileBytes) >> 3] = record.fileBytes;
    },
  );
  return { record, handle };
}

/** Reads every block of a table and checks it. Throws `ERR_CORRUPTION` with file and offset. */
export function* verifyTable(files: Files, table: Table): Task<void> {
  const { jobs } = files;
  const job = yield* takeJob(jobs, Opcode.tableVerify, Lane.read);
  jobs.shared.i32[(job + TableJob.source) >> 2] = table.handle;
  yield job;
  finish(files, job, "verify", table.record.number);
}

function* describedJob(
  files: Files,
  opcode: number,
  lane: number,
  number: number,
  family: number,
  fill: (job: number) => void,
): Task<Table> {
  const { jobs } = files;
  const description = reserveRegion(DESCRIPTION_BYTES_MAX);
  try {
    const job = yield* takeJob(jobs, opcode, lane);
    jobs.shared.f64[(job + TableJob.number) >> 3] = number;
    jobs.shared.u32[(job + TableJob.family) >> 2] = family;
    jobs.shared.i32[(job + TableJob.descriptionRegion) >> 2] = description.id;
    fill(job);
    yield job;
    const handle = finish(files, job, opcode === Opcode.tableFlush ? "write" : "open", number);
    return { record: describe(description, number, family), handle };
  } finally {
    releaseRegion(description.id);
  }
}

function describe({ u8, u32, f64 }: Region, number: number, family: number): TableRecord {
  const smallestEnd = TableDescription.BYTES + u32[TableDescription.smallestKeyBytes >> 2];
  const largestEnd = smallestEnd + u32[TableDescription.largestKeyBytes >> 2];
  return {
    family,
    level: 0,
    number,
    fileBytes: f64[TableDescription.fileBytes >> 3],
    entryCount: f64[TableDescription.entryCount >> 3],
    deleteCount: f64[TableDescription.deleteCount >> 3],
    smallestSequence: f64[TableDescription.smallestSequence >> 3],
    largestSequence: f64[TableDescription.largestSequence >> 3],
    smallestKey: u8.slice(TableDescription.BYTES, smallestEnd),
    largestKey: u8.slice(smallestEnd, largestEnd),
  };
}

function finish(files: Files, job: number, verb: string, number: number): number {
  const result = files.jobs.result(job);
  const offset = files.jobs.value(job);
  files.jobs.release(job);
  if (result >= 0) return result;
  const name = { kind: FileKind.table, number };
  throw nativeError(result, `Cannot ${verb} '${fileName(name)}'`, {
    path: files.path(name),
    offset,
  });
}
