/**
 * `db.checkpoint(dir)`: a consistent copy that opens as a store of its own.
 *
 * The copy is the state at one moment behind the call: the tables that the manifest names then, the log up to where it ended
 * then, and a manifest that says so, closed in order. Everything that was committed before the call is in it, `"volatile"` writes
 * too (their families are flushed first); nothing that comes later is. The store goes on meanwhile.
 *
 * It is made under a name of its own beside the target, under a lock, all of it synced, and only then renamed: the target is
 * never there in part. What a crash leaves of it is removed by the next checkpoint with that target.
 */
import { closed, VarveError } from "../base/errors.ts";
import type { BlobWriter } from "../blob/blob_writer.ts";
import type { BlobSegment } from "../blob/segment.ts";
import type { LogPosition } from "../format/manifest_edit.ts";
import type { Visibility } from "../commit/visibility.ts";
import type { Pipeline } from "../commit/pipeline.ts";
import type { Health } from "../log/health.ts";
import type { Log } from "../log/log.ts";
import { closeSegments, replayLog } from "../log/replay.ts";
import { Directories } from "../native/directories.ts";
import { copyFile, linkOrCopy } from "../native/file_copy.ts";
import type { FileName, Files } from "../native/files.ts";
import { FileKind } from "../native/layout.gen.ts";
import { native } from "../native/library.ts";
import type { Task } from "../native/task.ts";
import { FamilyFile } from "../tree/family_file.ts";
import { Manifest } from "../tree/manifest.ts";
import { ManifestState } from "../tree/manifest_state.ts";
import type { Clock } from "./clock.ts";
import type { Events } from "./events.ts";
import type { Retention } from "./retention.ts";

const ATTEMPT = "make a checkpoint";
/** What a rename says of a target that is no empty directory. */
const TAKEN = new Set(["EEXIST", "ENOTEMPTY", "ENOTDIR"]);

/** Where a checkpoint goes: a directory that is made if it is missing, and a name in it. */
export interface CheckpointTarget {
  readonly parent: string;
  readonly name: string;
}

/** What a checkpoint needs of the store. */
interface Source {
  readonly files: Files;
  readonly manifest: Manifest;
  readonly log: Log;
  readonly pipeline: Pick<Pipeline, "tail">;
  readonly values: BlobWriter;
  readonly visibility: Visibility;
  readonly health: Health;
  readonly events: Events;
  readonly retention: Retention;
  readonly clock: Clock;
  readonly isClosed: boolean;
  /** When it ends, whatever was committed before it is in the log or in tables. */
  flushVolatile(attempt: string): Task<void>;
}

/** The store at one moment: what a manifest of the copy says. */
interface Moment {
  readonly state: ManifestState;
  readonly end: LogPosition;
  /** Blob segments, sealed. */
  readonly segments: readonly BlobSegment[];
}

export function* makeCheckpoint(store: Source, target: CheckpointTarget): Task<void> {
  requireOpen(store);
  const directories = new Directories(store.files.jobs);
  const above = yield* directories.open(target.parent);
  try {
    yield* requireFree(directories, above, target.name);
    const name = temporaryName(target.name);
    const copy = yield* directories.openIn(above, name, { create: true, lock: true });
    try {
      yield* fill(store, copy);
      yield* taken(above, target.name, directories.rename(above, name, target.name));
      yield* above.syncDirectory();
    } catch (error) {
      yield* store.events.reporting(directories.remove(above, name));
      throw error;
    } finally {
      yield* directories.close(copy);
    }
  } finally {
    yield* directories.close(above);
  }
}

/** Whether a kind of file is never written to again, so that the copy may share it by a link; else it is copied. */
function isShared(kind: number): boolean {
  return kind === FileKind.table || kind === FileKind.blob;
}

/** The same target has the same one, so that what a crash left is found again. */
function temporaryName(target: string): string {
  const bytes = new Uint8Array(new TextEncoder().encode(target));
  const digits = (native().call.varve_checksum(bytes, bytes.length) >>> 0).toString(16);
  return `.varve-checkpoint-${digits.padStart(8, "0")}`;
}

/** Found out early, before anything is copied; the rename finds out what has come since. */
function* requireFree(directories: Directories, above: Files, name: string): Task<void> {
  let found: Files;
  try {
    found = yield* taken(above, name, directories.openIn(above, name, {}));
  } catch (error) {
    if (error instanceof VarveError && error.errnoName === "ENOENT") return;
    throw error;
  }
  try {
    if ((yield* found.list()).length > 0) throw exists(above, name);
  } finally {
    yield* directories.close(found);
  }
}

/** Turns what the system says of an occupied name into `ERR_EXISTS`. */
function* taken<T>(above: Files, name: string, task: Task<T>): Task<T> {
  try {
    return yield* task;
  } catch (error) {
    const errno = error instanceof VarveError ? error.errnoName : undefined;
    if (errno === "ELOOP" || TAKEN.has(errno ?? "")) throw exists(above, name, error);
    throw error;
  }
}

function exists(above: Files, name: string, cause?: unknown): VarveError {
  const path = `${above.directory}/${name}`;
  const message = `Cannot ${ATTEMPT} in '${path}': it is there, and is no empty directory`;
  return new VarveError("ERR_EXISTS", message, { path, cause });
}

function* fill(store: Source, copy: Files): Task<void> {
  // What an earlier one left that did not come to its end.
  for (const name of yield* copy.list()) {
    if (name.kind !== FileKind.lock) yield* copy.unlink(name);
  }
  yield* store.flushVolatile(ATTEMPT);
  yield* store.retention.during(copyMoment(store, copy));
}

function* copyMoment(store: Source, copy: Files): Task<void> {
  const { state, end, segments } = takeMoment(store);
  const { files, manifest: { storeId } } = store;
  yield* finishSegments(store, segments, state.blobs);
  for (const number of state.blobs) yield* give(store, copy, { kind: FileKind.blob, number });
  for (const { tables } of state.families.values()) {
    for (const { number } of tables) {
      yield* give(store, copy, { kind: FileKind.table, number });
    }
  }
  for (const number of state.logs) {
    const name = { kind: FileKind.log, number };
    requireOpen(store);
    yield* copyFile(files, copy, name, number === end.segment ? end.offset : Infinity);
  }
  yield* requireWholeLog(store, copy, state);
  if (state.nextFamilyId > 1) {
    yield* FamilyFile.write(copy, state.nextFileNumber++, storeId, state.register);
  }
  const pointer = yield* Manifest.write(copy, storeId, state);
  yield* Manifest.point(copy, pointer);
}

/**
 * REQUIRES: nothing is written without a log and not flushed. In one synchronous stretch, the log's end is that of the last
 * group which the memtables have, and tables hold nothing beyond it.
 */
function takeMoment(store: Source): Moment {
  requireOpen(store);
  store.health.requireSound(ATTEMPT);
  store.pipeline.tail.recall();
  const { position } = store.log;
  const live = store.manifest.state;
  // Segments behind the end are empty, or hold what a recovery found to be behind it.
  const logs = live.logs.filter((number) => number <= position.segment);
  const end = logs.includes(position.segment) ? position : { segment: 0, offset: 0 };
  // Later values go to others. Those that hold none are no part of the copy.
  const segments = store.values.seal();
  const numbers = new Set(segments.map(({ number }) => number));
  // A compaction's own segment is whole before an edit names it, and the writer learns of it after that.
  for (const { tables } of live.families.values()) {
    for (const { blobs } of tables) for (const { number } of blobs) numbers.add(number);
  }
  const state = new ManifestState();
  state.apply(
    {
      ...live.snapshot(),
      addedBlobs: [...numbers],
      sealedBlobs: [...numbers],
      addedLogs: logs,
      logEnds: logs.flatMap((segment) => {
        const offset = live.logEnds.get(segment);
        return offset === undefined ? [] : [{ segment, offset }];
      }),
      lastSequence: store.visibility.lastGiven,
      time: store.clock.recorded,
      cleanClose: end,
    },
    store.files.directory,
    0,
  );
  return { state, end, segments };
}

/**
 * Waits until nothing is written to the segments any more, and puts that on record: from then on they may have a second name, and a
 * recovery of either store leaves them as they are.
 */
function* finishSegments(
  store: Source,
  segments: readonly BlobSegment[],
  named: ReadonlySet<number>,
): Task<void> {
  for (const segment of segments) {
    yield segment.finished;
    if (segment.owesSync) throw segment.failure ?? store.health.refusal(ATTEMPT);
  }
  yield* store.manifest.append(() => {
    const { blobs, sealedBlobs } = store.manifest.state;
    const fresh = [...named].filter((number) => blobs.has(number) && !sealedBlobs.has(number));
    return fresh.length === 0 ? undefined : { sealedBlobs: fresh };
  });
}

/** The copy gets a file of the store, by a link where that can be. */
function* give(store: Source, copy: Files, name: FileName): Task<void> {
  requireOpen(store);
  if (isShared(name.kind)) yield* linkOrCopy(store.files, copy, name);
  else yield* copyFile(store.files, copy, name, Infinity);
}

/** What was copied may have been read from a page cache that lost a write: the copy's frames must be there to the end. */
function* requireWholeLog(
  { manifest: { storeId } }: Source,
  copy: Files,
  { logs, logEnds, cleanClose }: ManifestState,
): Task<void> {
  const record = { storeId, logs, logEnds, cleanClose };
  yield* closeSegments(copy, yield* replayLog(copy, record, false));
}

/** A closing store waits for this, so it ends soon. */
function requireOpen(store: Source): void {
  if (store.isClosed) throw closed(ATTEMPT, "the store");
}
