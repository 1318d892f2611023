/**
 * Runs compactions in the background and installs what comes of them, a few at a time where they do not meet.
 *
 * Promises: outputs are synced and named durably before the manifest names them, inputs are removed only after it has forgotten
 * them; a compaction that fails or is ended changes nothing and leaves no file; a failure is an `"error"` event, and the
 * next flush tries again.
 */
import { closed, VarveError } from "../base/errors.ts";
import { Histogram } from "../base/histogram.ts";
import type { TableRecord } from "../format/manifest_edit.ts";
import type { Files } from "../native/files.ts";
import { FileKind } from "../native/layout.gen.ts";
import type { Region } from "../native/region.ts";
import { Signal } from "../native/signal.ts";
import { startTask, type Task } from "../native/task.ts";
import { type CompactionOutcome, type Relocation, RunningCompaction } from "../tree/compaction.ts";
import {
  type Compaction,
  isMove,
  overlapsTooMuch,
  pickCompaction,
  type PickerContext,
  pickWhole,
} from "../tree/compaction_picker.ts";
import type { Family } from "../tree/family.ts";
import type { KeySpan } from "../tree/key_span.ts";
import type { Manifest } from "../tree/manifest.ts";
import { releaseTable, type Table } from "../tree/version.ts";
import type { BlobCollector } from "./blob_collector.ts";
import type { ChainFolding } from "./chain_folding.ts";
import type { Clock } from "./clock.ts";
import type { Events } from "./events.ts";
import type { Families } from "./families.ts";
import type { Relocations, RunningRelocation } from "./relocation.ts";
import type { Retention } from "./retention.ts";
import type { Snapshots } from "./snapshots.ts";

/** Compactions at the same time, over all families. */
const RUNNING_MAX = 2;
/** Bytes read between two looks at the lane's other jobs. */
const STEP_BYTES = 8 << 20;
/** File numbers beyond what the inputs' bytes ask for: tombstones and cuts between keys make a few more. */
const SPARE_NUMBERS = 16;

export interface CompactionCounters {
  count: number;
  /** Tables that moved down by an edit alone. */
  moves: number;
  bytesRead: number;
  bytesWritten: number;
  entriesIn: number;
  entriesOut: number;
  /** Bytes of large values that were copied out of blob segments with much garbage. */
  blobBytes: number;
  milliseconds: number;
  failures: number;
}

interface Running {
  readonly family: Family;
  readonly compaction: Compaction;
  readonly ended: Signal;
  /** Set while the library merges. */
  work: RunningCompaction | undefined;
}

/** What the compactor needs of the store's settings. */
export interface CompactorSettings {
  /** Handle of the native store. */
  readonly store: number;
  /** Bytes a second; `Infinity`: no limit. */
  readonly compactionRate: number;
  readonly ioThreads: number;
}

export class Compactor {
  readonly counters: CompactionCounters = {
    count: 0,
    moves: 0,
    bytesRead: 0,
    bytesWritten: 0,
    entriesIn: 0,
    entriesOut: 0,
    blobBytes: 0,
    milliseconds: 0,
    failures: 0,
  };
  readonly latency = new Histogram();
  readonly #running = new Set<Running>();
  /** By family: per level, the largest key of the last table that was compacted there. */
  readonly #cursors = new WeakMap<Family, Map<number, Uint8Array>>();
  #stopped = false;
  /** Manual compactions that wait for, or are, the only one of their family. */
  readonly #exclusive = new Set<Family>();

  constructor(
    readonly files: Files,
    readonly manifest: Manifest,
    readonly families: Families,
    readonly snapshots: Snapshots,
    readonly retention: Retention,
    readonly events: Events,
    readonly context: Region,
    readonly settings: CompactorSettings,
    readonly clock: Clock,
    readonly collector: BlobCollector,
    readonly relocations: Relocations,
    readonly folding: ChainFolding,
  ) {}

  get runningCount(): number {
    return this.#running.size;
  }

  /** Begins what is worth it, as far as there is room. */
  kick(): void {
    for (const family of this.families.all()) {
      while (this.#hasRoom && !this.#exclusive.has(family)) {
        const compaction = pickCompaction(
          family.version.levels,
          family.tuning,
          this.#pickerContext(family),
        );
        if (compaction === undefined) break;
        if (!this.#start(family, compaction)) return;
      }
    }
  }

  /** Compacts everything that a span holds into the last level; `undefined`: the whole family. */
  *compactRange(family: Family, span: KeySpan): Task<void> {
    while (this.#exclusive.has(family)) yield family.changed;
    this.#exclusive.add(family);
    try {
      yield* this.#quiet(family);
      if (family.dropped || this.#stopped) return;
      const compaction = pickWhole(family.version.levels, span, this.#pickerContext(family));
      if (compaction === undefined) return;
      const running = this.#enter(family, compaction);
      try {
        yield* this.#run(running);
      } finally {
        this.#leave(running);
      }
    } finally {
      this.#exclusive.delete(family);
      family.wake();
      if (!this.#stopped) this.kick();
    }
  }

  /** Ends what runs, soon, and waits for that. Nothing new begins. */
  *stop(): Task<void> {
    this.#stopped = true;
    for (const { work } of this.#running) work?.cancel();
    for (const { ended } of [...this.#running]) yield ended;
  }

  /** Ends a family's compactions and waits for that. */
  *quit(family: Family): Task<void> {
    for (const running of this.#of(family)) running.work?.cancel();
    yield* this.#quiet(family);
  }

  *#quiet(family: Family): Task<void> {
    for (const { ended } of this.#of(family)) yield ended;
  }

  get #hasRoom(): boolean {
    const max = Math.max(1, Math.min(RUNNING_MAX, this.settings.ioThreads - 1));
    return !this.#stopped && this.#running.size < max && this.manifest.health.failure === undefined;
  }

  #of(family: Family): Running[] {
    return [...this.#running].filter((running) => running.family === family);
  }

  #pickerContext(family: Family): PickerContext {
    const { order } = this.collector;
    return {
      running: this.#of(family).map(({ compaction }) => compaction),
      oldestSnapshot: this.snapshots.sequences()[0] ?? Infinity,
      garbage: order.segments,
      shadowed: order.shadowed.has(family.id),
      cursors: this.#cursorsOf(family),
    };
  }

  #cursorsOf(family: Family): Map<number, Uint8Array> {
    const cursors = this.#cursors.get(family) ?? new Map<number, Uint8Array>();
    this.#cursors.set(family, cursors);
    return cursors;
  }

  #enter(family: Family, compaction: Compaction): Running {
    const running: Running = { family, compaction, ended: new Signal(), work: undefined };
    this.#running.add(running);
    return running;
  }

  #leave(running: Running): void {
    this.#running.delete(running);
    running.ended.set();
    running.family.wake();
  }

  /** False: it failed at once, and so would the next. */
  #start(family: Family, compaction: Compaction): boolean {
    const running = this.#enter(family, compaction);
    let failed = false;
    startTask(this.files.jobs, this.#run(running), (error) => {
      this.#leave(running);
      failed = error !== undefined;
      if (failed) this.#failed(running, error);
      else this.kick();
    });
    return !failed;
  }

  *#run(running: Running): Task<void> {
    const { family, compaction } = running;
    const { inputs, outputLevel } = compaction;
    const first = inputs.find(({ record }) => record.level < outputLevel)?.record;
    if (first !== undefined && first.level > 0) {
      this.#cursorsOf(family).set(first.level, first.largestKey);
    }
    const started = performance.now();
    if (this.#moves(family, compaction)) {
      yield* this.#move(family, compaction);
      this.counters.moves += inputs.length;
      family.traffic[outputLevel].bytesIn += bytesAbove(compaction);
      return;
    }
    const { segments } = this.collector.order;
    const relocation = yield* this.relocations.begin(compaction, segments);
    let outcome: CompactionOutcome;
    try {
      outcome = yield* this.#merge(running, relocation);
    } catch (error) {
      if (relocation !== undefined) yield* relocation.abandon();
      throw error;
    }
    yield* this.#install(family, inputs, outcome, relocation);
    this.#report(running, outcome, performance.now() - started);
  }

  #moves(family: Family, compaction: Compaction): boolean {
    const { compression } = family.tuning;
    const changesCompression = compression.length > 1 &&
      compaction.inputs.some(({ record }) => record.level < compression.length - 1);
    return isMove(compaction) && !changesCompression &&
      !overlapsTooMuch(family.version.levels, compaction, family.tuning);
  }

  *#move(family: Family, { inputs, outputLevel }: Compaction): Task<void> {
    const moved = inputs.map(({ record, handle }) => ({
      record: { ...record, level: outputLevel },
      handle,
    }));
    if (!(yield* this.#record(family, inputs, moved))) return;
    family.replaceTables(inputs, moved, this.context);
    family.wake();
  }

  *#merge(running: Running, relocation: Relocation | undefined): Task<CompactionOutcome> {
    const { family, compaction } = running;
    // Whoever ends compactions now had nothing to cancel before.
    if (this.#stopped || family.dropped) throw closed("compact", "the store or the family");
    const bytes = compaction.inputs.reduce((sum, { record }) => sum + record.fileBytes, 0);
    const numberCount = Math.ceil(2 * bytes / family.tuning.targetFileSize) + SPARE_NUMBERS;
    const { compactionRate } = this.settings;
    const work = running.work = new RunningCompaction({
      store: this.settings.store,
      family,
      compaction,
      snapshots: this.snapshots.sequences(),
      now: this.clock.now(),
      firstNumber: this.manifest.takeFileNumbers(numberCount),
      numberCount,
      relocation,
      bytesPerSecond: Number.isFinite(compactionRate) ? compactionRate : 0,
      stepBytes: STEP_BYTES,
      fold: this.folding.of(family.id),
    });
    try {
      return yield* work.run(this.files);
    } finally {
      running.work = undefined;
    }
  }

  /** Outputs in the place of the inputs: on record, then for readers, then the inputs go. */
  *#install(
    family: Family,
    inputs: readonly Table[],
    { outputs, blobBytes }: CompactionOutcome,
    relocation: RunningRelocation | undefined,
  ): Task<void> {
    const undo = function* (this: Compactor): Task<void> {
      yield* this.#discard(outputs);
      if (relocation !== undefined) yield* relocation.abandon();
    };
    let recorded = false;
    try {
      if (relocation !== undefined) yield* relocation.finish(blobBytes);
      recorded = yield* this.#record(family, inputs, outputs, relocation?.added);
    } catch (error) {
      // An edit that failed on its way to the disk may still be found there, and then the files must be, too.
      if (this.manifest.health.failure === undefined) yield* undo.call(this);
      else for (const table of outputs) releaseTable(table);
      throw error;
    }
    if (!recorded) return yield* undo.call(this);
    relocation?.install(outputs);
    family.replaceTables(inputs, outputs, this.context);
    // Nobody comes upon the inputs any more when segments go that only they point to.
    const discarding = this.#discard(inputs);
    this.collector.kick();
    yield* discarding;
  }

  /** Returns false if the family was dropped meanwhile, and nothing is on record. */
  *#record(
    family: Family,
    inputs: readonly Table[],
    outputs: readonly Table[],
    addedBlobs?: number[],
  ): Task<boolean> {
    let recorded = false;
    yield* this.manifest.append(() => {
      if (family.dropped) return undefined;
      recorded = true;
      return {
        removedTables: inputs.map(({ record }) => ({ family: family.id, number: record.number })),
        addedTables: outputs.map(({ record }): TableRecord => record),
        addedBlobs,
      };
    });
    return recorded;
  }

  /** Releases tables at once; the task removes their files. */
  #discard(tables: readonly Table[]): Task<void> {
    for (const table of tables) releaseTable(table);
    return this.retention.remove(
      tables.map(({ record }) => ({ kind: FileKind.table, number: record.number })),
    );
  }

  #report({ family, compaction }: Running, outcome: CompactionOutcome, milliseconds: number): void {
    const { bytesRead, bytesWritten, entriesIn, entriesOut, outputs, blobBytes } = outcome;
    this.counters.count++;
    this.counters.bytesRead += bytesRead;
    this.counters.bytesWritten += bytesWritten;
    this.counters.entriesIn += entriesIn;
    this.counters.entriesOut += entriesOut;
    this.counters.blobBytes += blobBytes;
    this.counters.milliseconds += milliseconds;
    this.latency.record(milliseconds);
    const traffic = family.traffic[compaction.outputLevel];
    traffic.bytesIn += bytesAbove(compaction);
    traffic.bytesRead += bytesRead;
    traffic.bytesWritten += bytesWritten;
    this.events.emit("compaction", {
      columnFamily: family.name,
      reason: compaction.reason,
      level: compaction.outputLevel,
      tablesIn: compaction.inputs.length,
      tablesOut: outputs.length,
      bytesRead,
      bytesWritten,
      milliseconds,
    });
  }

  #failed({ family }: Running, error: unknown): void {
    // Ended by a close, a drop or a crash, which tell their own callers.
    if (this.#stopped || family.dropped) return;
    if (!(error instanceof VarveError)) throw error;
    this.counters.failures++;
    this.events.emit("error", error);
  }
}

/** What comes down with a compaction. One within a level, of tables that overlap there, brings itself. */
function bytesAbove({ inputs, outputLevel }: Compaction): number {
  const above = inputs.filter(({ record }) => record.level < outputLevel);
  return above.reduce((sum, { record }) => sum + record.fileBytes, 0);
}
