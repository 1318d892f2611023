/**
 * Point reads of one Worker: memtables in TypeScript, newest first, then one native call for all tables of the family.
 *
 * A read holds nothing between calls. An asynchronous one answers from memtables and block cache at once; a block that is not
 * in memory is read on an I/O thread.
 */
import { encodeUtf8, keySuccessor } from "../base/bytes.ts";
import { Histogram } from "../base/histogram.ts";
import { readAddress } from "../format/blob_address.ts";
import { EXPIRY_BYTES, expiryAt } from "../format/log_entry.ts";
import type { Memtable } from "../memtable/memtable.ts";
import { KeyProbe } from "../memtable/key_probe.ts";
import { nativeError } from "../native/failure.ts";
import type { Files } from "../native/files.ts";
import {
  Code,
  CONTEXT_KEY_OFFSET,
  CONTEXT_VALUE_OFFSET,
  EntryType,
  GetJob,
  GetResult,
  KEY_BYTES_MAX,
  Lane,
  Opcode,
} from "../native/layout.gen.ts";
import { native } from "../native/library.ts";
import { type Region, region, releaseRegion, reserveRegion } from "../native/region.ts";
import { takeJob, type Task } from "../native/task.ts";
import type { Family } from "../tree/family.ts";
import type { BlobReader } from "./blob_reader.ts";
import type { ValueDecoder } from "./value_decoder.ts";
import { Cursor } from "./cursor.ts";
import type { Merging } from "./merging.ts";
import type { Page } from "./page.ts";
import { LargeValue, type Pending, WOULD_BLOCK, WOULD_WALK } from "./pending.ts";
import { ResultSlab } from "./result_slab.ts";
import { tableError, tableJobError } from "./table_failure.ts";

const ATTEMPT = "Cannot read";
const PUT = EntryType.put;
const DELETE = EntryType.delete;
const MERGE = EntryType.merge;
const PUT_EXPIRING = EntryType.putExpiring;
const PUT_BLOB = EntryType.putBlob;
const EXPIRY_WORDS = EXPIRY_BYTES >> 2;
/** What native code gives for a type when it found nothing. */
const NONE = 0;
const NOTHING = new Uint8Array(0);
const DO_NOT_BLOCK = 1;
const NO_REGION = -1;
const SAMPLE_MASK = 63;
/** Of `sampleStart`. */
export const NOT_SAMPLED = -1;

/** Whose keys are read, and what becomes of their values. */
export interface ReadTarget<V> {
  readonly family: Family;
  readonly decoder: ValueDecoder<V>;
  readonly merging: Merging;
  /** Only whether there is a value matters: the decoder gets no bytes of it. */
  readonly keysOnly: boolean;
}

/** The store's clock: milliseconds since 1970. */
export interface TimeSource {
  now(): number;
}

export interface ReadCounters {
  gets: number;
  memtableHits: number;
  tableReads: number;
}

export class PointReader {
  readonly counters: ReadCounters = { gets: 0, memtableHits: 0, tableReads: 0 };
  /** Of one read in 64: looking at the clock costs more than all other counting. */
  readonly latency = new Histogram();
  readonly #probe: KeyProbe;
  readonly #slab = new ResultSlab();

  constructor(
    readonly files: Files,
    readonly context: Region,
    readonly clock: TimeSource,
    readonly blobs: BlobReader,
  ) {
    this.#probe = new KeyProbe(context, CONTEXT_KEY_OFFSET);
  }

  /** The value of a key at a sequence number, read on this thread. Without `time` entries expire by the present. */
  get<V>(
    target: ReadTarget<V>,
    key: Uint8Array | string,
    sequence: number,
    time: number | undefined,
  ): V | undefined {
    const started = this.sampleStart();
    const found = this.#find(target, key, sequence, time, 0);
    const value = found instanceof LargeValue
      ? this.blobs.read(found.address, target.decoder)
      : found as V | undefined;
    if (started !== NOT_SAMPLED) this.latency.record(performance.now() - started);
    return value;
  }

  /** The moment at which a read begins, of one in so many; `NOT_SAMPLED` of the others. */
  sampleStart(): number {
    return (this.counters.gets & SAMPLE_MASK) === 0 ? performance.now() : NOT_SAMPLED;
  }

  /** The same if nothing needs the disk, else what is needed. */
  getCached<V>(
    target: ReadTarget<V>,
    key: Uint8Array | string,
    sequence: number,
    time: number | undefined,
  ): V | undefined | Pending {
    return this.#find(target, key, sequence, time, DO_NOT_BLOCK);
  }

  /**
   * Goes on where `getCached` ended, on an I/O thread. An answer that is `Pending` again: the version was replaced before the thread
   * came to it, or there is more to do than to find the newest version; ask again. The key stays as it is until the task has ended.
   */
  getFromDisk<V>(
    pending: Pending,
    target: ReadTarget<V>,
    key: Uint8Array | string,
    sequence: number,
    time: number | undefined,
  ): Task<V | undefined | Pending> {
    if (pending instanceof LargeValue) return this.blobs.readTask(pending.address, target.decoder);
    return pending === WOULD_WALK
      ? this.#walkOnThread(target, typeof key === "string" ? encodeUtf8(key) : key, sequence, time)
      : this.#findOnThread(target, key, sequence, time);
  }

  *#findOnThread<V>(
    target: ReadTarget<V>,
    key: Uint8Array | string,
    sequence: number,
    time: number | undefined,
  ): Task<V | undefined | Pending> {
    const { jobs } = this.files;
    // The record first: there are fewer of them than reads may wait, and a region for each of those would be too many.
    const job = yield* takeJob(jobs, Opcode.tableGet, Lane.read);
    let keyRegion: Region;
    try {
      keyRegion = reserveRegion(KEY_BYTES_MAX + 1);
    } catch (error) {
      jobs.release(job);
      throw error;
    }
    const probe = new KeyProbe(keyRegion, 0);
    try {
      probe.set(key);
      const { u32, i32, f64 } = jobs.shared;
      i32[(job + GetJob.version) >> 2] = target.family.version.handle;
      i32[(job + GetJob.region) >> 2] = keyRegion.id;
      u32[(job + GetJob.keyBytes) >> 2] = probe.bytes;
      f64[(job + GetJob.sequence) >> 3] = sequence;
      yield job;
      const result = jobs.result(job);
      if (result < 0 && result !== Code.closed) throw tableJobError(this.files, job, ATTEMPT);
      const type = u32[(job + GetJob.entryType) >> 2];
      const valueRegion = i32[(job + GetJob.valueRegion) >> 2];
      const valueBytes = u32[(job + GetJob.valueBytes) >> 2];
      jobs.release(job);
      if (result === Code.closed) return WOULD_BLOCK;
      return this.#decodeFound(
        target,
        type,
        valueRegion,
        region(keyRegion.id),
        0,
        valueBytes,
        time,
      );
    } finally {
      releaseRegion(keyRegion.id);
    }
  }

  #find<V>(
    target: ReadTarget<V>,
    key: Uint8Array | string,
    sequence: number,
    time: number | undefined,
    flags: number,
  ): V | undefined | Pending {
    const { family } = target;
    const probe = this.#probe;
    probe.set(key);
    this.counters.gets++;
    let memtable = family.active;
    for (let index = family.frozen.length;; memtable = family.frozen[index]) {
      const entry = memtable.find(probe, sequence);
      if (memtable.rangeCount !== 0 && this.#isCovered(memtable, entry, sequence)) {
        this.counters.memtableHits++;
        return undefined;
      }
      if (entry !== 0) {
        this.counters.memtableHits++;
        return this.#decodeEntry(target, memtable, entry, sequence, time, flags);
      }
      if (index-- === 0) break;
    }
    if (family.version.isEmpty) return undefined;
    return this.#findInTables(target, sequence, time, flags);
  }

  /** Whether a range tombstone of this memtable hides the key's entry there, and all below. Zero: there is no entry. */
  #isCovered(memtable: Memtable, entry: number, sequence: number): boolean {
    const cover = native().call.varve_memtable_cover(
      memtable.region.id,
      this.context.id,
      this.#probe.bytes,
      sequence,
    );
    if (cover < 0) throw nativeError(cover, ATTEMPT, { path: this.files.directory });
    return cover > (entry === 0 ? 0 : memtable.sequenceOf(entry));
  }

  #findInTables<V>(
    target: ReadTarget<V>,
    sequence: number,
    time: number | undefined,
    flags: number,
  ): V | undefined | Pending {
    const { context } = this;
    this.counters.tableReads++;
    const result = native().call.varve_get(
      target.family.version.handle,
      context.id,
      this.#probe.bytes,
      sequence,
      flags,
    );
    if (result === Code.wouldBlock) return WOULD_BLOCK;
    if (result < 0) throw tableError(this.files, result, ATTEMPT);
    const type = context.u32[GetResult.entryType >> 2];
    const valueRegion = context.i32[GetResult.valueRegion >> 2];
    const valueBytes = context.u32[GetResult.valueBytes >> 2];
    const found = this.#decodeFound(
      target,
      type,
      valueRegion,
      context,
      CONTEXT_VALUE_OFFSET,
      valueBytes,
      time,
    );
    return found === WOULD_WALK ? this.#walk(target, sequence, time, flags) : found;
  }

  /** Reads the key in the probe by a cursor, which knows what its versions and range tombstones come to. */
  #walk<V>(
    target: ReadTarget<V>,
    sequence: number,
    time: number | undefined,
    flags: number,
  ): V | undefined | Pending {
    const end = CONTEXT_KEY_OFFSET + this.#probe.bytes;
    const key = this.context.u8.slice(CONTEXT_KEY_OFFSET, end);
    const cursor = this.#cursorOn(target, key, sequence, time);
    let page: Page | undefined;
    try {
      const found = flags === DO_NOT_BLOCK ? cursor.nextCached() : cursor.next();
      if (found === WOULD_BLOCK) return WOULD_WALK;
      page = found?.copy();
    } finally {
      cursor.close();
    }
    return decodeRow(target, page);
  }

  *#walkOnThread<V>(
    target: ReadTarget<V>,
    key: Uint8Array,
    sequence: number,
    time: number | undefined,
  ): Task<V | undefined> {
    const cursor = this.#cursorOn(target, key, sequence, time);
    let page: Page | undefined;
    try {
      page = (yield* cursor.nextTask())?.copy();
    } finally {
      cursor.close();
    }
    return decodeRow(target, page);
  }

  #cursorOn<V>(
    { family, merging, keysOnly }: ReadTarget<V>,
    key: Uint8Array,
    sequence: number,
    time = this.clock.now(),
  ): Cursor {
    const range = { lower: key, upper: keySuccessor(key), reverse: false, limit: 1 };
    const options = { keysOnly, mergeOperator: merging.kind };
    return new Cursor(this.files, this.context, family, range, { sequence, time }, options);
  }

  #isExpired(expiry: number, time = this.clock.now()): boolean {
    return !(time < expiry);
  }

  #decodeEntry<V>(
    target: ReadTarget<V>,
    memtable: Memtable,
    entry: number,
    sequence: number,
    time: number | undefined,
    flags: number,
  ): V | undefined | Pending {
    const type = memtable.typeOf(entry);
    if (type === DELETE) return undefined;
    const { u8, u32 } = memtable.region;
    let start = memtable.valueStartOf(entry, this.#probe.bytes);
    let bytes = memtable.valueBytesOf(entry);
    if (type !== PUT) {
      if (type === MERGE) return this.#walk(target, sequence, time, flags);
      if (type !== PUT_BLOB) {
        if (this.#isExpired(expiryAt(u32, start), time)) return undefined;
        start += EXPIRY_WORDS;
        bytes -= EXPIRY_BYTES;
      }
      if (type !== PUT_EXPIRING) return largeValue(target, u32, start);
    }
    const { decoder } = target;
    const value = decoder.keepsBytes
      ? this.#slab.copyWords(u8, u32, start, bytes)
      : u8.subarray(start << 2, (start << 2) + bytes);
    return decoder.decode(value);
  }

  /**
   * What native code found: in a region of its own, which is given back, or in `inline` memory. `WOULD_WALK`: it takes more than
   * this one version to tell.
   */
  #decodeFound<V>(
    target: ReadTarget<V>,
    type: number,
    valueRegion: number,
    inline: Region,
    inlineOffset: number,
    bytes: number,
    time: number | undefined,
  ): V | undefined | typeof WOULD_WALK | LargeValue {
    const own = valueRegion !== NO_REGION;
    try {
      if (type === NONE || type === DELETE) return undefined;
      const { u8, u32 } = own ? region(valueRegion) : inline;
      let offset = own ? 0 : inlineOffset;
      const end = offset + bytes;
      if (type !== PUT) {
        if (type === MERGE) return WOULD_WALK;
        if (type !== PUT_BLOB) {
          if (this.#isExpired(expiryAt(u32, offset >> 2), time)) return undefined;
          offset += EXPIRY_BYTES;
        }
        if (type !== PUT_EXPIRING) return largeValue(target, u32, offset >> 2);
      }
      const { decoder } = target;
      const value = decoder.keepsBytes
        ? this.#slab.copyWords(u8, u32, offset >> 2, end - offset)
        : u8.subarray(offset, end);
      return decoder.decode(value);
    } finally {
      if (own) releaseRegion(valueRegion);
    }
  }
}

/** Where a large value lies; nobody goes there who does not want to see it. */
function largeValue<V>(
  { decoder, keysOnly }: ReadTarget<V>,
  u32: Uint32Array,
  word: number,
): V | LargeValue {
  return keysOnly ? decoder.decode(NOTHING) : new LargeValue(readAddress(u32, word));
}

/** The value of the one row that a page may have. Runs the user's code. */
function decodeRow<V>(
  { decoder, merging, keysOnly }: ReadTarget<V>,
  page: Page | undefined,
): V | undefined {
  if (page === undefined) return undefined;
  return decoder.decode(keysOnly ? NOTHING : page.folded(0, merging));
}
