/**
 * A write buffer: a run of encoded entries in native memory, which is the log's payload as it lies there.
 * All writes that a Worker makes in one turn of its event loop share one buffer, and one promise.
 *
 * A buffer is `logged` or not (`"volatile"` writes are not), and `durable` once one of its writes asked for `"sync"`.
 */
import { encodeEntry, encodeExpiringEntry } from "../format/log_entry.ts";
import { LogRun } from "../native/layout.gen.ts";
import { type Region, releaseRegion, reserveRegion } from "../native/region.ts";
import { Signal } from "../native/signal.ts";

/** A buffer's ordinary size: large enough that a group of small writes is one run, small enough to pool. */
const BUFFER_BYTES = 4 << 20;
const POOLED_BUFFERS_MAX = 8;

/** Set when a buffer is done. It outlives the buffer, which is emptied and used again at once. */
export class Outcome extends Signal {
  /** What prevented it, or `undefined`. */
  error: unknown;
}

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
  #end: number = LogRun.BYTES;
  #promise: PromiseWithResolvers<void> | undefined;
  #outcome: Outcome | undefined;

  constructor(readonly region: Region) {}

  /** Bytes of the run: header, entries, padding to eight. */
  get bytes(): number {
    return (this.#end + 7) & ~7;
  }

  hasRoom(bytes: number): boolean {
    return this.#end + bytes + 8 <= this.region.bytes;
  }

  /**
   * Adds one entry; on an error nothing was added. With `expiry` (milliseconds since 1970) it is a put that expires then, whatever
   * `type` says. REQUIRES: room for `entryBytesMax(key, value)`.
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
      : encodeExpiringEntry(u8, u32, this.#end, family, key, value, expiry);
    this.entryCount++;
  }

  /** Adds entries that are encoded already. REQUIRES: room for them. */
  addEncoded(entries: Uint8Array, entryCount: number): void {
    this.region.u8.set(entries, this.#end);
    this.#end += entries.length;
    this.entryCount += entryCount;
  }

  /** Fills in the run's header; its first entry gets this sequence number. */
  seal(firstSequence: number): void {
    const { u8, u32, f64 } = this.region;
    u8.fill(0, this.#end, this.bytes);
    u32[LogRun.bytes >> 2] = this.bytes;
    u32[LogRun.entryCount >> 2] = this.entryCount;
    f64[LogRun.firstSequence >> 3] = firstSequence;
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
    this.retained = this.done = false;
    this.error = undefined;
    this.#promise = undefined;
    this.#outcome = undefined;
  }
}

/** Buffers by turns: ordinary ones are kept, larger ones go back to the regions. */
export class WriteBufferPool {
  readonly #free: WriteBuffer[] = [];

  /** An empty buffer with room for so many bytes of entries. */
  take(bytes: number, logged: boolean): WriteBuffer {
    const needed = LogRun.BYTES + bytes + 8;
    const buffer = needed <= BUFFER_BYTES
      ? this.#free.pop() ?? new WriteBuffer(reserveRegion(BUFFER_BYTES))
      : new WriteBuffer(reserveRegion(needed));
    buffer.logged = logged;
    return buffer;
  }

  give(buffer: WriteBuffer): void {
    buffer.clear();
    if (buffer.region.bytes === BUFFER_BYTES && this.#free.length < POOLED_BUFFERS_MAX) {
      this.#free.push(buffer);
    } else {
      releaseRegion(buffer.region.id);
    }
  }

  /** Gives the pooled buffers' memory back. */
  drain(): void {
    for (const buffer of this.#free.splice(0)) releaseRegion(buffer.region.id);
  }
}
