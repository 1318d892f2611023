/**
 * Turns frozen memtables into tables, one at a time, the oldest first within a family.
 *
 * Promises: a table enters the manifest only when the log is synced up to the table's last entry (so that what survives a
 * crash is a prefix of the commit order over all families), and a log segment goes only when the manifest no longer
 * needs it, durably. A flush that fails changes nothing; it is reported and tried again.
 */
import { isDiskFull, VarveError } from "../base/errors.ts";
import { Histogram } from "../base/histogram.ts";
import type { Pipeline } from "../commit/pipeline.ts";
import type { Segment } from "../log/segment.ts";
import type { Memtable } from "../memtable/memtable.ts";
import type { Files } from "../native/files.ts";
import { FileKind } from "../native/layout.gen.ts";
import type { Region } from "../native/region.ts";
import { Signal } from "../native/signal.ts";
import { startTask, type Task } from "../native/task.ts";
import type { Family } from "../tree/family.ts";
import type { Manifest } from "../tree/manifest.ts";
import { flushTable } from "../tree/tables.ts";
import { releaseTable, type Table } from "../tree/version.ts";
import type { Clock } from "./clock.ts";
import type { Compactor } from "./compactor.ts";
import type { Families } from "./families.ts";
import type { Events } from "./events.ts";
import type { Retention } from "./retention.ts";
import type { Snapshots } from "./snapshots.ts";

export interface FlushCounters {
  count: number;
  bytes: number;
  failures: number;
}

/** A failure, and which attempt met it: the signal that is set when the attempt ends. */
export interface Met {
  readonly attempt: Signal;
  readonly error: unknown;
}

export class Flusher {
  readonly counters: FlushCounters = { count: 0, bytes: 0, failures: 0 };
  readonly latency = new Histogram();
  #running: Signal | undefined;
  #met: Met | undefined;
  #stopped = false;
  /** Set after construction: a flush may make a compaction worth it. */
  compactor!: Compactor;

  constructor(
    readonly files: Files,
    readonly manifest: Manifest,
    readonly families: Families,
    readonly pipeline: Pipeline,
    readonly snapshots: Snapshots,
    readonly events: Events,
    readonly retention: Retention,
    readonly context: Region,
    readonly clock: Clock,
  ) {}

  /** Starts flushing if there is something to flush. */
  kick(): void {
    if (this.#running !== undefined || this.#stopped || this.#oldest() === undefined) return;
    const running = this.#running = new Signal();
    startTask(this.files.jobs, this.#run(), (error) => {
      this.#running = undefined;
      if (error === undefined) this.#met = undefined; // what an earlier round met is over
      else this.#failed(running, error);
      running.set();
      for (const family of this.families.all()) family.wake();
    });
  }

  /** The running round of flushes: set when it ends. */
  get running(): Signal | undefined {
    return this.#running;
  }

  /** The last failure, until it is taken or a round ends well. */
  get met(): Met | undefined {
    return this.#met;
  }

  /** The last failure, once: whoever takes it reports it to a caller. */
  takeFailure(): unknown {
    const error = this.#met?.error;
    this.#met = undefined;
    return error;
  }

  /** Flushes everything that is frozen now. Throws what prevented it. */
  *flushAll(families: Iterable<Family>): Task<void> {
    for (const family of families) {
      const last = family.frozen.at(-1);
      while (last !== undefined && family.frozen.includes(last) && !family.dropped) {
        this.takeFailure();
        this.kick();
        if (this.#running === undefined) break;
        yield this.#running;
        const failure = this.takeFailure();
        if (failure !== undefined && family.frozen.includes(last)) throw failure;
      }
    }
  }

  /** Takes no further memtable; the one that is being flushed is waited for. */
  *stop(): Task<void> {
    this.#stopped = true;
    if (this.#running !== undefined) yield this.#running;
  }

  *#run(): Task<void> {
    for (let family = this.#oldest(); family !== undefined; family = this.#oldest()) {
      try {
        yield* this.#flush(family, family.frozen[0]);
      } catch (error) {
        // A full disk has room again when the log gives up what it keeps for later.
        if (!isDiskFull(error) || !(yield* this.pipeline.log.dropSpares())) throw error;
      }
      if (this.#stopped) return;
    }
  }

  /** The family whose frozen memtable has waited longest. */
  #oldest(): Family | undefined {
    let oldest: Family | undefined;
    for (const family of this.families.all()) {
      if (family.frozen.length === 0) continue;
      if (oldest === undefined || family.frozen[0].lastSequence < oldest.frozen[0].lastSequence) {
        oldest = family;
      }
    }
    return oldest;
  }

  *#flush(family: Family, memtable: Memtable): Task<void> {
    if (memtable.firstSegment !== 0 && !this.pipeline.log.isSynced) {
      yield* this.pipeline.syncBehind();
    }
    // Those of volatile entries, too, which no sync of the log has covered.
    yield* this.pipeline.values.syncUsed();
    const number = this.manifest.takeFileNumber();
    const started = performance.now();
    const table = yield* flushTable(
      this.files,
      memtable,
      number,
      family,
      this.snapshots.sequences(),
      this.clock.now(),
    );
    if (!(yield* this.#install(family, memtable, table))) return;
    const milliseconds = performance.now() - started;
    this.latency.record(milliseconds);
    this.counters.count++;
    this.counters.bytes += table.record.fileBytes;
    family.traffic[0].bytesIn += table.record.fileBytes;
    family.traffic[0].bytesWritten += table.record.fileBytes;
    this.events.emit("flush", {
      columnFamily: family.name,
      entries: table.record.entryCount,
      bytes: table.record.fileBytes,
      milliseconds,
    });
  }

  /** Returns false if the family was dropped meanwhile: its table goes too. */
  *#install(family: Family, memtable: Memtable, table: Table): Task<boolean> {
    let installed = false;
    try {
      yield* this.manifest.append(() => {
        if (family.dropped) return undefined;
        installed = true;
        return {
          addedTables: [table.record],
          flushed: [{ family: family.id, sequence: memtable.lastSequence }],
          lastSequence: this.pipeline.visibility.lastGiven,
        };
      });
    } catch (error) {
      // An edit that failed on its way to the disk may still be found there, and then the table must be, too.
      if (this.manifest.health.failure === undefined) yield* this.#discard(table);
      else releaseTable(table);
      throw error;
    }
    if (!installed) {
      yield* this.#discard(table);
      return false;
    }
    family.install(memtable, table, this.context);
    this.compactor.kick();
    this.compactor.collector.kick();
    yield* this.#removeLogs();
    return true;
  }

  /** Forgets the log segments that no memtable needs any more, and then removes them. */
  *#removeLogs(): Task<void> {
    const { log } = this.pipeline;
    // Exactly these: a segment that comes into use while the edit is on its way is not among them.
    let removed: number[] = [];
    yield* this.manifest.append(() => {
      const first = Math.min(this.families.firstSegment(), log.segmentNumber || Infinity);
      removed = log.segments.map(({ number }) => number).filter((number) => number < first);
      return removed.length === 0 ? undefined : { removedLogs: removed };
    });
    for (const segment of log.remove(removed)) yield* this.#removeLog(segment);
  }

  *#removeLog(segment: Segment): Task<void> {
    if (!this.retention.isHeld) {
      if (yield* this.events.reporting(this.pipeline.log.keep(segment))) return;
    }
    yield* this.events.reporting(this.files.close(segment.file));
    yield* this.retention.remove([segment.file]);
  }

  *#discard(table: Table): Task<void> {
    releaseTable(table);
    const name = { kind: FileKind.table, number: table.record.number };
    yield* this.events.reporting(this.files.unlink(name));
  }

  #failed(attempt: Signal, error: unknown): void {
    this.counters.failures++;
    this.#met = { attempt, error };
    if (error instanceof VarveError) this.events.emit("error", error);
    else throw error;
  }
}
