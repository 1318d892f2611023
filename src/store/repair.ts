/**
 * Rebuilds the manifest of a store from what its tables and its log still prove. `docs/format.md` says how.
 *
 * Promises: everything is read and judged before anything is changed; nothing is deleted (what the new manifest does not name is
 * moved to the directory `lost` in the store's own); the new manifest counts from one rename on, and a repair that was cut short
 * before it is done again.
 */
import { VarveError } from "../base/errors.ts";
import type { LogPosition } from "../format/manifest_edit.ts";
import type { StoreId } from "../format/manifest_file.ts";
import { type SalvagedLog, settleSegment } from "../log/salvage.ts";
import { Directories } from "../native/directories.ts";
import { copyFile, linkOrCopy } from "../native/file_copy.ts";
import type { FileName, Files, FoundFile, OpenFile } from "../native/files.ts";
import { FileFlag, FileKind } from "../native/layout.gen.ts";
import type { Task } from "../native/task.ts";
import { FamilyFile } from "../tree/family_file.ts";
import { Manifest } from "../tree/manifest.ts";
import { type FamilyRegister, ManifestState } from "../tree/manifest_state.ts";
import { DEFAULT_FAMILY } from "./families.ts";
import {
  type FoundBlobs,
  type FoundTables,
  type KeptTable,
  type LogContent,
  type LoggedValue,
  numbersOf,
  readBlobs,
  readLog,
  readRegister,
  readTables,
} from "./remains.ts";
import { discard } from "./recovery.ts";
import { supersededTables } from "./superseded.ts";
import { findLostValue } from "./value_recovery.ts";

const LOST = "lost";

/** A file that a repair could not use. It is in the directory `lost` now. */
export interface LostFile {
  readonly path: string;
  readonly reason: string;
}

/** What a repair found. */
export interface RepairReport {
  /** Tables that were kept. */
  readonly tables: number;
  readonly lostTables: readonly LostFile[];
  /** Log segments that were kept, and the entries in them; those that tables have too are counted. */
  readonly logs: number;
  readonly entries: number;
  /** Segments that hold something which could not be used, whole or (the last one that was kept) behind its end. */
  readonly lostLogs: readonly LostFile[];
  /** `"default"` first. One whose name is not known any more is called `family-` and its number. */
  /** Blob segments that were kept. */
  readonly blobs: number;
  readonly lostBlobs: readonly LostFile[];
  readonly columnFamilies: readonly string[];
}

export interface Rebuilt {
  readonly report: RepairReport;
  /** Log entries may be in tables too, or older than some there: a flush brings them into order. */
  readonly flushIsDue: boolean;
}

/** REQUIRES: the directory is locked. `freshId`: for a store that nothing of the old one tells the id of. */
export function* rebuild(files: Files, freshId: StoreId): Task<Rebuilt> {
  const found = yield* files.list();
  requireRemains(files, found);
  const register = yield* readRegister(files, found);
  const tables = yield* readTables(files, numbersOf(found, FileKind.table));
  if (register !== undefined) dropTables(tables, register);
  dropSuperseded(tables, found);
  let { log, content } = yield* readLog(files, found, register);
  const storeId = register?.storeId ?? log.storeId ?? freshId;
  const blobs = yield* readBlobs(files, numbersOf(found, FileKind.blob), storeId);
  let families = nameFamilies(register, tables.kept, content);
  let plan = stateOf(files, tables, log, blobs, content, families);
  const lostValue = yield* firstLostValue(files, plan.state, blobs, log, content);
  if (lostValue !== undefined) {
    ({ log, content } = yield* readLog(files, found, register, lostValue));
    families = nameFamilies(register, tables.kept, content);
    plan = stateOf(files, tables, log, blobs, content, families);
  }
  const { state, flushIsDue } = plan;
  for (const number of blobs.kept) state.blobs.add(number);

  const directories = new Directories(files.jobs);
  const lost = yield* directories.openIn(files, LOST, { create: true });
  try {
    state.nextFileNumber = firstFreeNumber([...found, ...yield* lost.list()]);
    yield* settle(files, tables.kept, log);
    yield* settleValues(files, blobs, pendingValues(state, content), log, state);
    const pointer = yield* Manifest.write(files, storeId, state);
    yield* moveAside(files, lost, [
      ...tables.lost.map(({ name }) => name),
      ...log.lost.map(({ number }) => ({ kind: FileKind.log, number })),
      ...blobs.lost.map(({ number }) => ({ kind: FileKind.blob, number })),
      ...numbersOf(found, FileKind.manifest),
      // A sound one is needed should this repair be cut short.
      ...register === undefined ? numbersOf(found, FileKind.families) : [],
    ]);
    yield* FamilyFile.write(files, state.nextFileNumber++, storeId, state.register);
    yield* Manifest.point(files, pointer);
    return { report: reportOf(files, lost, tables, log, blobs, content, state), flushIsDue };
  } finally {
    if ((yield* lost.list()).length === 0) yield* directories.remove(files, LOST);
    yield* directories.close(lost);
  }
}

function requireRemains({ directory }: Files, found: readonly FoundFile[]): void {
  const remains = found.some(({ kind }) => kind !== FileKind.lock && kind !== FileKind.temporary);
  if (remains) return;
  const message = `Cannot repair '${directory}': there is no store`;
  throw new VarveError("ERR_NOT_FOUND", message, { path: directory });
}

/** Tables of families that were dropped are no part of the store. */
function dropTables({ kept, lost }: FoundTables, register: FamilyRegister): void {
  for (const { record: { family, number } } of kept.slice()) {
    if (family === 0 || !isDropped(register, family)) continue;
    kept.splice(kept.findIndex(({ record }) => record.number === number), 1);
    const name = { kind: FileKind.table, number };
    const reason = `its column family ${family} was dropped`;
    lost.push({ name, reason, family, isMissed: false });
  }
}

/** Of a compaction's inputs and outputs the one or the other are part of the store. */
function dropSuperseded(tables: FoundTables, found: readonly FoundFile[]): void {
  const { kept, lost } = tables;
  const present = new Set(numbersOf(found, FileKind.table).map(({ number }) => number));
  const sound = kept.map(({ record, origin }) => ({ number: record.number, origin }));
  const superseded = supersededTables(sound, present);
  for (const { record: { family, number } } of kept.slice()) {
    if (!superseded.has(number)) continue;
    kept.splice(kept.findIndex(({ record }) => record.number === number), 1);
    const name = { kind: FileKind.table, number };
    const reason = "other tables of the same compaction have its entries";
    lost.push({ name, reason, family, isMissed: false });
  }
  for (const [index, table] of lost.entries()) {
    if (superseded.has(table.name.number)) lost[index] = { ...table, isMissed: false };
  }
}

function isDropped({ families, nextFamilyId }: FamilyRegister, family: number): boolean {
  return family < nextFamilyId && !families.has(family);
}

/** The frame before which the log ends, for a value is not there that its record points to. */
function* firstLostValue(
  files: Files,
  state: ManifestState,
  { kept }: FoundBlobs,
  { synced }: SalvagedLog,
  content: LogContent,
): Task<LogPosition | undefined> {
  const values = pendingValues(state, content);
  const unknown = values.findIndex(({ address }) => !kept.includes(address.number));
  const known = unknown < 0 ? values : values.slice(0, unknown);
  const lost = yield* findLostValue(files, known, synced, undefined);
  return lost ?? (unknown < 0 ? undefined : values[unknown].frame);
}

/** Values of records that the replay will put into memtables. */
function pendingValues(state: ManifestState, { values }: LogContent): LoggedValue[] {
  return values.filter(({ family, sequence }) => {
    const known = state.families.get(family);
    return known !== undefined && sequence > known.flushedSequence;
  });
}

/**
 * What the kept segments hold is on stable storage. Those with values that the log alone tells of get them once more, in a copy that
 * takes their place: which segments a checkpoint shares, only the lost manifest knew, and the checkpoint's are not to be touched.
 */
function* settleValues(
  files: Files,
  { kept }: FoundBlobs,
  values: readonly LoggedValue[],
  { synced }: SalvagedLog,
  state: ManifestState,
): Task<void> {
  const copies: { name: FileName; copy: FileName }[] = [];
  const openCopy = function* (number: number): Task<OpenFile> {
    const name = { kind: FileKind.blob, number };
    const copy = { kind: FileKind.temporary, number: state.nextFileNumber++ };
    copies.push({ name, copy });
    yield* copyFile(files, files, name, Infinity, copy);
    return yield* files.open(copy, 0);
  };
  try {
    yield* findLostValue(files, values, synced, openCopy);
  } catch (error) {
    // They take the space that may be missing. What cannot be removed now is when the store is opened.
    for (const { copy } of copies) yield* discard(files, copy);
    throw error;
  }
  for (const { name, copy } of copies) yield* files.rename(copy, name);
  if (copies.length > 0) yield* files.syncDirectory();
  for (const number of kept) yield* syncFile(files, { kind: FileKind.blob, number });
}

/** Every family that something is left of, or that `FAMILIES` knows. */
function nameFamilies(
  register: FamilyRegister | undefined,
  tables: readonly KeptTable[],
  log: LogContent,
): FamilyRegister {
  const families = new Map(register?.families).set(0, DEFAULT_FAMILY);
  const given = new Set(families.values());
  const name = (id: number, wanted: string): void => {
    if (families.has(id) || (register !== undefined && isDropped(register, id))) return;
    let unique = wanted === "" ? `family-${id}` : wanted;
    for (let copy = id; given.has(unique); copy++) unique = `${wanted.slice(0, 200)}-${copy}`;
    families.set(id, unique);
    given.add(unique);
  };
  // A family that was dropped and made again has tables under both numbers; the later one has the name.
  const descending = tables.toSorted((a, b) => b.record.family - a.record.family);
  for (const { record, familyName } of descending) name(record.family, familyName);
  for (const id of log.families) name(id, "");
  let nextFamilyId = register?.nextFamilyId ?? 1;
  for (const id of [...families.keys(), ...log.families]) {
    nextFamilyId = Math.max(nextFamilyId, id + 1);
  }
  return { families, operators: register?.operators ?? new Map(), nextFamilyId };
}

/**
 * The new state. All tables are on level 0. A family's log entries up to the largest sequence number of its tables are in tables:
 * a memtable is flushed whole, and after the ones before it. That fails where one of its tables is lost; then all that the log
 * has is taken, if it reaches beyond the tables: it has the newest version of whatever it has at all, entries have the same
 * numbers as in the tables, and on level 0 the highest number counts. Not so where operands are merged: tables may have folded
 * them, and none may count twice; nor where entries point to large values that were collected.
 */
function stateOf(
  files: Files,
  { kept, lost }: FoundTables,
  log: SalvagedLog,
  blobs: FoundBlobs,
  content: LogContent,
  { families, operators, nextFamilyId }: FamilyRegister,
): { state: ManifestState; flushIsDue: boolean } {
  const flushed: { family: number; sequence: number }[] = [];
  let flushIsDue = false;
  let lastSequence = content.lastSequence;
  for (const id of families.keys()) {
    const largest = Math.max(
      0,
      ...kept.filter(({ record }) => record.family === id)
        .map(({ record }) => record.largestSequence),
    );
    lastSequence = Math.max(lastSequence, largest);
    const misses = lost.some(({ family, isMissed }) =>
      isMissed && (family === undefined || family === id)
    );
    const collected = lastCollected(id, content, blobs);
    const takesAll = misses && content.lastSequence >= largest && !content.merging.has(id) &&
      collected === 0;
    const sequence = Math.max(largest, collected);
    if (takesAll) flushIsDue = true;
    else if (sequence > 0) flushed.push({ family: id, sequence });
  }
  const oldestFirst = kept.map(({ record }) => ({ ...record, level: 0 }))
    .sort((a, b) => a.largestSequence - b.largestSequence || a.number - b.number);
  const state = new ManifestState();
  state.apply(
    {
      createdFamilies: [...families].map(([id, name]) => ({ id, name })),
      operators: [...operators.values()],
      addedTables: oldestFirst,
      flushed,
      addedLogs: log.segments.map(({ number }) => number),
      logEnds: log.segments.map(({ number, end }) => ({ segment: number, offset: end })),
      // Those that are lost, too: none of them comes back as one that the manifest never heard of.
      lastLog: Math.max(0, ...log.lost.map(({ number }) => number)),
      nextFamilyId,
      lastSequence,
    },
    files.directory,
    0,
  );
  return { state, flushIsDue };
}

/**
 * The last logged entry of a family that points to a blob segment which is not there. Such a segment was removed when no record that
 * points to it was needed any more: so this entry and those before it are in tables, or deleted by what was.
 */
function lastCollected(id: number, { values }: LogContent, { kept, lost }: FoundBlobs): number {
  const there = new Set([...kept, ...lost.map(({ number }) => number)]);
  let last = 0;
  for (const { family, address, sequence } of values) {
    if (family === id && !there.has(address.number)) last = Math.max(last, sequence);
  }
  return last;
}

function firstFreeNumber(files: readonly FoundFile[]): number {
  return 1 + files.reduce((highest, { number }) => Math.max(highest, number), 0);
}

/** What the new manifest names is on stable storage before it is: whoever wrote it may have died before it was synced. */
function* settle(files: Files, tables: readonly KeptTable[], log: SalvagedLog): Task<void> {
  for (const { record: { number } } of tables) {
    yield* syncFile(files, { kind: FileKind.table, number });
  }
  for (const segment of log.segments) yield* settleSegment(files, segment);
  yield* files.syncDirectory();
}

function* syncFile(files: Files, name: FileName): Task<void> {
  const file = yield* files.open(name, FileFlag.readOnly);
  try {
    yield* files.sync(file);
  } finally {
    yield* files.close(file);
  }
}

/** Each is in the other directory durably before it leaves this one. */
function* moveAside(files: Files, lost: Files, names: readonly FileName[]): Task<void> {
  if (names.length === 0) return;
  for (const name of names) {
    try {
      yield* linkOrCopy(files, lost, name);
    } catch (error) {
      if (!(error instanceof VarveError) || error.errnoName !== "EEXIST") throw error;
      // A repair that was cut short got this far.
      yield* lost.unlink(name);
      yield* linkOrCopy(files, lost, name);
    }
  }
  yield* lost.syncDirectory();
  for (const name of names) yield* files.unlink(name);
  yield* files.syncDirectory();
}

function reportOf(
  files: Files,
  lost: Files,
  tables: FoundTables,
  log: SalvagedLog,
  blobs: FoundBlobs,
  content: LogContent,
  state: ManifestState,
): RepairReport {
  const lostLogs = log.lost.map(({ number, reason }) => ({
    path: lost.path({ kind: FileKind.log, number }),
    reason,
  }));
  const last = log.segments.at(-1);
  if (last !== undefined && log.cutOff !== "") {
    const path = files.path({ kind: FileKind.log, number: last.number });
    lostLogs.push({ path, reason: log.cutOff });
  }
  return {
    tables: tables.kept.length,
    lostTables: tables.lost.map(({ name, reason }) => ({ path: lost.path(name), reason })),
    logs: log.segments.length,
    entries: content.entries,
    lostLogs,
    blobs: blobs.kept.length,
    lostBlobs: blobs.lost.map(({ number, reason }) => ({
      path: lost.path({ kind: FileKind.blob, number }),
      reason,
    })),
    columnFamilies: [...state.families.values()].map(({ name }) => name),
  };
}
