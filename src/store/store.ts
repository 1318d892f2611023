/**
 * One open store: what all its handles in this process share. It ties the mechanisms together and decides nothing itself:
 * families and versions in `tree`, group commit in `commit`, segments in `log`, background flushes in `flusher.ts`.
 */
import { corruption, invalidArgument, quote, VarveError } from "../base/errors.ts";
import { BlobWriter } from "../blob/blob_writer.ts";
import { readSegmentFault } from "../blob/segment.ts";
import { ValueMemory } from "../blob/value_memory.ts";
import { Pipeline } from "../commit/pipeline.ts";
import type { LogPosition, OperatorRecord } from "../format/manifest_edit.ts";
import { TailLease } from "../commit/tail_lease.ts";
import { Visibility } from "../commit/visibility.ts";
import { Health } from "../log/health.ts";
import { Log } from "../log/log.ts";
import { closeSegments, replayLog } from "../log/replay.ts";
import { Files, required } from "../native/files.ts";
import { Jobs } from "../native/jobs.ts";
import { BLOCK_BYTES, CONTEXT_BYTES, FileKind, MergeOperator } from "../native/layout.gen.ts";
import { type Region, region, releaseRegion, reserveRegion } from "../native/region.ts";
import { closeDirectory, coreRegionOf } from "../native/store_handle.ts";
import type { Task } from "../native/task.ts";
import { TaskLock } from "../native/task_lock.ts";
import { BlobReader } from "../read/blob_reader.ts";
import { claimCache, unclaimCache } from "../read/cache_budget.ts";
import { Cursor } from "../read/cursor.ts";
import { PointReader } from "../read/point_reader.ts";
import { Family, type FamilyTuning } from "../tree/family.ts";
import { FamilyFile, type FamilyNote } from "../tree/family_file.ts";
import type { KeySpan } from "../tree/key_span.ts";
import type { Manifest } from "../tree/manifest.ts";
import { verifyTable } from "../tree/tables.ts";
import { Backpressure } from "./backpressure.ts";
import { BlobCollector } from "./blob_collector.ts";
import { BlobKeeper } from "./blob_keeper.ts";
import { ChainFolding } from "./chain_folding.ts";
import { type CheckpointTarget, makeCheckpoint } from "./checkpoint.ts";
import { Clock } from "./clock.ts";
import { Compactor } from "./compactor.ts";
import { Events } from "./events.ts";
import type { Families } from "./families.ts";
import { Flusher } from "./flusher.ts";
import type { Recovered } from "./recovery.ts";
import { Relocations } from "./relocation.ts";
import type { StoreSettings } from "./settings.ts";
import { Retention } from "./retention.ts";
import { Snapshots } from "./snapshots.ts";
import { SyncTimer } from "./sync_timer.ts";

/** Blob segments grow to so many times the size of the log's. */
const BLOB_SEGMENT_FACTOR = 4;

/** What exists before recovery: the directory, its lock, and the means to reach it. */
export class Foundation {
  readonly jobs: Jobs;
  readonly files: Files;
  readonly events = new Events();
  readonly health: Health;
  /** This Worker's way into native reads. */
  readonly context: Region;
  /** The words that all Workers on the store share. */
  readonly core: Region;
  /** What this Worker's handles have for compactions, wherever the engine is. */
  readonly folding: ChainFolding;

  constructor(
    /** The session's. */
    readonly handle: number,
    readonly path: string,
    readonly disk: number,
    stepped: boolean,
  ) {
    this.jobs = new Jobs(handle, stepped);
    this.files = new Files(this.jobs, path);
    this.core = region(coreRegionOf(handle));
    this.health = new Health(this.core, (error) => this.events.emit("error", error));
    this.context = reserveRegion(CONTEXT_BYTES);
    this.folding = new ChainFolding(this.jobs);
  }

  /** Gives everything back. The native side ends its threads and lets go of the lock. */
  release(): void {
    this.jobs.end();
    closeDirectory(this.handle);
    releaseRegion(this.context.id);
  }
}

/** What a caller holds of a store. */
export interface StoreHandle {
  /** Every later use fails. */
  end(): void;
}

/** A merge operator as it goes on record. */
export type OperatorName = Omit<OperatorRecord, "family">;

/** The same store in another Worker, as far as its engine must know of it. */
export interface Sharing {
  /** Called first: nothing more is taken in from now on, and what was is carried out. */
  closing(): Task<void>;
  /** Called when nothing changes any more, before the families let go of what they have. */
  leaving(): void;
  /** Called when nothing is left but the foundation, which is the sharing's to release. */
  ended(): void;
}

export class Store {
  /** Set while other Workers may attach. */
  sharing: Sharing | undefined;
  /** Describes the store, for Workers that have no engine; the public module's. */
  describe: ((engine: Store) => unknown) | undefined;
  readonly handles = new Set<StoreHandle>();
  readonly path: string;
  readonly jobs: Jobs;
  readonly files: Files;
  readonly events: Events;
  readonly health: Health;
  readonly context: Region;
  readonly families: Families;
  readonly snapshots = new Snapshots();
  readonly clock: Clock;
  readonly visibility: Visibility;
  readonly log: Log;
  readonly valueMemory = new ValueMemory();
  readonly values: BlobWriter;
  readonly pipeline: Pipeline;
  readonly backpressure: Backpressure;
  readonly flusher: Flusher;
  readonly retention: Retention;
  readonly collector: BlobCollector;
  readonly compactor: Compactor;
  readonly #syncTimer: SyncTimer;
  readonly #familyFile: FamilyFile;
  /** Families are made and dropped one at a time, in call order. */
  readonly #familyChanges = new TaskLock();
  readonly #checkpoints = new TaskLock();
  #closed = false;
  #released = false;

  constructor(
    readonly foundation: Foundation,
    readonly manifest: Manifest,
    readonly settings: StoreSettings,
    recovered: Recovered,
  ) {
    const { path, jobs, files, events, health, context } = foundation;
    this.path = path;
    this.jobs = jobs;
    this.files = files;
    this.events = events;
    this.health = health;
    this.context = context;
    this.families = recovered.families;
    this.retention = new Retention(files, events);
    this.clock = new Clock(foundation.disk, manifest.state.time);
    if (recovered.sawExpiry) this.clock.use();
    manifest.stampEdits(() => this.clock.recorded);
    this.#familyFile = new FamilyFile(files, manifest.storeId, () => manifest.takeFileNumber());
    this.visibility = new Visibility(foundation.core);
    this.visibility.restore(recovered.lastSequence, recovered.visible);
    this.log = new Log(
      jobs,
      files,
      health,
      manifest.storeId,
      { segmentBytes: settings.walSegmentSize, direct: settings.directIo !== false },
      recovered.log,
      recovered.log.segments,
    );
    this.backpressure = new Backpressure(
      this.families,
      manifest,
      this.log,
      events,
      this.retention,
      settings.totalWriteBufferSize,
    );
    const keeper = new BlobKeeper(manifest, events);
    this.values = new BlobWriter(
      jobs,
      files,
      health,
      this.valueMemory,
      manifest.storeId,
      {
        segmentBytes: BLOB_SEGMENT_FACTOR * settings.walSegmentSize,
        direct: settings.directIo !== false,
      },
      keeper,
      recovered.blobs,
    );
    this.pipeline = new Pipeline(
      jobs,
      this.log,
      this.values,
      health,
      this.visibility,
      this.backpressure,
      context,
      new TailLease(foundation.core, foundation.handle),
    );
    this.flusher = new Flusher(
      files,
      manifest,
      this.families,
      this.pipeline,
      this.snapshots,
      events,
      this.retention,
      context,
      this.clock,
    );
    this.collector = new BlobCollector(
      this.values,
      this.families,
      manifest,
      this.retention,
      events,
      foundation.handle,
    );
    this.compactor = new Compactor(
      files,
      manifest,
      this.families,
      this.snapshots,
      this.retention,
      events,
      context,
      {
        store: foundation.handle,
        compactionRate: settings.compactionRate,
        ioThreads: settings.ioThreads,
      },
      this.clock,
      this.collector,
      new Relocations(files, manifest, this.values, events),
      foundation.folding,
    );
    this.flusher.compactor = this.compactor;
    this.backpressure.flusher = this.flusher;
    this.backpressure.pipeline = this.pipeline;
    keeper.pipeline = this.pipeline;
    claimCache(foundation.handle, settings.blockCacheSize);
    this.#syncTimer = new SyncTimer(this.pipeline, settings.syncInterval);
  }

  /** The disk has crashed: nobody can use the store any more. */
  endHandles(): void {
    for (const handle of [...this.handles]) handle.end();
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** A reader of this Worker's. */
  newReader(): PointReader {
    const { files, context, clock, valueMemory, values } = this;
    const { handle } = this.foundation;
    const blobs = new BlobReader(handle, files, valueMemory, values.segments);
    return new PointReader(files, context, clock, blobs);
  }

  /** Whether nothing is left of it. */
  get isReleased(): boolean {
    return this.#released;
  }

  get readOnly(): boolean {
    return this.settings.readOnly;
  }

  requireWritable(attempt: string): void {
    if (this.readOnly) {
      throw new VarveError("ERR_READ_ONLY", `Cannot ${attempt}: the store is read-only`, {
        path: this.path,
      });
    }
  }

  /**
   * The family of this name, made durably if it is missing. A merge operator that is given goes on record with it, once.
   * Throws `ERR_INVALID_ARGUMENT` if the family has another one.
   */
  openFamily(
    name: string,
    tuning: FamilyTuning,
    operator: OperatorName | undefined,
  ): Task<Family> {
    return this.#familyChanges.run(() => this.#openFamily(name, tuning, operator));
  }

  /** Drops a family durably. Later calls on it fail; its tables are removed. */
  dropFamily(name: string): Task<void> {
    return this.#familyChanges.run(() => this.#dropFamily(name));
  }

  *#openFamily(
    name: string,
    tuning: FamilyTuning,
    operator: OperatorName | undefined,
  ): Task<Family> {
    const found = this.families.named(name);
    if (found !== undefined) {
      if (operator !== undefined) yield* this.#agreeOn(operator, found);
      return found;
    }
    if (this.readOnly) {
      throw new VarveError(
        "ERR_NOT_FOUND",
        `Cannot open column family '${name}': there is none, and the store is read-only`,
        { path: this.path },
      );
    }
    const id = this.manifest.state.nextFamilyId;
    const record = operator && { family: id, ...operator };
    yield* this.#changeFamilies({
      createdFamilies: [{ id, name }],
      operators: record && [record],
      nextFamilyId: id + 1,
    });
    const made = Family.create(id, name, tuning, [], this.context);
    made.operator = record;
    this.families.add(made);
    return made;
  }

  /** Puts a family's merge operator on record, or finds it there. */
  /** In the file for repairs first: what it does not know was never used. */
  *#changeFamilies(change: FamilyNote): Task<void> {
    yield* this.#familyFile.note(this.manifest.state.register, change);
    try {
      yield* this.manifest.append(() => change);
    } catch (error) {
      yield* this.#familyFile.close();
      throw error;
    }
  }

  *#agreeOn({ kind, name }: OperatorName, family: Family): Task<void> {
    const known = family.operator;
    if (known === undefined) {
      if (this.readOnly) return; // nothing has been merged
      const record = { family: family.id, kind, name };
      yield* this.#changeFamilies({ operators: [record] });
      family.operator = record;
    } else if (known.kind !== kind || known.name !== name) {
      throw invalidArgument(
        `Cannot open column family '${family.name}' with the merge operator ` +
          `${describeOperator({ kind, name })}: it has ${describeOperator(known)}`,
      );
    }
  }

  *#dropFamily(name: string): Task<void> {
    this.requireWritable(`drop column family '${name}'`);
    const family = this.families.named(name);
    if (family === undefined) {
      throw new VarveError("ERR_NOT_FOUND", `Cannot drop column family '${name}': there is none`);
    }
    try {
      yield* this.manifest.append(() => {
        family.dropped = true;
        return { droppedFamilies: [family.id] };
      });
    } catch (error) {
      family.dropped = false;
      throw error;
    }
    this.families.remove(family);
    const running = this.flusher.running;
    if (running !== undefined) yield running;
    yield* this.compactor.quit(family);
    const tables = family.version.tables;
    this.pipeline.tail.recall();
    family.release();
    family.wake();
    yield* this.retention.remove(
      tables.map(({ record: { number } }) => ({ kind: FileKind.table, number })),
    );
    const { register } = this.manifest.state;
    const note = this.#familyFile.note(register, { droppedFamilies: [family.id] });
    yield* this.events.reporting(note);
    this.collector.kick();
  }

  /** Memtables to tables: everything that was written before the call. */
  *flush(families: Iterable<Family> = this.families.all()): Task<void> {
    this.requireWritable("flush");
    this.health.requireSound("flush");
    const barrier = this.pipeline.requestBarrier(false);
    yield barrier;
    if (barrier.error !== undefined) throw barrier.error;
    const all = [...families];
    this.#rotate(all);
    yield* this.flusher.flushAll(all);
  }

  #rotate(families: readonly Family[]): void {
    this.pipeline.tail.recall();
    for (const family of families) if (family.active.entryCount > 0) family.rotate();
  }

  /** Makes a copy that opens as a store of its own: `checkpoint.ts`. */
  checkpoint(target: CheckpointTarget): Task<void> {
    this.requireWritable("make a checkpoint");
    return this.#checkpoints.run(() => makeCheckpoint(this, target));
  }

  /** When it ends, whatever was committed before it is in the log or in tables. */
  *flushVolatile(attempt: string): Task<void> {
    this.health.requireSound(attempt);
    const barrier = this.pipeline.requestBarrier(false);
    yield barrier;
    if (barrier.error !== undefined) throw barrier.error;
    yield* this.#flushVolatile();
  }

  /** Everything of the span in one sorted run on the last level, without what nobody can see any more. */
  *compact(families: Iterable<Family>, span: KeySpan): Task<void> {
    const all = [...families];
    yield* this.flush(all);
    for (const family of all) yield* this.compactor.compactRange(family, span);
  }

  /** Reads every live file and checks every checksum: tables, the log up to where it ends now, and the manifest. */
  *verify(): Task<void> {
    for (const family of [...this.families.all()]) {
      yield* this.#verifyValues(family);
      yield* this.#verifyFamily(family);
    }
    yield* this.retention.during(this.#verifySegments());
    yield* this.retention.during(this.#verifyLog());
    yield* this.manifest.verify();
    yield* this.#familyChanges.run(() => FamilyFile.verify(this.files));
  }

  /** Large values that memtables point to. A flush takes them to a table, which is checked later. */
  *#verifyValues(family: Family): Task<void> {
    if ([family.active, ...family.frozen].every(({ blobs }) => blobs.size === 0)) return;
    const range = { lower: new Uint8Array(0), upper: undefined, reverse: false, limit: Infinity };
    const view = { sequence: this.visibility.visible, time: this.clock.now() };
    const rows = { keysOnly: false, mergeOperator: family.mergeOperator, memtablesOnly: true };
    const cursor = new Cursor(this.files, this.context, family, range, view, rows);
    try {
      while ((yield* cursor.nextTask()) !== undefined);
    } finally {
      cursor.close();
    }
  }

  /** The headers of blob segments: their values have been checked. */
  *#verifySegments(): Task<void> {
    const { files, manifest: { state, storeId } } = this;
    const header = reserveRegion(BLOCK_BYTES);
    try {
      for (const number of [...state.blobs]) {
        const path = files.path({ kind: FileKind.blob, number });
        const fault = yield* required(path, readSegmentFault(files, number, storeId, header));
        if (fault === undefined) continue;
        throw corruption(`Cannot verify '${path}': ${fault}`, { path, offset: 0 });
      }
    } finally {
      releaseRegion(header.id);
    }
  }

  /** Tables that compaction makes meanwhile come too; those that it removes, or a drop, need no further look. */
  *#verifyFamily(family: Family): Task<void> {
    const seen = new Set<number>();
    for (;;) {
      const table = family.dropped
        ? undefined
        : family.version.tables.find(({ record }) => !seen.has(record.number));
      if (table === undefined) return;
      seen.add(table.record.number);
      yield* verifyTable(this.files, table, true);
    }
  }

  /** Replays the log into nothing. What was written so far must be there, as it must be after a clean close. */
  *#verifyLog(): Task<void> {
    const { logs, logEnds } = this.manifest.state;
    const { storeId } = this.manifest;
    this.pipeline.tail.recall();
    const record = { storeId, logs, logEnds: new Map(logEnds), cleanClose: this.log.position };
    yield* closeSegments(this.files, yield* replayLog(this.files, record, false));
  }

  /**
   * Ends the store: pending writes end, volatile ones are flushed, the log is synced if it owes a sync, and the clean close
   * goes on record. Nothing else is owed.
   */
  *close(): Task<void> {
    this.#closed = true;
    this.pipeline.tail.keep();
    this.#syncTimer.stop();
    if (this.sharing !== undefined) yield* this.sharing.closing();
    try {
      if (!this.readOnly) yield* this.#settleWrites();
    } finally {
      yield* this.#release();
    }
  }

  /** What cannot be kept of it is thrown: a close that resolves says that everything acknowledged is on stable storage. */
  *#settleWrites(): Task<void> {
    const barrier = this.pipeline.requestBarrier(false);
    yield barrier;
    try {
      if (this.health.failure === undefined) yield* this.#settleDebts();
    } finally {
      yield* this.flusher.stop();
      yield* this.compactor.stop();
      yield* this.collector.stop();
      while (this.backpressure.makingSegment !== undefined) yield this.backpressure.makingSegment;
    }
    if (this.health.failure === undefined) yield* this.#recordCleanClose();
    else if (!this.log.isSynced || this.#volatileFamilies().length > 0) {
      throw this.health.refusal("close without loss");
    }
  }

  *#settleDebts(): Task<void> {
    yield* this.values.syncUsed();
    yield* this.health.guard(this.log.syncAll());
    yield* this.#flushVolatile();
  }

  *#flushVolatile(): Task<void> {
    const unflushed = this.#volatileFamilies();
    this.#rotate(unflushed);
    yield* this.flusher.flushAll(unflushed);
  }

  #volatileFamilies(): Family[] {
    return [...this.families.all()].filter((family) => family.hasVolatile);
  }

  *#recordCleanClose(): Task<void> {
    const { state, isChanged } = this.manifest;
    const edit = this.manifest.append(() => ({
      lastSequence: this.visibility.lastGiven,
      cleanClose: this.#logEnd(),
    }));
    if (state.cleanClose === undefined || isChanged) yield* edit;
    // Nothing was written: only time has gone by, and a disk that is full need not keep that.
    else if (this.clock.recorded !== state.time) yield* this.events.reporting(edit);
  }

  /** Where the log ends, if its last segment is still needed. */
  #logEnd(): LogPosition {
    const { position } = this.log;
    return this.manifest.state.logs.includes(position.segment)
      ? position
      : { segment: 0, offset: 0 };
  }

  *#release(): Task<void> {
    // One that is under way finds the store closed at its next step.
    yield* this.#checkpoints.run(function* () {});
    // Reads that are under way end first; they find the store closed at their next step.
    while (this.jobs.outstanding > 0) yield this.jobs.quiet();
    this.sharing?.leaving();
    this.families.release();
    for (const { file } of this.log.all()) yield* this.files.close(file);
    yield* this.events.reporting(this.log.dropSpares());
    yield* this.#familyFile.close();
    yield* this.values.close();
    yield* this.manifest.close();
    this.pipeline.pool.drain();
    this.valueMemory.drain();
    unclaimCache(this.foundation.handle);
    if (this.sharing === undefined) this.foundation.release();
    else this.sharing.ended();
    this.#released = true;
  }
}

function describeOperator({ kind, name }: OperatorName): string {
  return kind === MergeOperator.custom ? `{ name: ${quote(name)} }` : quote(name);
}
