/**
 * The commit pipeline: group commit as a state machine that any caller can drive, from an event loop (`put`) or by
 * blocking (`putSync`). `docs/architecture.md` has the states.
 *
 * Promises: writes of one Worker commit in call order; a buffer settles only when its durability is kept and its entries
 * are visible; nothing waits for an event loop but the closing of an open buffer, and a blocking caller closes it itself.
 */
import { assert } from "../base/assert.ts";
import { VarveError } from "../base/errors.ts";
import { Histogram } from "../base/histogram.ts";
import type { BlobSegment } from "../blob/segment.ts";
import type { BlobWriter } from "../blob/blob_writer.ts";
import type { LogPosition } from "../format/manifest_edit.ts";
import type { Health } from "../log/health.ts";
import type { Log } from "../log/log.ts";
import { Files } from "../native/files.ts";
import type { Jobs } from "../native/jobs.ts";
import { Lane as JobLane, StoreShared } from "../native/layout.gen.ts";
import type { Region } from "../native/region.ts";
import { Signal } from "../native/signal.ts";
import { runTaskSync, startTask, type Task } from "../native/task.ts";
import type { Family } from "../tree/family.ts";
import { Applier } from "./apply.ts";
import type { CommitCounters, CommitHost, WriteSource } from "./commit_host.ts";
import { dequeue, type Group, type Lane, nextGroup, valuesOf } from "./group.ts";
import type { TailLease } from "./tail_lease.ts";
import { TailLender } from "./tail_lender.ts";
import { TurnBuffer } from "./turn_buffer.ts";
import type { Visibility } from "./visibility.ts";
import { type Outcome, type WriteBuffer, WriteBufferPool } from "./write_buffer.ts";

const CLAIM = StoreShared.pipelineClaim >> 2;
/** Until Workers attach there is one. */
const WORKER = 1;

/** Unsynced groups up to this size are copied into the page cache on the calling thread. */
const INLINE_BYTES_MAX = 1 << 20;
/** The latency of one open buffer in eight is recorded, and of one blocking write in 64. */
const BUFFER_SAMPLE_MASK = 7;
const COMMIT_SAMPLE_MASK = 63;

export class Pipeline {
  readonly counters: CommitCounters = {
    groups: 0,
    syncGroups: 0,
    writes: 0,
    entries: 0,
    bytes: 0,
    bytesCoalesced: 0,
  };
  /** From a write's call to its acknowledgement; of some of them. */
  readonly putLatency = new Histogram();
  /** From a durable frame's start to its being on stable storage. */
  readonly syncLatency = new Histogram();
  /** Lent whenever nothing is under way, to blocking callers and other Workers. */
  readonly tail: TailLender;
  #buffersOpened = 0;
  #syncCommits = 0;
  readonly pool = new WriteBufferPool();
  readonly #applier: Applier;
  /** Syncs of large values stand in the log's lane: its thread is awake for the frame that follows. */
  readonly #syncFiles: Files;
  /** Large values are being synced for a durable frame: no group may be taken meanwhile, for it would owe more. */
  #syncingValues: Signal | undefined;
  readonly #familyOf = (id: number): Family | undefined => this.host.family(id);
  readonly #turn: TurnBuffer;
  /** Closed buffers in call order. */
  readonly #writes: Lane = { queue: [], blockedOn: undefined };
  /** Barriers of the flusher and the like: they overtake writes that wait for that very flush. */
  readonly #urgent: Lane = { queue: [], blockedOn: undefined };
  #group: Group | undefined;
  #source: WriteSource | undefined;
  /** A word that moves when the source has something. */
  #bell: Uint32Array = new Uint32Array(1);
  #bellIndex = 0;
  #heard = 0;

  constructor(
    readonly jobs: Jobs,
    readonly log: Log,
    readonly values: BlobWriter,
    readonly health: Health,
    readonly visibility: Visibility,
    readonly host: CommitHost,
    context: Region,
    lease: TailLease,
  ) {
    this.#syncFiles = new Files(jobs, log.files.directory, JobLane.log);
    this.#applier = new Applier(context);
    this.tail = new TailLender(lease, log, host, health, this.counters, this.#applier.counts);
    this.#turn = new TurnBuffer(
      jobs,
      this.pool,
      (buffer) => this.#writes.queue.push(buffer),
      () => this.#turnEnded(),
    );
    jobs.onDrive(() => {
      this.#turn.close();
      this.#advance(false);
    });
  }

  /** Entries of an `EntryType` that were committed. */
  entriesOf(type: number): number {
    return this.#applier.counts[type];
  }

  /** Takes other Workers' buffers too: from now on `source` is asked when the word moves. */
  listen(source: WriteSource, words: Uint32Array, index: number): void {
    this.#source = source;
    this.#bell = words;
    this.#bellIndex = index;
    this.#heard = words[index];
    this.tail.isWanted = true;
    source.collect();
    this.#turn.schedule();
  }

  /** Queues another Worker's closed buffer. */
  enqueueForeign(buffer: WriteBuffer): void {
    this.#writes.queue.push(buffer);
  }

  /** Asks the source, and moves on as far as it goes without waiting. */
  serve(): void {
    if (this.#group === undefined) this.#turn.close();
    this.#advance(false);
  }

  /** Whether nothing is pending. */
  get isIdle(): boolean {
    return this.#group === undefined && !this.#turn.isOpen &&
      this.#writes.queue.length === 0 && this.#urgent.queue.length === 0;
  }

  /** The open buffer, with room for so many bytes of entries. Its promise settles with the writes put there. */
  openBuffer(bytes: number, logged: boolean): WriteBuffer {
    this.health.requireSound("write");
    const open = this.#turn.open(bytes, logged);
    const isNew = open.writeCount === 0;
    if (isNew && (this.#buffersOpened++ & BUFFER_SAMPLE_MASK) === 0) {
      open.startedAt = performance.now();
    }
    return open;
  }

  /** Notes one more write in the open buffer, and returns the promise that the writes in it share. */
  joined(buffer: WriteBuffer, durable: boolean): Promise<void> {
    buffer.writeCount++;
    if (durable) buffer.durable = true;
    if (!buffer.isAwaited) this.jobs.hold();
    return buffer.promise;
  }

  /** Queues a buffer of its own for one write, behind everything before it. Its large values are begun. */
  enqueue(buffer: WriteBuffer, durable: boolean): Promise<void> {
    buffer.writeCount = 1;
    buffer.durable = durable;
    buffer.startedAt = performance.now();
    const { promise } = buffer;
    this.jobs.hold();
    this.#turn.close();
    this.#writes.queue.push(buffer);
    for (const value of buffer.values) this.values.write(value);
    this.#turn.schedule();
    return promise;
  }

  /** Commits one write's buffer on this thread, after everything before it. Throws what prevented it. */
  commitSync(buffer: WriteBuffer, durable: boolean): void {
    buffer.writeCount = 1;
    buffer.durable = durable;
    buffer.startedAt = this.#sampleStart();
    if (!durable && this.#commitAtTail(buffer)) return;
    buffer.retained = true;
    this.#turn.close();
    this.#writes.queue.push(buffer);
    for (const value of buffer.values) {
      if (!this.values.writeNow(value)) this.values.write(value);
    }
    this.drive(() => buffer.done);
    const { error } = buffer;
    this.pool.give(buffer);
    if (error !== undefined) throw error;
  }

  /**
   * Commits one entry that is not `sync` on this thread, by one call and no buffer, and says whether that could be done.
   * `head`: as `TailLease.commitEntry` has it. Throws what ended writing.
   */
  commitEntry(
    head: number,
    family: number,
    key: Uint8Array,
    value: Uint8Array,
    valueBytes: number,
  ): boolean {
    const startedAt = this.#sampleStart();
    if (!this.#mayUseTail()) return false;
    if (!this.tail.commitEntry(head, family, key, value, valueBytes)) return false;
    if (startedAt > 0) this.putLatency.record(performance.now() - startedAt);
    return true;
  }

  /** The same for a buffer, which is given back then. */
  #commitAtTail(buffer: WriteBuffer): boolean {
    try {
      if (!this.#mayUseTail() || !this.tail.commit(buffer)) return false;
    } catch (error) {
      this.pool.give(buffer);
      throw error;
    }
    if (buffer.startedAt > 0) this.putLatency.record(performance.now() - buffer.startedAt);
    this.pool.give(buffer);
    return true;
  }

  /**
   * Whether the lease of the log's tail is ours to use. Not while others wait for this thread: a loop of blocking writes must not keep
   * them waiting until the lease is used up, nor flushes and the like, which go on step by step.
   */
  #mayUseTail(): boolean {
    this.tail.isWanted = true;
    if (this.jobs.hasCompletion) this.jobs.poll();
    return this.isIdle && !this.#hasNews;
  }

  /** The time, of one blocking write in so many; zero of the others. */
  #sampleStart(): number {
    return (this.#syncCommits++ & COMMIT_SAMPLE_MASK) === 0 ? performance.now() : 0;
  }

  /** Queues an empty buffer. When it is done, so is all before it; if `durable`, on stable storage. */
  requestBarrier(durable: boolean): Outcome {
    this.#turn.close();
    return this.#barrier(this.#writes, durable);
  }

  /**
   * Syncs what was committed so far, and the large values that it stands on, while others go on writing: only its caller waits.
   * Begins before writes that wait. Throws what ended writing.
   */
  *syncBehind(): Task<void> {
    const begun = this.#barrier(this.#urgent, false);
    let mark: LogPosition | undefined;
    let valueBytes = 0;
    begun.whenSet(() => {
      if (begun.error !== undefined) return;
      this.tail.recall();
      mark = this.log.mark();
      valueBytes = this.values.unsyncedBytes;
    });
    yield begun;
    if (mark === undefined) throw begun.error;
    yield* this.values.syncUsed();
    yield* this.health.guard(this.log.syncTo(mark));
    this.values.settled(valueBytes);
  }

  /** Blocks this thread until the condition holds, moving the pipeline on meanwhile. */
  drive(until: () => boolean): void {
    while (!until()) {
      this.#advance(true);
      if (until()) return;
      this.jobs.drive(() => until() || this.#nextLane() !== undefined);
    }
  }

  #barrier(lane: Lane, durable: boolean): Outcome {
    const buffer = this.pool.take(0, true);
    buffer.durable = durable;
    const { outcome } = buffer;
    lane.queue.push(buffer);
    this.#turn.schedule();
    return outcome;
  }

  /** Writers that a settled group resumed have written by now. */
  #turnEnded(): void {
    if (this.#group !== undefined) return; // its completion asks for the next turn's end
    this.#turn.close();
    this.#advance(false);
  }

  /** Whether other Workers have rung since they were last listened to. */
  get #hasNews(): boolean {
    return this.#bell[this.#bellIndex] !== this.#heard;
  }

  /** Moves on as far as it goes without waiting. */
  #advance(blocking: boolean): void {
    if (this.#hasNews) {
      this.#heard = Atomics.load(this.#bell, this.#bellIndex);
      this.#source!.collect();
    }
    for (let lane = this.#nextLane(); lane !== undefined; lane = this.#nextLane()) {
      this.tail.recall();
      if (this.jobs.outstanding > 0) {
        this.jobs.poll();
        if (this.#group !== undefined || lane.queue.length === 0) continue;
      }
      const head = lane.queue[0];
      if (!head.isWhole) {
        this.#awaitValues(lane, head.whole);
        continue;
      }
      const failure = head.valueFailure;
      if (failure !== undefined) {
        lane.queue.shift();
        this.#settle(head, failure);
        continue;
      }
      const group = nextGroup(lane);
      try {
        const obstacle = this.#obstacle(group, blocking);
        if (obstacle === undefined) this.#begin(group, blocking);
        else if (!obstacle.ready) this.#blockOn(lane, obstacle);
      } catch (error) {
        this.#group = undefined;
        this.#reject(group, error);
      }
    }
  }

  /** The lane whose first buffers can be taken now, if there is one. */
  #nextLane(): Lane | undefined {
    if (this.#group !== undefined || this.#syncingValues !== undefined) return undefined;
    if (this.#urgent.queue.length > 0 && this.#urgent.blockedOn === undefined) return this.#urgent;
    if (this.#writes.queue.length > 0 && this.#writes.blockedOn === undefined) return this.#writes;
    return undefined;
  }

  /** Whether the group has something for the log. One without logged entries needs a frame only to sync what is not. */
  #needsFrame({ runs, durable }: Group): boolean {
    return runs.length > 0 || (durable && !this.log.isSynced);
  }

  /** What must happen before a group can begin. */
  #obstacle(group: Group, blocking: boolean): Signal | undefined {
    this.health.requireSound("write");
    const memory = group.entryCount === 0 ? undefined : this.host.memoryObstacle();
    if (memory !== undefined) return memory;
    if (!this.#needsFrame(group)) return undefined;
    if (group.durable && !this.log.hasRoomForSyncs) return this.host.syncObstacle();
    if (!this.log.makeRoom(group.payloadBytes)) {
      return this.host.segmentObstacle(group.payloadBytes, group.durable);
    }
    return group.durable ? this.#valueObstacle(group, blocking) : undefined;
  }

  /** A sync of the log covers the log before it, and so the large values that it stands on: they are synced first. */
  #valueObstacle({ buffers }: Group, blocking: boolean): Signal | undefined {
    const segments = this.values.owing(valuesOf(buffers));
    if (segments.length === 0) return undefined;
    const synced = this.#syncingValues = new Signal();
    const done = (error: unknown): void => {
      this.#syncingValues = undefined;
      synced.set();
      if (error !== undefined) throw error;
    };
    if (blocking) this.#syncValuesHere(segments, done);
    else startTask(this.jobs, this.values.sync(segments, this.#syncFiles), done);
    return synced;
  }

  #syncValuesHere(segments: readonly BlobSegment[], done: (error?: unknown) => void): void {
    try {
      runTaskSync(this.jobs, this.values.sync(segments, this.#syncFiles));
    } catch (error) {
      done(error);
    }
    done();
  }

  #blockOn(lane: Lane, obstacle: Signal): void {
    lane.blockedOn = obstacle;
    obstacle.whenSet(() => {
      lane.blockedOn = undefined;
      this.#advance(false);
    });
  }

  /** Writers whose values end in one turn commit together: the lane is looked at when they all had theirs. */
  #awaitValues(lane: Lane, whole: Signal): void {
    lane.blockedOn = whole;
    whole.whenSet(() => {
      lane.blockedOn = undefined;
      this.#turn.schedule();
    });
  }

  /** Takes a group: gives it sequence numbers and sends its frame. */
  #begin(group: Group, blocking: boolean): void {
    const framed = this.#needsFrame(group);
    const job = framed ? this.log.writeJob(group) : undefined;
    if (framed && job === undefined) {
      this.#blockOn(group.lane, this.jobs.freed());
      return;
    }
    this.#claim();
    dequeue(group);
    for (const buffer of group.buffers) buffer.seal(this.visibility.give(buffer.entryCount));
    group.segment = this.log.segmentNumber;
    group.lastSequence = this.visibility.lastGiven;
    this.#group = group;
    this.#unclaim();
    if (group.durable) group.startedAt = performance.now();
    if (job === undefined) {
      this.#apply(group);
    } else if (blocking || (!group.durable && group.payloadBytes <= INLINE_BYTES_MAX)) {
      this.jobs.run(job);
      this.#written(job);
    } else {
      this.jobs.submit(job, this.#written);
    }
  }

  readonly #written = (job: number): void => {
    const group = this.#group!;
    const result = this.jobs.result(job);
    if (result < 0) {
      this.jobs.release(job);
      const error = this.log.failed(result);
      this.#group = undefined;
      this.#reject(group, error);
      this.#turn.schedule();
      return;
    }
    this.log.wrote(job, group.payloadBytes, group.durable);
    this.jobs.release(job);
    if (group.durable) {
      this.values.settled(this.values.unsyncedBytes);
      this.syncLatency.record(performance.now() - group.startedAt);
    }
    this.#apply(group);
  };

  /** Entries into memtables, then visible, then acknowledged. */
  #apply(group: Group): void {
    this.#claim();
    try {
      for (const buffer of group.buffers) {
        this.#applier.apply(buffer.region, 0, buffer.logged ? group.segment : 0, this.#familyOf);
      }
      this.#source?.beforeVisible();
      this.visibility.publish(group.lastSequence);
      this.#useValues(group);
    } catch (error) {
      // Half a group may be in the memtables, none of it visible: nothing may be acknowledged on top of it.
      this.health.poison(
        error instanceof VarveError
          ? error
          : new VarveError("ERR_IO", "Cannot apply a group to the memtables", { cause: error }),
      );
      this.#group = undefined;
      this.#reject(group, error);
      return;
    } finally {
      this.#unclaim();
    }
    this.#group = undefined;
    this.#count(group);
    for (const buffer of group.buffers) this.#settle(buffer, undefined);
    if (this.isIdle) this.tail.lend();
    else this.#turn.schedule();
  }

  #useValues({ buffers }: Group): void {
    let isUsed = false;
    for (const { values, logged } of buffers) {
      if (values.length === 0) continue;
      this.values.use(values, logged);
      isUsed = true;
    }
    if (isUsed) this.host.valuesApplied();
  }

  /** Fails buffers that nothing was done for, or whose frame is in doubt. */
  #reject(group: Group, error: unknown): void {
    if (group.lane.queue[0] === group.buffers[0]) dequeue(group);
    for (const buffer of group.buffers) this.#settle(buffer, error);
  }

  #settle(buffer: WriteBuffer, error: unknown): void {
    if (buffer.isAwaited) this.jobs.unhold();
    this.values.letGo(buffer.values);
    if (buffer.startedAt > 0 && error === undefined) {
      this.putLatency.record(performance.now() - buffer.startedAt, buffer.writeCount);
    }
    buffer.settle(error);
    if (!buffer.retained) this.pool.give(buffer);
  }

  #count({ buffers, durable, payloadBytes, writeCount }: Group): void {
    const { counters } = this;
    counters.groups++;
    if (writeCount > 1) counters.bytesCoalesced += payloadBytes;
    if (durable) counters.syncGroups++;
    for (const buffer of buffers) {
      counters.writes += buffer.writeCount;
      counters.entries += buffer.entryCount;
      counters.bytes += buffer.bytes;
    }
  }

  #claim(): void {
    const owner = Atomics.compareExchange(this.jobs.shared.u32, CLAIM, 0, WORKER);
    assert(owner === 0, "a stage of the pipeline is claimed once");
  }

  #unclaim(): void {
    Atomics.store(this.jobs.shared.u32, CLAIM, 0);
  }
}
