/**
 * Writes large values to blob segments: finds each its place, keeps several under way on the I/O threads, makes the next segment
 * ahead of its need, and knows which segments are not on stable storage yet. `docs/blobs.md` has the order of syncs.
 *
 * Promises: a value's `ended` is called once, on this thread; values get their places in call order; a write that fails, and a
 * segment that cannot be made, fail the values that needed them and nothing else. A failed sync is final for its segment, and for the
 * store if an acknowledged record stands on what it was for.
 */
import { encodeUtf8, encodeUtf8Into } from "../base/bytes.ts";
import { VarveError } from "../base/errors.ts";
import type { ManifestEdit } from "../format/manifest_edit.ts";
import type { StoreId } from "../format/manifest_file.ts";
import type { Health } from "../log/health.ts";
import { nativeError } from "../native/failure.ts";
import type { Files } from "../native/files.ts";
import type { Jobs } from "../native/jobs.ts";
import { BlobWriteJob, Lane, Opcode } from "../native/layout.gen.ts";
import type { Region } from "../native/region.ts";
import { Signal } from "../native/signal.ts";
import { startTask, type Task } from "../native/task.ts";
import { BLOB_SEGMENT_START, type BlobSegment, createBlobSegment } from "./segment.ts";
import { inBlocks, type ValueMemory } from "./value_memory.ts";
import type { ValueWrite } from "./value_write.ts";

/** A segment has at least this, and else a share of what there is, up to `segmentBytes`. */
const SEGMENT_BYTES_MIN = 1 << 20;
const SEGMENT_SHARE = 1 / 4;
/** A value that takes more of a whole segment than this has one of its own. */
const SHARED_PART_MAX = 0.25;
/** The next segment is made when the current one is this full. */
const PREPARE_FILL = 0.5;
/** Values that are being written at once; the others wait here, and leave job records to the rest of the store. */
const WRITES_MAX = 64;
const WRITING_BYTES_MAX = 64 << 20;
/** Native memory for values that wait; beyond it they wait as copies elsewhere. */
const MEMORY_BYTES_MAX = 256 << 20;
/** Acknowledged bytes that recovery would have to check; beyond them a sync is asked for. */
const UNSYNCED_BYTES_MAX = 128 << 20;

export interface BlobOptions {
  readonly segmentBytes: number;
  readonly direct: boolean;
}

/** What the writer needs of the store around it. */
export interface BlobHost {
  takeFileNumber(): number;
  /** Makes a manifest edit durable. */
  record(edit: ManifestEdit): Task<void>;
  /** A failure that costs the writes that met it, or only space. */
  report(error: VarveError): void;
  /** Much is acknowledged and not synced. */
  syncDue(): void;
}

export interface BlobCounters {
  /** Values that were written, and their bytes. */
  values: number;
  bytes: number;
  /** Values that fill their blocks: not a byte was added to them. */
  aligned: number;
  /** Zeros that were added to the others' last blocks, in place. */
  paddedBytes: number;
  /** Bytes that were copied to native memory first, and values that were not: handed over by `transfer`. */
  copiedBytes: number;
  transferred: number;
  syncs: number;
  failures: number;
}

export class BlobWriter {
  readonly counters: BlobCounters = {
    values: 0,
    bytes: 0,
    aligned: 0,
    paddedBytes: 0,
    copiedBytes: 0,
    transferred: 0,
    syncs: 0,
    failures: 0,
  };
  /** Every segment on record, by number. */
  readonly segments = new Map<number, BlobSegment>();
  /** In call order, without a place yet. */
  readonly #waiting: ValueWrite[] = [];
  /** Made ahead. */
  readonly #spares: BlobSegment[] = [];
  #open: BlobSegment | undefined;
  #making: Signal | undefined;
  #writing = 0;
  #writingBytes = 0;
  #awaitsJob = false;
  #unsyncedBytes = 0;
  #syncAsked = false;
  #closed = false;

  constructor(
    readonly jobs: Jobs,
    readonly files: Files,
    readonly health: Health,
    readonly memory: ValueMemory,
    readonly storeId: StoreId,
    readonly options: BlobOptions,
    readonly host: BlobHost,
    found: Iterable<BlobSegment>,
  ) {
    for (const segment of found) this.segments.set(segment.number, segment);
  }

  /** Takes a value of so many bytes as it is now: into native memory, or beside it when that is full. */
  take(value: Uint8Array | string, bytes: number): Region | Uint8Array {
    const isFull = this.memory.takenBytes + bytes > MEMORY_BYTES_MAX;
    if (typeof value !== "string") return isFull ? new Uint8Array(value) : this.#copied(value);
    if (isFull) return encodeUtf8(value);
    const region = this.memory.take(bytes);
    try {
      this.counters.copiedBytes += encodeUtf8Into(value, region.u8, 0);
    } catch (error) {
      this.memory.give(region);
      throw error;
    }
    return region;
  }

  /** Gives back what `take` gave for a value that is not written after all. */
  untake(source: Region | Uint8Array): void {
    if (!ArrayBuffer.isView(source)) this.memory.give(source);
  }

  /** Begins to write a value; it may end before this returns. */
  write(value: ValueWrite): void {
    this.#waiting.push(value);
    this.#advance();
  }

  /** Writes a value on this thread, if its turn is now and there is room for it; false: use `write`. */
  writeNow(value: ValueWrite): boolean {
    if (this.#waiting.length > 0) return false;
    const job = this.#begin(value);
    if (job === undefined) return value.error !== undefined;
    this.jobs.run(job);
    this.#written(job, value);
    return true;
  }

  /**
   * Values that records stand on which readers see from now on. `logged`: they are in the log, so recovery would have to check
   * the values.
   */
  use(values: readonly ValueWrite[], logged: boolean): void {
    for (const { segment, mark, bytes } of values) {
      segment!.used = Math.max(segment!.used, mark);
      if (logged) this.#unsyncedBytes += bytes;
      // What was acknowledged now can never be on stable storage.
      if (segment!.failure !== undefined && segment!.owesSync) this.#poison(segment!.failure);
    }
    if (this.#unsyncedBytes <= UNSYNCED_BYTES_MAX || this.#syncAsked) return;
    this.#syncAsked = true;
    this.host.syncDue();
  }

  /** A write with these values has ended, one way or the other. */
  letGo(values: readonly ValueWrite[]): void {
    for (const { segment } of values) if (segment !== undefined) segment.held--;
  }

  /** Bytes of values that recovery would have to check. */
  get unsyncedBytes(): number {
    return this.#unsyncedBytes;
  }

  /** The log is synced, with everything that it stands on: so many of these bytes. */
  settled(bytes: number): void {
    this.#unsyncedBytes = Math.max(0, this.#unsyncedBytes - bytes);
    this.#syncAsked = false;
  }

  /** Segments that a durable frame needs synced before it: those of these values, and those that anything acknowledged stands on. */
  owing(values: Iterable<ValueWrite> = []): BlobSegment[] {
    const owing = new Set<BlobSegment>();
    for (const segment of this.segments.values()) if (segment.owesSync) owing.add(segment);
    for (const { segment, mark } of values) if (mark > segment!.synced) owing.add(segment!);
    return [...owing];
  }

  /** Syncs segments. What fails is settled here: those that wait for it find it in their values, or in the store's health. */
  *sync(segments: readonly BlobSegment[], files: Files = this.files): Task<void> {
    for (const segment of segments) {
      if (segment.failure !== undefined || segment.file === undefined) continue;
      const covered = segment.written;
      if (covered <= segment.synced) continue;
      this.counters.syncs++;
      try {
        yield* files.sync(segment.file);
        segment.synced = Math.max(segment.synced, covered);
      } catch (error) {
        if (!(error instanceof VarveError)) throw error;
        if (segment.synced >= covered) continue; // closed meanwhile, for another's sync covered it all
        this.#syncFailed(segment, error);
      }
    }
  }

  /** Everything that is acknowledged by now is on stable storage when this ends. Throws if it cannot be. */
  *syncUsed(): Task<void> {
    const owing = this.owing().map((segment) => ({ segment, mark: segment.used }));
    yield* this.sync(owing.map(({ segment }) => segment));
    for (const { segment, mark } of owing) if (segment.synced < mark) throw segment.failure;
  }

  /** Takes no more values and seals what is open: what was reserved and not used is given back. REQUIRES: nothing is under way. */
  *close(): Task<void> {
    this.#closed = true;
    while (this.#making !== undefined) yield this.#making;
    for (const segment of this.segments.values()) {
      segment.sealed = true;
      if (this.health.failure === undefined) yield* this.#cut(segment);
      yield* this.#closeFile(segment);
    }
  }

  /** Seals what is open. Every segment that has a value, or had one; they are `finished` soon. */
  seal(): BlobSegment[] {
    if (this.#open !== undefined && this.#open.valueBytes > 0) this.#seal(this.#open);
    return [...this.segments.values()].filter(({ sealed }) => sealed);
  }

  /** A segment that compaction has filled, from when it is on record. */
  adopt(segment: BlobSegment): void {
    this.segments.set(segment.number, segment);
  }

  /** Forgets a segment that is on record no more. */
  *forget(segment: BlobSegment): Task<void> {
    this.segments.delete(segment.number);
    yield* this.#closeFile(segment);
  }

  #copied(value: Uint8Array): Region {
    const region = this.memory.take(value.length);
    region.u8.set(value);
    this.counters.copiedBytes += value.length;
    return region;
  }

  /** The value's native memory. `undefined`: the system has none for it, and the value has ended. */
  #inMemory(value: ValueWrite): Region | undefined {
    const { source } = value;
    if (!ArrayBuffer.isView(source)) return source;
    try {
      return value.source = this.#copied(source);
    } catch (error) {
      value.error = error;
      value.ended(value);
      return undefined;
    }
  }

  /** Begins as many of the waiting values as may be under way. */
  #advance(): void {
    while (this.#waiting.length > 0) {
      const value = this.#waiting[0];
      const isFull = this.#writing >= WRITES_MAX ||
        this.#writingBytes + value.bytes > WRITING_BYTES_MAX;
      if (this.#writing > 0 && isFull) return;
      const job = this.#begin(value);
      if (job === undefined && value.error === undefined) return;
      this.#waiting.shift();
      if (job !== undefined) this.jobs.submit(job, (done) => this.#written(done, value));
    }
  }

  /**
   * Gives a value its place and fills its job. `undefined`: something must happen first, and then `#advance` is called; or, with an
   * `error`, it has ended.
   */
  #begin(value: ValueWrite): number | undefined {
    const job = this.jobs.take(Opcode.blobWrite, Lane.value);
    if (job === undefined) {
      this.#awaitJob();
      return undefined;
    }
    const source = this.#inMemory(value);
    const bytes = inBlocks(value.bytes);
    // Last, for a segment of its own is given once.
    const segment = source && this.#segmentFor(bytes);
    if (source === undefined || segment === undefined) {
      this.jobs.release(job);
      if (source !== undefined) this.#make(bytes);
      return undefined;
    }
    value.segment = segment;
    value.offset = segment.end;
    segment.end += bytes;
    segment.writing++;
    segment.held++;
    this.#writing++;
    this.#writingBytes += value.bytes;
    const { u32, i32, f64 } = this.jobs.shared;
    i32[(job + BlobWriteJob.file) >> 2] = segment.file!.handle;
    i32[(job + BlobWriteJob.region) >> 2] = source.id;
    f64[(job + BlobWriteJob.number) >> 3] = segment.number;
    f64[(job + BlobWriteJob.offset) >> 3] = value.offset;
    u32[(job + BlobWriteJob.bytes) >> 2] = value.bytes;
    if (segment === this.#open && segment.end > PREPARE_FILL * segment.bytes) this.#prepare();
    return job;
  }

  #written(job: number, value: ValueWrite): void {
    const segment = value.segment!;
    const result = this.jobs.result(job);
    value.checksum = this.jobs.shared.u32[(job + BlobWriteJob.checksum) >> 2];
    this.jobs.release(job);
    segment.writing--;
    this.#writing--;
    this.#writingBytes -= value.bytes;
    if (result < 0) {
      const path = this.files.path(segment.file!);
      value.error = nativeError(result, `Cannot write a value to '${path}'`, {
        path,
        offset: value.offset,
      });
      if (!segment.sealed) this.#report(value.error as VarveError);
      this.#seal(segment);
    } else {
      value.mark = ++segment.written;
      this.#count(value);
      if (segment.sealed) this.#finishSoon(segment);
    }
    this.#end(value);
    this.#advance();
  }

  #end(value: ValueWrite): void {
    this.untake(value.source);
    value.ended(value);
  }

  /** The segment that has room for so many bytes, if there is one. */
  #segmentFor(bytes: number): BlobSegment | undefined {
    if (this.#open?.hasRoom(bytes)) return this.#open;
    const index = this.#spares.findIndex((spare) => spare.hasRoom(bytes));
    if (index < 0) return undefined;
    const [spare] = this.#spares.splice(index, 1);
    if (bytes > SHARED_PART_MAX * this.options.segmentBytes) {
      // Its own: the open one still has room for others.
      spare.sealed = true;
      return spare;
    }
    const full = this.#open;
    this.#open = spare;
    if (full !== undefined) this.#seal(full);
    return spare;
  }

  /** Makes a segment that somebody waits for, with room for so many bytes. What prevents it fails all who wait. */
  #make(bytes: number): void {
    if (this.#making !== undefined) return;
    const making = this.#making = new Signal();
    startTask(this.jobs, this.#addSegment(bytes), (error) => {
      this.#making = undefined;
      if (error !== undefined) this.#failWaiting(error);
      making.set();
      this.#advance();
    });
  }

  /** Makes the next segment before it is needed. What prevents it will be met again by whoever needs it. */
  #prepare(): void {
    if (this.#making !== undefined || this.#spares.length > 0 || this.#closed) return;
    const making = this.#making = new Signal();
    startTask(this.jobs, this.#addSegment(0), (error) => {
      this.#making = undefined;
      if (error !== undefined && !(error instanceof VarveError)) throw error;
      making.set();
      this.#advance();
    });
  }

  *#addSegment(valueBytes: number): Task<void> {
    this.health.requireSound("make a blob segment");
    const number = this.host.takeFileNumber();
    let total = 0;
    for (const segment of this.segments.values()) total += segment.bytes;
    const usual = Math.min(
      Math.max(SEGMENT_BYTES_MIN, SEGMENT_SHARE * total),
      this.options.segmentBytes,
    );
    const bytes = Math.max(inBlocks(usual), BLOB_SEGMENT_START + valueBytes);
    const { files, options, storeId } = this;
    const segment = yield* createBlobSegment(files, number, bytes, options.direct, storeId);
    try {
      yield* this.host.record({ addedBlobs: [number] });
    } catch (error) {
      yield* files.close(segment.file!);
      // An edit that failed on its way to the disk may be found there, and then the file must be, too.
      if (this.health.failure === undefined) yield* files.unlink(segment.file!);
      throw error;
    }
    this.segments.set(number, segment);
    this.#spares.push(segment);
  }

  #failWaiting(error: unknown): void {
    if (!(error instanceof VarveError)) throw error;
    this.#report(error);
    for (const value of this.#waiting.splice(0)) {
      value.error = error;
      this.#end(value);
    }
  }

  /** The segment takes no further value. */
  #seal(segment: BlobSegment): void {
    if (this.#open === segment) this.#open = undefined;
    segment.sealed = true;
    this.#finishSoon(segment);
  }

  #finishSoon(segment: BlobSegment): void {
    if (segment.writing > 0 || this.#closed || segment.file === undefined) return;
    startTask(this.jobs, this.#finish(segment), (error) => {
      segment.finished.set();
      if (error === undefined) return;
      if (!(error instanceof VarveError)) throw error;
      // The disk has crashed, or a descriptor could not be closed.
      if (error.code !== "ERR_CLOSED") this.#report(error);
    });
  }

  /** Gives back the rest of the space, syncs what was used, so that a later sync has less to do, and closes the file. */
  *#finish(segment: BlobSegment): Task<void> {
    yield* this.#cut(segment);
    yield* this.sync([segment]);
    if (segment.synced === segment.written) yield* this.#closeFile(segment);
  }

  *#cut(segment: BlobSegment): Task<void> {
    if (segment.file === undefined || segment.end >= segment.bytes) return;
    segment.bytes = segment.end;
    try {
      yield* this.files.truncate(segment.file, segment.end);
    } catch (error) {
      if (!(error instanceof VarveError)) throw error;
      this.host.report(error); // it costs only space
    }
  }

  *#closeFile(segment: BlobSegment): Task<void> {
    const { file } = segment;
    segment.file = undefined;
    if (file !== undefined) yield* this.files.close(file);
  }

  #awaitJob(): void {
    if (this.#awaitsJob) return;
    this.#awaitsJob = true;
    this.jobs.freed().whenSet(() => {
      this.#awaitsJob = false;
      this.#advance();
    });
  }

  /** Nothing more in this segment can be made durable. */
  #syncFailed(segment: BlobSegment, error: VarveError): void {
    segment.failure ??= error;
    if (segment.owesSync) this.#poison(error);
    else this.#report(error);
    this.#seal(segment);
  }

  #poison(error: unknown): void {
    if (error instanceof VarveError) this.health.poison(error);
  }

  #report(error: VarveError): void {
    this.counters.failures++;
    this.host.report(error);
  }

  #count({ bytes }: ValueWrite): void {
    const { counters } = this;
    const padding = inBlocks(bytes) - bytes;
    counters.values++;
    counters.bytes += bytes;
    counters.paddedBytes += padding;
    if (padding === 0) counters.aligned++;
  }
}
