/**
 * What is left of a store, for a repair: every file read and judged by itself. Nothing is changed. A file that cannot be read, or is
 * damaged, is listed with the reason; one of a later version is `ERR_UNSUPPORTED`.
 */
import { VarveError } from "../base/errors.ts";
import { wordsOf } from "../base/words.ts";
import { readSegmentFault } from "../blob/segment.ts";
import { readAddress } from "../format/blob_address.ts";
import type { LogPosition, TableRecord } from "../format/manifest_edit.ts";
import type { StoreId } from "../format/manifest_file.ts";
import type { RunVisitor } from "../log/frame_walk.ts";
import { type SalvagedLog, salvageLog, twice } from "../log/salvage.ts";
import type { FileName, Files, FoundFile } from "../native/files.ts";
import {
  BlobAddress,
  BLOCK_BYTES,
  EntryType,
  FileKind,
  LogEntry,
  LogRun,
} from "../native/layout.gen.ts";
import { type Region, releaseRegion, reserveRegion } from "../native/region.ts";
import type { Task } from "../native/task.ts";
import { FamilyFile } from "../tree/family_file.ts";
import type { FamilyRegister } from "../tree/manifest_state.ts";
import { openFoundTable, type TableOrigin, verifyTable } from "../tree/tables.ts";
import { releaseTable } from "../tree/version.ts";
import type { ReplayedValue } from "./value_recovery.ts";

export interface KeptTable {
  readonly record: TableRecord;
  readonly familyName: string;
  readonly origin: TableOrigin | undefined;
}

export interface LostTable {
  readonly name: FileName;
  readonly reason: string;
  /** `undefined`: it cannot be told. */
  readonly family: number | undefined;
  /** Something in it is in no other table. */
  readonly isMissed: boolean;
}

export interface FoundTables {
  readonly kept: KeptTable[];
  readonly lost: LostTable[];
}

export interface LoggedValue extends ReplayedValue {
  readonly family: number;
  readonly sequence: number;
}

export interface FoundBlobs {
  readonly kept: number[];
  readonly lost: { readonly number: number; readonly reason: string }[];
}

/** Which families the log has entries of, how many entries, and the highest sequence number in all of it. */
export interface LogContent {
  readonly families: Set<number>;
  /** Those with merge operands. */
  readonly merging: Set<number>;
  /** Large values, in the log's order. */
  readonly values: LoggedValue[];
  entries: number;
  lastSequence: number;
}

export function numbersOf(found: readonly FoundFile[], wanted: number): FoundFile[] {
  return found.filter(({ kind }) => kind === wanted).sort((a, b) => a.number - b.number);
}

/** What `FAMILIES` says, if it can be read. */
export function* readRegister(
  files: Files,
  found: readonly FoundFile[],
): Task<(FamilyRegister & { storeId: StoreId }) | undefined> {
  if (numbersOf(found, FileKind.families).length === 0) return undefined;
  try {
    return yield* FamilyFile.read(files);
  } catch (error) {
    if (isDamage(error)) return undefined;
    throw error;
  }
}

/** Reads every table, whole. */
export function* readTables(files: Files, found: readonly FoundFile[]): Task<FoundTables> {
  const tables: FoundTables = { kept: [], lost: [] };
  for (const { kind, number, bytes } of found) {
    const name = { kind, number };
    let family: number | undefined;
    const read = function* (): Task<void> {
      const { table, familyName, origin } = yield* openFoundTable(files, number, bytes);
      family = table.record.family;
      try {
        yield* verifyTable(files, table);
      } finally {
        releaseTable(table);
      }
      tables.kept.push({ record: table.record, familyName, origin });
    };
    try {
      yield* twice(read);
    } catch (error) {
      if (!isDamage(error)) throw error;
      tables.lost.push({ name, reason: error.message, family, isMissed: true });
    }
  }
  return tables;
}

/** Damage, or a medium that does not give its bytes; anything else says nothing about the file. */
function isDamage(error: unknown): error is VarveError {
  return error instanceof VarveError &&
    (error.code === "ERR_CORRUPTION" || error.errnoName === "EIO");
}

/** Every segment's header. Values prove themselves, by their addresses. */
export function* readBlobs(
  files: Files,
  found: readonly FoundFile[],
  storeId: StoreId,
): Task<FoundBlobs> {
  const blobs: FoundBlobs = { kept: [], lost: [] };
  const header = reserveRegion(BLOCK_BYTES);
  try {
    for (const { number } of found) {
      const fault = yield* twice(() => readSegmentFault(files, number, storeId, header));
      if (fault === undefined) blobs.kept.push(number);
      else blobs.lost.push({ number, reason: fault });
    }
  } finally {
    releaseRegion(header.id);
  }
  return blobs;
}

export function* readLog(
  files: Files,
  found: readonly FoundFile[],
  register: { storeId: StoreId } | undefined,
  end?: LogPosition,
): Task<{ log: SalvagedLog; content: LogContent }> {
  const content: LogContent = {
    families: new Set(),
    merging: new Set(),
    values: [],
    entries: 0,
    lastSequence: 0,
  };
  const segments = numbersOf(found, FileKind.log).map(({ number }) => number);
  const visit: RunVisitor = (region, offset, segment, frame) => {
    count(content, region, offset, { segment, offset: frame });
  };
  const log = yield* salvageLog(files, segments, register?.storeId, visit, end);
  return { log, content };
}

function count(
  content: LogContent,
  { u32, f64 }: Region,
  run: number,
  frame: LogPosition,
): void {
  const entryCount = u32[(run + LogRun.entryCount) >> 2];
  const firstSequence = f64[(run + LogRun.firstSequence) >> 3];
  content.entries += entryCount;
  content.lastSequence = Math.max(content.lastSequence, firstSequence + entryCount - 1);
  let word = (run + LogRun.BYTES) >> 2;
  for (let index = 0; index < entryCount; index++) {
    const family = u32[word + (LogEntry.family >> 2)];
    const typeAndKeyBytes = u32[word + (LogEntry.typeAndKeyBytes >> 2)];
    content.families.add(family);
    if ((typeAndKeyBytes & 0xff) === EntryType.merge) content.merging.add(family);
    const keyBytes = typeAndKeyBytes >>> 16;
    const valueBytes = u32[word + (LogEntry.valueBytes >> 2)];
    if (isLargeValue(typeAndKeyBytes & 0xff)) {
      const end = word + (LogEntry.BYTES >> 2) + wordsOf(keyBytes) + wordsOf(valueBytes);
      const address = readAddress(u32, end - (BlobAddress.BYTES >> 2));
      content.values.push({ family, sequence: firstSequence + index, address, frame });
    }
    word += (LogEntry.BYTES >> 2) + wordsOf(keyBytes) + wordsOf(valueBytes);
  }
}

function isLargeValue(type: number): boolean {
  return type === EntryType.putBlob || type === EntryType.putBlobExpiring;
}
