/**
 * Says when writers must wait: for a memtable's flush, or for the next log segment. And looks ahead, so that they seldom do.
 */
import { VarveError } from "../base/errors.ts";
import { Histogram } from "../base/histogram.ts";
import type { CommitHost } from "../commit/commit_host.ts";
import type { Pipeline } from "../commit/pipeline.ts";
import type { Log } from "../log/log.ts";
import type { Segment } from "../log/segment.ts";
import { Signal } from "../native/signal.ts";
import { startTask, type Task } from "../native/task.ts";
import type { Family } from "../tree/family.ts";
import type { Manifest } from "../tree/manifest.ts";
import type { Events } from "./events.ts";
import type { Families } from "./families.ts";
import type { Flusher, Met } from "./flusher.ts";
import type { Retention } from "./retention.ts";

/** Beyond the total budget by this factor, writers wait; up to it, flushing is only begun. */
const TOTAL_STOP_FACTOR = 1.25;
/** Looking at every family takes its time: done once in so many committed bytes, and always while something is full. */
const LOOK_EVERY_BYTES_MIN = 16 * 1024;
const LOOK_EVERY_BYTES_MAX = 8 << 20;
/** The same as a share of one memtable, or of all: it may be late by so much. */
const LOOK_EVERY_SHARE = 1 / 8;
/** How full the memtable is when the segment is made that is to begin with the next one, and when both are begun. */
const PREPARE_TURN_FILL = 0.75;
const TURN_FILL = 0.9;
/** More live segments than this are not kept for the sake of one idle family: its memtable is flushed. */
const LIVE_SEGMENTS_MAX = 12;

/** Tables of level 0 from which writers are slowed down, and at which they wait. */
const LEVEL0_SLOW = 20;
const LEVEL0_STOP = 36;
/** What compaction may owe before writers are slowed down, and before they wait, as a multiple of the base level's size. */
const DEBT_SLOW_FACTOR = 64;
const DEBT_STOP_FACTOR = 256;
/** Bytes a second where slowing down begins; it goes down to a hundredth of this, in proportion to how near the stop is. */
const SLOW_BYTES_PER_SECOND = 64 << 20;
/** Shorter delays are saved up. */
const DELAY_MILLISECONDS_MIN = 1;

export interface StallCounters {
  /** Times that writers waited for something to happen. */
  count: number;
  milliseconds: number;
  /** Groups that were held back a little, so that nobody has to wait long. */
  delays: number;
  delayMilliseconds: number;
  /** What writers wait for now, or waited for last. */
  reason: string;
}

/** How near a family is to the point where its writers wait: 0 far, 1 there. */
interface Pressure {
  readonly family: Family;
  readonly share: number;
}

export class Backpressure implements CommitHost {
  readonly stalls: StallCounters = {
    count: 0,
    milliseconds: 0,
    delays: 0,
    delayMilliseconds: 0,
    reason: "",
  };
  readonly latency = new Histogram();
  #segment: Signal | undefined;
  #segmentFailure: Met | undefined;
  /** What the writers at the head wait for, if it began when they came: what that meets is their answer, nothing earlier is. */
  #awaitedSegment: Signal | undefined;
  #awaitedFlush: Signal | undefined;
  #syncing: Signal | undefined;
  /** Committed bytes at which the next look is due. */
  #lookAgainAt = 0;
  /** Committed bytes that were paced so far, and the moment at which they are paid for. */
  #pacedBytes = 0;
  #paidAt = 0;
  #slowed = false;
  /** Set after construction: flusher and pipeline need this host first. */
  flusher!: Flusher;
  pipeline!: Pipeline;

  constructor(
    readonly families: Families,
    readonly manifest: Manifest,
    readonly log: Log,
    readonly events: Events,
    readonly retention: Retention,
    readonly totalBytesMax: number,
  ) {}

  family(id: number): Family | undefined {
    return this.families.get(id);
  }

  valuesApplied(): void {
    for (const { isFull } of this.families.all()) if (isFull) this.#lookAgainAt = 0;
    this.flusher.kick();
  }

  get allowance(): number {
    if (this.#slowed) return 0;
    return Math.min(this.#lookAgainAt - this.pipeline.counters.bytes, this.log.bytesUntilNext);
  }

  memoryObstacle(): Signal | undefined {
    if (this.pipeline.counters.bytes < this.#lookAgainAt && !this.#isSegmentDue) return undefined;
    const { met, running } = this.flusher;
    this.#lookAhead();
    let bytes = 0;
    let smallest = this.totalBytesMax;
    let full: Family | undefined;
    for (const family of this.families.all()) {
      bytes += family.memtableBytes;
      smallest = Math.min(smallest, family.tuning.writeBufferSize);
      if (family.isFull) full = family;
    }
    if (bytes > this.totalBytesMax) full = this.#relieve(bytes) ?? full;
    if (full === undefined) {
      const every = Math.max(LOOK_EVERY_SHARE * smallest, LOOK_EVERY_BYTES_MIN);
      this.#lookAgainAt = this.pipeline.counters.bytes + Math.min(every, LOOK_EVERY_BYTES_MAX);
      return this.#treeObstacle();
    }
    if (met !== undefined && met.attempt === this.#awaitedFlush) {
      this.flusher.takeFailure();
      throw met.error;
    }
    const { changed } = full; // before the kick, which may fail at once
    this.flusher.kick();
    if (running === undefined) {
      this.#awaitedFlush = this.flusher.running ?? this.flusher.met?.attempt;
    }
    return this.#stalled(changed, `flush of column family '${full.name}'`);
  }

  /** Compaction is behind: writers go slower the nearer it is to the stop, and then wait. */
  #treeObstacle(): Signal | undefined {
    const worst = this.#worstPressure();
    const { bytes } = this.pipeline.counters;
    const paced = bytes - this.#pacedBytes;
    this.#pacedBytes = bytes;
    if (worst.share <= 0) {
      this.#slowed = false;
      return undefined;
    }
    this.flusher.compactor.kick();
    const { family, share } = worst;
    const reason = `compaction of column family '${family.name}'`;
    if (share >= 1 && this.flusher.compactor.runningCount > 0) {
      return this.#stalled(family.changed, reason);
    }
    if (this.log.jobs.isStepped) return undefined;
    if (!this.#slowed) this.events.emit("stall", { reason });
    this.#slowed = true;
    this.stalls.reason = reason;
    const rate = SLOW_BYTES_PER_SECOND * Math.max(0.01, 1 - share);
    const now = performance.now();
    this.#paidAt = Math.max(this.#paidAt, now) + paced / rate * 1000;
    const milliseconds = this.#paidAt - now;
    if (milliseconds < DELAY_MILLISECONDS_MIN) return undefined;
    this.stalls.delays++;
    this.stalls.delayMilliseconds += milliseconds;
    return this.log.jobs.delay(milliseconds);
  }

  #worstPressure(): Pressure {
    let worst: Pressure | undefined;
    for (const family of this.families.all()) {
      const debt = family.debt / family.tuning.levelBaseSize;
      const share = Math.max(
        (family.version.levels[0].length - LEVEL0_SLOW) / (LEVEL0_STOP - LEVEL0_SLOW),
        (debt - DEBT_SLOW_FACTOR) / (DEBT_STOP_FACTOR - DEBT_SLOW_FACTOR),
      );
      if (worst === undefined || share > worst.share) worst = { family, share };
    }
    return worst!;
  }

  segmentObstacle(payloadBytes: number, durable: boolean): Signal {
    const met = this.#segmentFailure;
    this.#segmentFailure = undefined;
    if (met !== undefined && met.attempt === this.#awaitedSegment) throw met.error;
    const isNew = this.#segment === undefined;
    const made = this.#makeSegment(payloadBytes, durable);
    if (isNew) this.#awaitedSegment = made;
    return this.#stalled(made, "a log segment");
  }

  syncObstacle(): Signal {
    return this.#stalled(this.#syncOlder(), "syncs of full log segments");
  }

  /**
   * Whether the next segment cannot wait for the next look. One in blocks can, for it is written ahead beside syncs that writers wait
   * for; one whose making has just failed is tried again with that look.
   */
  get #isSegmentDue(): boolean {
    return this.log.bytesUntilNext <= 0 && !this.log.isInBlocks &&
      this.#segmentFailure === undefined;
  }

  /** Begins what will be needed soon: the next segment, and flushes. */
  #lookAhead(): void {
    if (this.log.bytesUntilNext <= 0 && this.#segment === undefined) this.#makeSegment(0, false);
    if (this.log.segments.length > LIVE_SEGMENTS_MAX) this.#freeOldestSegment();
    if (this.log.mayTurn) this.#turnLog();
    this.flusher.kick();
  }

  /**
   * Where one family takes all writes, its memtables and the log's segments are about the same size: if both are begun anew together,
   * a flush frees the log up to there, and not up to a segment's end that may be a whole segment behind.
   */
  #turnLog(): void {
    let writing: Family | undefined;
    for (const family of this.families.all()) {
      if (family.active.entryCount === 0) continue;
      if (writing !== undefined) return;
      writing = family;
    }
    if (writing === undefined || writing.isFull || writing.active.fill < PREPARE_TURN_FILL) return;
    if (!this.log.hasNext) {
      this.#makeSegment(0, false);
    } else if (writing.active.fill >= TURN_FILL) {
      writing.rotate();
      this.log.turn();
    }
  }

  /** The segment that is being made, for close. */
  get makingSegment(): Signal | undefined {
    return this.#segment;
  }

  /** Freezes the largest family. Returns a family to wait for if that is not enough. */
  #relieve(bytes: number): Family | undefined {
    let largest: Family | undefined;
    let frozen: Family | undefined;
    for (const family of this.families.all()) {
      if (family.frozen.length > 0) frozen = family;
      // An empty memtable takes its first index and gives nothing back.
      if (family.active.entryCount === 0) continue;
      if (largest === undefined || family.active.bytes > largest.active.bytes) largest = family;
    }
    if (frozen === undefined && largest !== undefined) {
      largest.rotate();
      frozen = largest;
    }
    this.flusher.kick();
    return bytes > TOTAL_STOP_FACTOR * this.totalBytesMax ? frozen : undefined;
  }

  /** An idle family must not pin the log: the memtable that needs the oldest segment is frozen. */
  #freeOldestSegment(): void {
    let oldest: Family | undefined;
    for (const family of this.families.all()) {
      if (oldest === undefined || family.firstSegment < oldest.firstSegment) oldest = family;
    }
    if (oldest !== undefined && oldest.frozen.length === 0) oldest.rotate();
  }

  #makeSegment(payloadBytes: number, durable: boolean): Signal {
    const made = this.#segment ??= new Signal();
    if (this.log.isPreparing) return made;
    const number = this.manifest.takeFileNumber();
    const task = this.log.addSegment(
      number,
      payloadBytes,
      durable,
      (edit) => this.manifest.append(() => edit),
    );
    startTask(this.log.jobs, task, (error, replaced) => {
      this.#segment = undefined;
      this.#segmentFailure = error === undefined ? undefined : { attempt: made, error };
      if (replaced !== undefined) startTask(this.log.jobs, this.#remove(replaced), rethrow);
      this.#syncOlder();
      made.set();
    });
    return made;
  }

  /**
   * Syncs full segments in the background, so that a later sync has less to do. A failure is final. The signal is set when
   * the round has ended.
   */
  #syncOlder(): Signal {
    if (this.#syncing !== undefined) return this.#syncing;
    const syncing = this.#syncing = new Signal();
    startTask(this.log.jobs, this.pipeline.health.guard(this.log.syncOlder()), (error) => {
      this.#syncing = undefined;
      syncing.set();
      if (!(error instanceof VarveError)) rethrow(error); // those have poisoned the store
    });
    return syncing;
  }

  *#remove({ file }: Segment): Task<void> {
    yield* this.events.reporting(this.log.files.close(file));
    yield* this.retention.remove([file]);
  }

  #stalled(signal: Signal, reason: string): Signal {
    const started = performance.now();
    this.stalls.count++;
    this.stalls.reason = reason;
    this.events.emit("stall", { reason });
    signal.whenSet(() => {
      const milliseconds = performance.now() - started;
      this.stalls.milliseconds += milliseconds;
      this.latency.record(milliseconds);
    });
    return signal;
  }
}

function rethrow(error: unknown): void {
  if (error !== undefined) throw error;
}
