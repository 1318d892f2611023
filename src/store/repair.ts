/**
 * Rebuilds the manifest of a store from what its tables and its log still prove. `docs/format.md` says how.
 *
 * Promises: everything is read and judged before anything is changed; nothing is deleted (what the new manifest does not name is
 * moved to the directory `lost` in the store's own); the new manifest counts from one rename on, and a repair that was cut short
 * before it is done again.
 */
import { VarveError } from "../base/errors.ts";
import type { StoreId } from "../format/manifest_file.ts";
import type { TableRecord } from "../format/manifest_edit.ts";
import { type SalvagedLog, salvageLog, settleSegment, twice } from "../log/salvage.ts";
import { Directories } from "../native/directories.ts";
import { linkOrCopy } from "../native/file_copy.ts";
import type { FileName, Files, FoundFile } from "../native/files.ts";
import { EntryType, FileFlag, FileKind, LogEntry, LogRun } from "../native/layout.gen.ts";
import { wordsOf } from "../base/words.ts";
import type { Region } from "../native/region.ts";
import type { Task } from "../native/task.ts";
import { FamilyFile } from "../tree/family_file.ts";
import { Manifest } from "../tree/manifest.ts";
import { type FamilyRegister, ManifestState } from "../tree/manifest_state.ts";
import { openFoundTable, type TableOrigin, verifyTable } from "../tree/tables.ts";
import { releaseTable } from "../tree/version.ts";
import { DEFAULT_FAMILY } from "./families.ts";
import { supersededTables } from "./superseded.ts";

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
  readonly columnFamilies: readonly string[];
}

export interface Rebuilt {
  readonly report: RepairReport;
  /** Log entries may be in tables too, or older than some there: a flush brings them into order. */
  readonly flushIsDue: boolean;
}

interface KeptTable {
  readonly record: TableRecord;
  readonly familyName: string;
  readonly origin: TableOrigin | undefined;
}

interface LostTable {
  readonly name: FileName;
  readonly reason: string;
  /** `undefined`: it cannot be told. */
  readonly family: number | undefined;
  /** Something in it is in no other table. */
  readonly isMissed: boolean;
}

interface FoundTables {
  readonly kept: KeptTable[];
  readonly lost: LostTable[];
}

/** Which families the log has entries of, how many entries, and the highest sequence number in all of it. */
interface LogContent {
  readonly families: Set<number>;
  /** Those with merge operands. */
  readonly merging: Set<number>;
  entries: number;
  lastSequence: number;
}

/** REQUIRES: the directory is locked. `freshId`: for a store that nothing of the old one tells the id of. */
export function* rebuild(files: Files, freshId: StoreId): Task<Rebuilt> {
  const found = yield* files.list();
  requireRemains(files, found);
  const register = yield* readRegister(files, found);
  const tables = yield* readTables(files, numbersOf(found, FileKind.table));
  if (register !== undefined) dropTables(tables, register);
  dropSuperseded(tables, found);
  const content: LogContent = {
    families: new Set(),
    merging: new Set(),
    entries: 0,
    lastSequence: 0,
  };
  const segments = numbersOf(found, FileKind.log).map(({ number }) => number);
  const log = yield* salvageLog(files, segments, register?.storeId, (region, offset) => {
    count(content, region, offset);
  });

  const directories = new Directories(files.jobs);
  const lost = yield* directories.openIn(files, LOST, { create: true });
  try {
    const families = nameFamilies(register, tables.kept, content);
    const { state, flushIsDue } = stateOf(files, tables, log, content, families);
    state.nextFileNumber = firstFreeNumber([...found, ...yield* lost.list()]);
    yield* settle(files, tables.kept, log);
    const storeId = register?.storeId ?? log.storeId ?? freshId;
    const pointer = yield* Manifest.write(files, storeId, state);
    yield* moveAside(files, lost, [
      ...tables.lost.map(({ name }) => name),
      ...log.lost.map(({ number }) => ({ kind: FileKind.log, number })),
      ...numbersOf(found, FileKind.manifest),
      // A sound one is needed should this repair be cut short.
      ...register === undefined ? numbersOf(found, FileKind.families) : [],
    ]);
    yield* FamilyFile.write(files, state.nextFileNumber++, storeId, state.register);
    yield* Manifest.point(files, pointer);
    return { report: reportOf(files, lost, tables, log, content, state), flushIsDue };
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

function numbersOf(found: readonly FoundFile[], wanted: number): FoundFile[] {
  return found.filter(({ kind }) => kind === wanted).sort((a, b) => a.number - b.number);
}

/** What `FAMILIES` says, if it can be read. */
function* readRegister(
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
function* readTables(files: Files, found: readonly FoundFile[]): Task<FoundTables> {
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

function count(content: LogContent, { u32, f64 }: Region, run: number): void {
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
    word += (LogEntry.BYTES >> 2) + wordsOf(keyBytes) + wordsOf(valueBytes);
  }
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
 * them, and none may count twice.
 */
function stateOf(
  files: Files,
  { kept, lost }: FoundTables,
  log: SalvagedLog,
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
    const takesAll = misses && content.lastSequence >= largest && !content.merging.has(id);
    if (takesAll) flushIsDue = true;
    else if (largest > 0) flushed.push({ family: id, sequence: largest });
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

function firstFreeNumber(files: readonly FoundFile[]): number {
  return 1 + files.reduce((highest, { number }) => Math.max(highest, number), 0);
}

/** What the new manifest names is on stable storage before it is: whoever wrote it may have died before it was synced. */
function* settle(files: Files, tables: readonly KeptTable[], log: SalvagedLog): Task<void> {
  for (const { record: { number } } of tables) {
    const file = yield* files.open({ kind: FileKind.table, number }, FileFlag.readOnly);
    try {
      yield* files.sync(file);
    } finally {
      yield* files.close(file);
    }
  }
  for (const segment of log.segments) yield* settleSegment(files, segment);
  yield* files.syncDirectory();
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
    columnFamilies: [...state.families.values()].map(({ name }) => name),
  };
}
