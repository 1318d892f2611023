/**
 * A write buffer: a run of encoded entries in native memory, which is the log's payload as it lies there.
 * All writes that a Worker makes in one turn of its event loop share one buffer, and one promise.
 *
 * A buffer is `logged` or not (`"volatile"` writes are not), and `durable` once one of its writes asked for `"sync"`.
 */
import { ValueWrite } from "../blob/value_write.ts";
import { writeAddress } from "../format/blob_address.ts";
import { encodeEntry, encodeExpiringEntry } from "../format/log_entry.ts";
import { BlobAddress, EntryType, LogRun } from "../native/layout.gen.ts";
import { type Region, releaseRegion, reserveRegion } from "../native/region.ts";
import { Signal } from "../native/signal.ts";

/** A buffer's ordinary size: large enough that a group of small writes is one run, small enough to pool. */
const BUFFER_BYTES = 4 << 20;
const POOLED_BUFFERS_MAX = 8;
/** The size of a buffer for one write with large values, which holds little but their addresses. */
const OWN_BUFFER_BYTES = 64 * 1024;
const POOLED_OWN_BUFFERS_MAX = 64;
const ADDRESS_WORDS = BlobAddress.BYTES >> 2;

/** Set when a buffer is done. It outlives the buffer, which is emptied and used again at once. */
export class Outcome extends Signal {
  /** What prevented it, or `undefined`. */
  error: unknown;
}

const NO_FAMILY = -1;
const SEVERAL_FAMILIES = -2;

export class WriteBuffer {
  entryCount = 0;
  /** Users' writes: a batch is one. */
  writeCount = 0;
  logged = true;
  durable = false;
  /** Its caller waits on this thread, reads the outcome and gives the buffer back itself. */
  retained = false;
  done = false;
  error: unknown;
  /** When its first write came, of those whose latency is recorded; zero of the others. */
  startedAt = 0;
  #end: number = LogRun.BYTES;
  #family = NO_FAMILY;
  /** Large values whose addresses belong into its entries. */
  readonly values: ValueWrite[] = [];
  #pendingValues = 0;
  #valuesEnded: Signal | undefined;
  #promise: PromiseWithResolvers<void> | undefined;
  #outcome: Outcome | undefined;

  constructor(readonly region: Region) {}

  /** Whether it is another Worker's. */
  get isForeign(): boolean {
    return false;
  }

  /** Takes over entries that lie in the region already: `bytes` of them, the run's header included. */
  protected adopt(bytes: number, entryCount: number, writeCount: number): void {
    this.#end = bytes;
    this.entryCount = entryCount;
    this.writeCount = writeCount;
  }

  /** Bytes of the run: header, entries, padding to eight. */
  get bytes(): number {
    return (this.#end + 7) & ~7;
  }

  /** The same without the padding. */
  get endBytes(): number {
    return this.#end;
  }

  /** The family of all its entries, if they are plain ones (puts, deletes, merges) and added one by one; else a negative number. */
  get plainFamily(): number {
    return this.#family;
  }

  hasRoom(bytes: number): boolean {
    return this.#end + bytes + 8 <= this.region.bytes;
  }

  /**
   * Adds one entry; on an error nothing was added. `expiry`, in milliseconds since 1970, for the types that expire. REQUIRES: room for `entryBytesMax(key, value)`.
   */
  add(
    type: number,
    family: number,
    key: Uint8Array | string,
    value: Uint8Array | string,
    expiry?: number,
  ): void {
    const { u8, u32 } = this.region;
    this.#end = expiry === undefined
      ? encodeEntry(u8, u32, this.#end, type, family, key, value)
      : encodeExpiringEntry(u8, u32, this.#end, type, family, key, value, expiry);
    if (this.entryCount++ === 0) this.#family = family;
    if (family !== this.#family || type > EntryType.merge) this.#family = SEVERAL_FAMILIES;
  }

  /** Expects a large value for the entry added last, whose own value ends with room for the address. */
  expectValue(bytes: number, source: ValueWrite["source"]): void {
    this.#expect(bytes, source, (this.#end >> 2) - ADDRESS_WORDS);
  }

  /** The same for an entry of `addEncoded`: `offset` is where its address is to stand, from the start of those entries. */
  expectValueAt(
    entriesBytes: number,
    offset: number,
    bytes: number,
    source: ValueWrite["source"],
  ): void {
    this.#expect(bytes, source, (this.#end - entriesBytes + offset) >> 2);
  }

  #expect(bytes: number, source: ValueWrite["source"], word: number): void {
    this.#pendingValues++;
    this.values.push(
      new ValueWrite(bytes, source, (value) => {
        if (value.error === undefined) {
          const { segment, offset, checksum } = value;
          writeAddress(this.region.u32, word, { number: segment!.number, offset, bytes, checksum });
        }
        if (--this.#pendingValues === 0) this.#valuesEnded?.set();
      }),
    );
  }

  /** Whether all of its values are written, or failed: before that it belongs to no group. */
  get isWhole(): boolean {
    return this.#pendingValues === 0;
  }

  /** Set when it is whole. */
  get whole(): Signal {
    return this.#valuesEnded ??= new Signal();
  }

  /** What keeps one of its values from being stored, and so all of its writes. */
  get valueFailure(): unknown {
    for (const value of this.values) {
      const { failure } = value;
      if (failure !== undefined) return failure;
    }
    return undefined;
  }

  /** Adds entries that are encoded already. REQUIRES: room for them. */
  addEncoded(entries: Uint8Array, entryCount: number): void {
    this.region.u8.set(entries, this.#end);
    this.#end += entries.length;
    this.entryCount += entryCount;
    this.#family = SEVERAL_FAMILIES;
  }

  /** Fills in the run's header; its first entry gets this sequence number. */
  seal(firstSequence: number): void {
    const { u32, f64 } = this.region;
    this.pad();
    u32[LogRun.bytes >> 2] = this.bytes;
    f64[LogRun.firstSequence >> 3] = firstSequence;
  }

  /** Fills the run up with zeros, and notes how many entries it has. */
  pad(): void {
    const { u8, u32 } = this.region;
    for (let index = this.#end; (index & 7) !== 0; index++) u8[index] = 0;
    u32[LogRun.entryCount >> 2] = this.entryCount;
  }

  /** Resolves once every write in here is what its durability promises. */
  get promise(): Promise<void> {
    return (this.#promise ??= Promise.withResolvers<void>()).promise;
  }

  get isAwaited(): boolean {
    return this.#promise !== undefined;
  }

  /** The same for tasks: set when the buffer is done, with or without an error. */
  get outcome(): Outcome {
    return this.#outcome ??= new Outcome();
  }

  settle(error: unknown): void {
    this.done = true;
    this.error = error;
    if (error === undefined) this.#promise?.resolve();
    else this.#promise?.reject(error);
    if (this.#outcome === undefined) return;
    this.#outcome.error = error;
    this.#outcome.set();
  }

  /** Empties the buffer for its next use. */
  clear(): void {
    this.entryCount = 0;
    this.writeCount = 0;
    this.durable = false;
    this.#end = LogRun.BYTES;
    this.#family = NO_FAMILY;
    this.retained = this.done = false;
    this.error = undefined;
    this.startedAt = 0;
    this.values.length = 0;
    this.#valuesEnded = undefined;
    this.#promise = undefined;
    this.#outcome = undefined;
  }
}

/** Buffers by turns: ordinary ones are kept, larger ones go back to the regions. */
export class WriteBufferPool {
  readonly #free: WriteBuffer[] = [];
  readonly #freeOwn: WriteBuffer[] = [];

  /** An empty buffer with room for so many bytes of entries. */
  take(bytes: number, logged: boolean): WriteBuffer {
    const needed = LogRun.BYTES + bytes + 8;
    const buffer = needed <= BUFFER_BYTES
      ? this.#free.pop() ?? new WriteBuffer(reserveRegion(BUFFER_BYTES))
      : new WriteBuffer(reserveRegion(needed));
    buffer.logged = logged;
    return buffer;
  }

  /** An empty buffer for one write that carries large values. */
  takeOwn(bytes: number, logged: boolean): WriteBuffer {
    if (LogRun.BYTES + bytes + 8 > OWN_BUFFER_BYTES) return this.take(bytes, logged);
    const buffer = this.#freeOwn.pop() ?? new WriteBuffer(reserveRegion(OWN_BUFFER_BYTES));
    buffer.logged = logged;
    return buffer;
  }

  give(buffer: WriteBuffer): void {
    buffer.clear();
    const { bytes } = buffer.region;
    if (bytes === BUFFER_BYTES && this.#free.length < POOLED_BUFFERS_MAX) {
      this.#free.push(buffer);
    } else if (bytes === OWN_BUFFER_BYTES && this.#freeOwn.length < POOLED_OWN_BUFFERS_MAX) {
      this.#freeOwn.push(buffer);
    } else {
      releaseRegion(buffer.region.id);
    }
  }

  /** Gives the pooled buffers' memory back. */
  drain(): void {
    for (const free of [this.#free, this.#freeOwn]) {
      for (const buffer of free.splice(0)) releaseRegion(buffer.region.id);
    }
  }
}
