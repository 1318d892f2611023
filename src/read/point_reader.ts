/**
 * Point reads of one Worker: memtables in TypeScript, newest first, then one native call for all tables of the family.
 *
 * A read holds nothing between calls. An asynchronous one answers from memtables and block cache at once; a block that is not
 * in memory is read on an I/O thread.
 */
import type { Memtable } from "../memtable/memtable.ts";
import { KeyProbe } from "../memtable/key_probe.ts";
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
import { ResultSlab } from "./result_slab.ts";
import { tableError, tableJobError } from "./table_failure.ts";

const ATTEMPT = "Cannot read";
const DO_NOT_BLOCK = 1;
const NO_REGION = -1;

/** What a read makes of a value's bytes. `passing`: they lie in the store's memory and are valid during the call only. */
export interface ValueDecoder<V> {
  readonly keepsBytes: boolean;
  decode(bytes: Uint8Array): V;
}

/** The answer of a read that needs the disk. */
export const WOULD_BLOCK: unique symbol = Symbol("a block is not in memory");

export interface ReadCounters {
  gets: number;
  memtableHits: number;
  tableReads: number;
}

export class PointReader {
  readonly counters: ReadCounters = { gets: 0, memtableHits: 0, tableReads: 0 };
  readonly #probe: KeyProbe;
  readonly #slab = new ResultSlab();

  constructor(readonly files: Files, readonly context: Region) {
    this.#probe = new KeyProbe(context, CONTEXT_KEY_OFFSET);
  }

  /** The value of a key at a sequence number, read on this thread. */
  get<V>(
    family: Family,
    key: Uint8Array | string,
    sequence: number,
    decoder: ValueDecoder<V>,
  ): V | undefined {
    return this.#find(family, key, sequence, decoder, 0) as V | undefined;
  }

  /** The same if nothing needs the disk, else `WOULD_BLOCK`. */
  getCached<V>(
    family: Family,
    key: Uint8Array | string,
    sequence: number,
    decoder: ValueDecoder<V>,
  ): V | undefined | typeof WOULD_BLOCK {
    return this.#find(family, key, sequence, decoder, DO_NOT_BLOCK);
  }

  /**
   * Reads the tables on an I/O thread. `WOULD_BLOCK`: the version was replaced before the thread came to it; ask again.
   * The key is copied before the first step.
   */
  *getFromDisk<V>(
    family: Family,
    key: Uint8Array | string,
    sequence: number,
    decoder: ValueDecoder<V>,
  ): Task<V | undefined | typeof WOULD_BLOCK> {
    const { jobs } = this.files;
    const keyRegion = reserveRegion(KEY_BYTES_MAX + 1);
    const probe = new KeyProbe(keyRegion, 0);
    try {
      probe.set(key);
      const job = yield* takeJob(jobs, Opcode.tableGet, Lane.read);
      const { u32, i32, f64 } = jobs.shared;
      i32[(job + GetJob.version) >> 2] = family.version.handle;
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
      return this.#decodeFound(type, valueRegion, region(keyRegion.id), 0, valueBytes, decoder);
    } finally {
      releaseRegion(keyRegion.id);
    }
  }

  #find<V>(
    family: Family,
    key: Uint8Array | string,
    sequence: number,
    decoder: ValueDecoder<V>,
    flags: number,
  ): V | undefined | typeof WOULD_BLOCK {
    const probe = this.#probe;
    probe.set(key);
    this.counters.gets++;
    let memtable = family.active;
    let entry = memtable.find(probe, sequence);
    for (let index = family.frozen.length - 1; entry === 0 && index >= 0; index--) {
      memtable = family.frozen[index];
      entry = memtable.find(probe, sequence);
    }
    if (entry !== 0) {
      this.counters.memtableHits++;
      return this.#decodeEntry(memtable, entry, decoder);
    }
    if (family.version.isEmpty) return undefined;
    return this.#findInTables(family, sequence, decoder, flags);
  }

  #findInTables<V>(
    family: Family,
    sequence: number,
    decoder: ValueDecoder<V>,
    flags: number,
  ): V | undefined | typeof WOULD_BLOCK {
    const { context } = this;
    this.counters.tableReads++;
    const result = native().call.varve_get(
      family.version.handle,
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
    return this.#decodeFound(type, valueRegion, context, CONTEXT_VALUE_OFFSET, valueBytes, decoder);
  }

  #decodeEntry<V>(memtable: Memtable, entry: number, decoder: ValueDecoder<V>): V | undefined {
    if (memtable.typeOf(entry) === EntryType.delete) return undefined;
    const { u8, u32 } = memtable.region;
    const start = memtable.valueStartOf(entry);
    const bytes = memtable.valueBytesOf(entry);
    const value = decoder.keepsBytes
      ? this.#slab.copyWords(u8, u32, start, bytes)
      : u8.subarray(start << 2, (start << 2) + bytes);
    return decoder.decode(value);
  }

  /** What native code found: in a region of its own, which is given back, or in `inline` memory. */
  #decodeFound<V>(
    type: number,
    valueRegion: number,
    inline: Region,
    inlineOffset: number,
    bytes: number,
    decoder: ValueDecoder<V>,
  ): V | undefined {
    const own = valueRegion !== NO_REGION;
    try {
      if (type !== EntryType.put) return undefined;
      const { u8 } = own ? region(valueRegion) : inline;
      const offset = own ? 0 : inlineOffset;
      const value = decoder.keepsBytes
        ? this.#slab.copy(u8, offset, bytes)
        : u8.subarray(offset, offset + bytes);
      return decoder.decode(value);
    } finally {
      if (own) releaseRegion(valueRegion);
    }
  }
}
