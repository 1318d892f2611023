/**
 * Brings a store back: tables opened, the log replayed into memtables. Needs no new space on the disk; what the log's end
 * turned out to be is written with the first edit that follows.
 */
import { BlobSegment } from "../blob/segment.ts";
import { Applier } from "../commit/apply.ts";
import type { LogPosition, TableRecord } from "../format/manifest_edit.ts";
import { type FileName, type Files, type FoundFile, required } from "../native/files.ts";
import { BLOCK_BYTES, FileFlag, FileKind, LogRun } from "../native/layout.gen.ts";
import { type Region, releaseRegion, reserveRegion } from "../native/region.ts";
import { inParallel, type Task } from "../native/task.ts";
import { isSound } from "../log/frame.ts";
import type { FamilyTarget, MemtableSink, RunVisitor } from "../log/frame_walk.ts";
import { closeSegments, type Replayed, replayLog } from "../log/replay.ts";
import { decodeSegmentHeader, SEGMENT_START } from "../log/segment.ts";
import { Family } from "../tree/family.ts";
import type { Manifest } from "../tree/manifest.ts";
import { openTable } from "../tree/tables.ts";
import { releaseTable, type Table } from "../tree/version.ts";
import { corruption, VarveError } from "../base/errors.ts";
import type { Families } from "./families.ts";
import type { StoreSettings } from "./settings.ts";
import {
  findLostValue,
  type ReplayedValue,
  requireKnownBlobs,
  segmentItself,
} from "./value_recovery.ts";

/** Tables that are opened at the same time: more than there are threads to read them, and few regions. */
const TABLES_AT_ONCE = 16;

export interface Recovered {
  readonly families: Families;
  readonly log: Replayed;
  readonly lastSequence: number;
  /** What readers elsewhere may see until they are shown what was found; `undefined`: there are none. */
  readonly visible: number | undefined;
  /** Whether an entry of the log expires. */
  readonly sawExpiry: boolean;
  readonly blobs: readonly BlobSegment[];
}

/** Sees what a replay finds, and may put more into the memtables between. */
export interface ReplayWitness {
  /** What others see meanwhile. */
  readonly visible: number;
  /** A replay begins; whatever one before it has applied is gone. */
  begin(): void;
  /** A run is about to be applied. */
  beforeRun(firstSequence: number, entryCount: number, families: Families): void;
  /** Returns the last sequence number that is in use, if that is greater than what was found. */
  atEnd(families: Families, lastSequence: number): number;
}

/** `families`: empty; they are put there as they are opened, and are the caller's to release, on failure too. */
export function* recover(
  files: Files,
  found: readonly FoundFile[],
  manifest: Manifest,
  settings: StoreSettings,
  context: Region,
  families: Families,
  witness?: ReplayWitness,
): Task<Recovered> {
  yield* requireKnownLogs(files, found, manifest);
  yield* openFamilies(files, manifest, settings, context, families);
  const { state } = manifest;
  const applier = new Applier(context);
  const familyOf = (id: number, sequence: number): Family | undefined => {
    const known = state.families.get(id);
    if (known === undefined && id >= state.nextFamilyId) {
      throw corruption(`Cannot replay the log: an entry names the unknown column family ${id}`, {
        path: files.directory,
      });
    }
    return known === undefined || sequence <= known.flushedSequence ? undefined : families.get(id);
  };
  const record = {
    storeId: manifest.storeId,
    logs: state.logs,
    logEnds: state.logEnds,
    cleanClose: state.cleanClose,
  };
  const writable = !settings.readOnly;
  let values: ReplayedValue[] = [];
  let frame: LogPosition = { segment: 0, offset: 0 };
  applier.onAddress = (address) => {
    values.push({ address, frame });
  };
  const memtables: MemtableSink = {
    nextFamily: state.nextFamilyId,
    targets: () => targetsOf(families, manifest),
    entry: (region, offset, sequence, segment, frameOffset) => {
      frame = { segment, offset: frameOffset };
      applier.applyOne(region, offset, sequence, segment, familyOf);
    },
    expires: () => {
      applier.sawExpiry = true;
    },
  };
  const run: RunVisitor = (region, offset, segment, frameOffset) => {
    const entryCount = region.u32[(offset + LogRun.entryCount) >> 2];
    const firstSequence = region.f64[(offset + LogRun.firstSequence) >> 3];
    frame = { segment, offset: frameOffset };
    witness?.beforeRun(firstSequence, entryCount, families);
    applier.apply(region, offset, segment, familyOf);
  };
  const replay = (end?: LogPosition): Task<Replayed> => {
    values = [];
    witness?.begin();
    const ending = end === undefined ? record : { ...record, end };
    return replayLog(files, ending, writable, witness === undefined ? { memtables } : { run });
  };
  let log = yield* replay();
  // What goes with a lost value was given its number, too.
  const newest = Math.max(state.lastSequence, log.lastSequence);
  requireKnownBlobs(files, values, state.blobs);
  const open = values.filter(({ address }) => !state.sealedBlobs.has(address.number));
  const lost = yield* findLostValue(
    files,
    open,
    log.synced,
    writable ? segmentItself(files) : undefined,
  );
  if (lost !== undefined) {
    yield* closeSegments(files, log);
    for (const family of families.all()) family.forgetMemtables();
    log = yield* replay(lost);
  }
  const lastSequence = witness?.atEnd(families, newest) ?? newest;
  return {
    families,
    log,
    lastSequence,
    visible: witness?.visible,
    sawExpiry: applier.sawExpiry,
    blobs: blobsAmong(found, state.blobs),
  };
}

/** The memtables that take what the log says of each family. */
function targetsOf(families: Families, { state }: Manifest): FamilyTarget[] {
  return Array.from(families.all(), ({ id, active }) => ({
    id,
    memtable: active.region.id,
    flushedSequence: state.families.get(id)!.flushedSequence,
  }));
}

/** The blob segments on record. One whose file is missing has no bytes; whoever reads it is told. */
function blobsAmong(found: readonly FoundFile[], numbers: ReadonlySet<number>): BlobSegment[] {
  const segments = new Map<number, BlobSegment>();
  for (const number of numbers) segments.set(number, BlobSegment.found(number, 0));
  for (const { kind, number, bytes } of found) {
    if (kind === FileKind.blob && numbers.has(number)) {
      segments.set(number, BlobSegment.found(number, bytes));
    }
  }
  return [...segments.values()];
}

/**
 * Settles what recovery found: everything replayed is on stable storage, what lay behind the end never comes back,
 * files that no edit names are gone.
 */
export function* settle(
  files: Files,
  found: readonly FoundFile[],
  manifest: Manifest,
  log: Replayed,
): Task<void> {
  if (manifest.state.cleanClose === undefined) {
    for (const { file } of log.segments) yield* files.sync(file);
    // The process may have died between a rename, or an edit, and its sync.
    yield* files.syncDirectory();
    yield* manifest.settle();
  }
  const { segment, offset } = log.position;
  manifest.amendFirstEdit({
    removedLogs: log.dropped.map(({ number }) => number),
    logEnds: segment === 0 ? [] : [{ segment, offset }],
  });
  for (const { file } of log.dropped) yield* files.close(file);
  yield* removeOrphans(files, found, manifest);
}

function* openFamilies(
  files: Files,
  manifest: Manifest,
  settings: StoreSettings,
  context: Region,
  families: Families,
): Task<void> {
  for (const { id, name, operator, tables } of manifest.state.families.values()) {
    const opened = yield* openTables(files, tables);
    const tuning = settings.columnFamilies.get(name) ?? settings.familyDefaults;
    const family = Family.create(id, name, tuning, opened, context);
    family.operator = operator;
    families.add(family);
  }
}

/** All of them, or none. */
function* openTables(files: Files, records: readonly TableRecord[]): Task<Table[]> {
  const opened: Table[] = [];
  const opening = records.map(function* (record): Task<Table> {
    const path = files.path({ kind: FileKind.table, number: record.number });
    const table = yield* required(path, openTable(files, record));
    opened.push(table);
    return table;
  });
  try {
    return yield* inParallel(files.jobs, opening, TABLES_AT_ONCE);
  } catch (error) {
    for (const table of opened) releaseTable(table);
    throw error;
  }
}

/** Removes what a crash left: files of ours that the manifest does not name. */
function* removeOrphans(
  files: Files,
  found: readonly FoundFile[],
  manifest: Manifest,
): Task<void> {
  const { state } = manifest;
  const tables = new Set<number>();
  for (const family of state.families.values()) {
    for (const { number } of family.tables) tables.add(number);
  }
  const logs = new Set(state.logs);
  for (const { kind, number } of found) {
    state.nextFileNumber = Math.max(state.nextFileNumber, number + 1);
    const isOrphan = (kind === FileKind.table && !tables.has(number)) ||
      (kind === FileKind.log && !logs.has(number)) ||
      (kind === FileKind.blob && !state.blobs.has(number)) ||
      (kind === FileKind.manifest && number !== manifest.number) ||
      kind === FileKind.temporary;
    if (isOrphan) yield* discard(files, { kind, number });
  }
}

/** A file that cannot be removed costs its space, and nothing else. */
export function* discard(files: Files, name: FileName): Task<void> {
  try {
    yield* files.unlink(name);
  } catch (error) {
    if (!(error instanceof VarveError)) throw error;
  }
}

/**
 * A frame is written only into a segment that is on record. One in a segment that the manifest never heard of says that
 * the manifest has lost an edit.
 */
function* requireKnownLogs(
  files: Files,
  found: readonly FoundFile[],
  manifest: Manifest,
): Task<void> {
  for (const { kind, number } of found) {
    if (kind !== FileKind.log || number <= manifest.state.lastLog) continue;
    if (!(yield* holdsFrames(files, { kind, number }))) continue;
    const path = files.path({ kind, number });
    throw corruption(`Cannot open '${path}': it is in use, and the manifest does not name it`, {
      path,
      offset: 0,
    });
  }
}

/** Whether a sound frame is at a segment's start. Other bytes may be what recycled blocks of the disk held before. */
function* holdsFrames(files: Files, name: FileName): Task<boolean> {
  const file = yield* files.open(name, FileFlag.readOnly);
  const bytes = yield* files.size(file);
  const region = reserveRegion(Math.max(bytes, BLOCK_BYTES));
  try {
    const read = yield* files.read(file, region, 0, bytes);
    const header = decodeSegmentHeader(region);
    const mark = typeof header === "string" ? 0 : header.mark;
    return isSound(region, { number: name.number, mark }, SEGMENT_START, read);
  } finally {
    releaseRegion(region.id);
    yield* files.close(file);
  }
}
