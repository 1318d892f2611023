/**
 * One change of what a store consists of: families, tables, logs. Edits are applied whole or not at all.
 * Each field is a tag and its content; an unknown tag is an error, for ignoring it could lose data.
 */
import { BoundKind, MergeOperator } from "../native/layout.gen.ts";
import { BinaryReader, BinaryWriter } from "./binary.ts";

/** No tree is deeper. */
const LEVEL_MAX = 6;
/** Fewer bytes than this no blob reference takes. */
const BLOB_USE_BYTES_MIN = 2;

export interface FamilyRecord {
  readonly id: number;
  readonly name: string;
}

/** What the merges of a family are folded with. Once on record it stays. */
export interface OperatorRecord {
  readonly family: number;
  /** `MergeOperator` */
  readonly kind: number;
  /** The user's for a custom one, `"add"` and so on for the library's own. */
  readonly name: string;
}

/** How many bytes of values, in whole blocks, a table has in a blob segment. */
export interface BlobUse {
  readonly number: number;
  readonly bytes: number;
}

export interface TableRecord {
  readonly family: number;
  readonly level: number;
  readonly number: number;
  readonly fileBytes: number;
  /** Point entries. */
  readonly entryCount: number;
  readonly deleteCount: number;
  /** Fragments of range tombstones. */
  readonly rangeCount: number;
  readonly smallestSequence: number;
  readonly largestSequence: number;
  readonly smallestKey: Uint8Array;
  readonly largestKey: Uint8Array;
  /** `BoundKind`: how `largestKey` is meant. */
  readonly largestKind: number;
  readonly blobs: readonly BlobUse[];
}

/** A place in the log: a segment, and an offset in its file. */
export interface LogPosition {
  readonly segment: number;
  readonly offset: number;
}

/** Whether a place in the log lies before another. */
export function isBefore(a: LogPosition, b: LogPosition): boolean {
  return a.segment < b.segment || (a.segment === b.segment && a.offset < b.offset);
}

export interface ManifestEdit {
  createdFamilies?: FamilyRecord[];
  droppedFamilies?: number[];
  addedTables?: TableRecord[];
  removedTables?: { family: number; number: number }[];
  /** Family → every logged entry up to this sequence number is in its tables. */
  flushed?: { family: number; sequence: number }[];
  addedLogs?: number[];
  removedLogs?: number[];
  /** Blob segments: values may be in them from now on, or nothing that is needed is any more. */
  addedBlobs?: number[];
  removedBlobs?: number[];
  /** Blob segments that are never written to again: all that is in them is on stable storage. */
  sealedBlobs?: number[];
  /** No segment with a higher number was ever in use. */
  lastLog?: number;
  /** Where recovery found a segment's end: what lies behind it never comes back. */
  logEnds?: LogPosition[];
  /** No file has this number or a higher one. */
  nextFileNumber?: number;
  nextFamilyId?: number;
  /** No entry has a higher sequence number; volatile ones included. */
  lastSequence?: number;
  /** What families are merged with. */
  operators?: OperatorRecord[];
  /** The greatest time seen, in milliseconds since 1970, of a store that has used `ttl`. */
  time?: number;
  /** The store was closed in order and the log ends exactly here. Any later edit takes this back. */
  cleanClose?: LogPosition;
}

const Tag = {
  createdFamily: 1,
  droppedFamily: 2,
  addedTable: 3,
  removedTable: 4,
  flushed: 5,
  addedLog: 6,
  removedLog: 7,
  logEnd: 8,
  nextFileNumber: 9,
  nextFamilyId: 10,
  lastSequence: 11,
  cleanClose: 12,
  lastLog: 13,
  /** As `addedTable`, of a table that has range tombstones or values in blob segments. */
  addedWideTable: 14,
  operator: 15,
  time: 16,
  addedBlob: 17,
  removedBlob: 18,
  sealedBlob: 19,
} as const;

export function encodeEdit(edit: ManifestEdit): Uint8Array {
  const to = new BinaryWriter();
  for (const { id, name } of edit.createdFamilies ?? []) {
    to.varint(Tag.createdFamily).varint(id).text(name);
  }
  for (const id of edit.droppedFamilies ?? []) to.varint(Tag.droppedFamily).varint(id);
  for (const { family, kind, name } of edit.operators ?? []) {
    to.varint(Tag.operator).varint(family).varint(kind).text(name);
  }
  for (const table of edit.addedTables ?? []) encodeTable(to, table);
  for (const { family, number } of edit.removedTables ?? []) {
    to.varint(Tag.removedTable).varint(family).varint(number);
  }
  for (const { family, sequence } of edit.flushed ?? []) {
    to.varint(Tag.flushed).varint(family).varint(sequence);
  }
  for (const segment of edit.addedLogs ?? []) to.varint(Tag.addedLog).varint(segment);
  for (const segment of edit.removedLogs ?? []) to.varint(Tag.removedLog).varint(segment);
  for (const segment of edit.addedBlobs ?? []) to.varint(Tag.addedBlob).varint(segment);
  for (const segment of edit.removedBlobs ?? []) to.varint(Tag.removedBlob).varint(segment);
  for (const segment of edit.sealedBlobs ?? []) to.varint(Tag.sealedBlob).varint(segment);
  for (const end of edit.logEnds ?? []) encodePosition(to.varint(Tag.logEnd), end);
  encodeNumber(to, Tag.lastLog, edit.lastLog);
  encodeNumber(to, Tag.nextFileNumber, edit.nextFileNumber);
  encodeNumber(to, Tag.nextFamilyId, edit.nextFamilyId);
  encodeNumber(to, Tag.lastSequence, edit.lastSequence);
  if (edit.time !== undefined) to.varint(Tag.time).float(edit.time);
  if (edit.cleanClose !== undefined) encodePosition(to.varint(Tag.cleanClose), edit.cleanClose);
  return to.finish();
}

/** `path` and `offset` say where the bytes came from. Throws `ERR_CORRUPTION`. */
export function decodeEdit(bytes: Uint8Array, path: string, offset: number): ManifestEdit {
  const from = new BinaryReader(bytes, path, offset);
  const edit: ManifestEdit = {};
  while (!from.done) decodeField(from, edit);
  return edit;
}

function decodeField(from: BinaryReader, edit: ManifestEdit): void {
  const tag = from.varint();
  switch (tag) {
    case Tag.createdFamily:
      (edit.createdFamilies ??= []).push({ id: from.varint(), name: from.text() });
      return;
    case Tag.droppedFamily:
      (edit.droppedFamilies ??= []).push(from.varint());
      return;
    case Tag.addedTable:
      (edit.addedTables ??= []).push({ ...decodeTable(from), ...NARROW });
      return;
    case Tag.addedWideTable:
      (edit.addedTables ??= []).push({ ...decodeTable(from), ...decodeWidth(from) });
      return;
    case Tag.operator:
      (edit.operators ??= []).push(decodeOperator(from));
      return;
    case Tag.time:
      edit.time = decodeTime(from);
      return;
    case Tag.removedTable:
      (edit.removedTables ??= []).push({ family: from.varint(), number: from.varint() });
      return;
    case Tag.flushed:
      (edit.flushed ??= []).push({ family: from.varint(), sequence: from.varint() });
      return;
    case Tag.addedLog:
      (edit.addedLogs ??= []).push(from.varint());
      return;
    case Tag.removedLog:
      (edit.removedLogs ??= []).push(from.varint());
      return;
    case Tag.addedBlob:
      (edit.addedBlobs ??= []).push(from.varint());
      return;
    case Tag.sealedBlob:
      (edit.sealedBlobs ??= []).push(from.varint());
      return;
    case Tag.removedBlob:
      (edit.removedBlobs ??= []).push(from.varint());
      return;
    case Tag.logEnd:
      (edit.logEnds ??= []).push(decodePosition(from));
      return;
    case Tag.lastLog:
      edit.lastLog = from.varint();
      return;
    case Tag.nextFileNumber:
      edit.nextFileNumber = from.varint();
      return;
    case Tag.nextFamilyId:
      edit.nextFamilyId = from.varint();
      return;
    case Tag.lastSequence:
      edit.lastSequence = from.varint();
      return;
    case Tag.cleanClose:
      edit.cleanClose = decodePosition(from);
      return;
    default:
      throw from.damaged(`an edit has the unknown field ${tag}`);
  }
}

function encodeNumber(to: BinaryWriter, tag: number, value: number | undefined): void {
  if (value !== undefined) to.varint(tag).varint(value);
}

function encodePosition(to: BinaryWriter, { segment, offset }: LogPosition): void {
  to.varint(segment).varint(offset);
}

function decodePosition(from: BinaryReader): LogPosition {
  return { segment: from.varint(), offset: from.varint() };
}

function decodeOperator(from: BinaryReader): OperatorRecord {
  const family = from.varint();
  const kind = from.varint();
  if (kind < MergeOperator.add || kind > MergeOperator.custom) {
    throw from.damaged(`a merge operator is of kind ${kind}`);
  }
  return { family, kind, name: from.text() };
}

function decodeTime(from: BinaryReader): number {
  const time = from.float();
  if (time >= 0 && time < Infinity) return time;
  throw from.damaged(`the time is ${time}`);
}

/** What only some tables have. */
type Width = Pick<TableRecord, "rangeCount" | "largestKind" | "blobs">;

const NARROW: Width = { rangeCount: 0, largestKind: BoundKind.inclusive, blobs: [] };

function encodeTable(to: BinaryWriter, table: TableRecord): void {
  const { rangeCount, largestKind, blobs } = table;
  const wide = rangeCount > 0 || largestKind !== BoundKind.inclusive || blobs.length > 0;
  to.varint(wide ? Tag.addedWideTable : Tag.addedTable)
    .varint(table.family).varint(table.level).varint(table.number).varint(table.fileBytes)
    .varint(table.entryCount).varint(table.deleteCount)
    .varint(table.smallestSequence).varint(table.largestSequence)
    .bytes(table.smallestKey).bytes(table.largestKey);
  if (!wide) return;
  to.varint(rangeCount).varint(largestKind).varint(blobs.length);
  for (const { number, bytes } of blobs) to.varint(number).varint(bytes);
}

function decodeLevel(from: BinaryReader): number {
  const level = from.varint();
  if (level > LEVEL_MAX) throw from.damaged(`a table is on level ${level}`);
  return level;
}

function decodeTable(from: BinaryReader): Omit<TableRecord, keyof Width> {
  return {
    family: from.varint(),
    level: decodeLevel(from),
    number: from.varint(),
    fileBytes: from.varint(),
    entryCount: from.varint(),
    deleteCount: from.varint(),
    smallestSequence: from.varint(),
    largestSequence: from.varint(),
    smallestKey: from.bytes(),
    largestKey: from.bytes(),
  };
}

function decodeWidth(from: BinaryReader): Width {
  const rangeCount = from.varint();
  const largestKind = from.varint();
  if (largestKind > BoundKind.unbounded) {
    throw from.damaged(`a table's largest key is of kind ${largestKind}`);
  }
  const blobCount = from.varint();
  if (blobCount * BLOB_USE_BYTES_MIN > from.remaining) {
    throw from.damaged(`${blobCount} blob segments are announced, ${from.remaining} bytes remain`);
  }
  const blobs: BlobUse[] = [];
  while (blobs.length < blobCount) blobs.push({ number: from.varint(), bytes: from.varint() });
  return { rangeCount, largestKind, blobs };
}
