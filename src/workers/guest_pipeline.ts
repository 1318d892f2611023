/**
 * The write side of a Worker without the engine: buffers are filled here as everywhere, and committed by the host. Writes of one
 * Worker commit in call order, for their buffers are submitted, taken and settled in that order.
 */
import { VarveError } from "../base/errors.ts";
import { TailLease } from "../commit/tail_lease.ts";
import { TurnBuffer } from "../commit/turn_buffer.ts";
import { type Outcome, type WriteBuffer, WriteBufferPool } from "../commit/write_buffer.ts";
import { nativeError } from "../native/failure.ts";
import { StoreShared } from "../native/layout.gen.ts";
import type { Foundation } from "../store/store.ts";
import type { GuestLink } from "./guest_link.ts";
import type { Mirror } from "./mirror.ts";

const POISONED = StoreShared.poisoned >> 2;
const BLOCK_MICROSECONDS = 2_000;
/** Looks at the outcome before a blocking caller sleeps. */
const SPINS_MAX = 200;

/** Whether the store may still write, as a Worker without the engine knows it. */
export class GuestHealth {
  constructor(readonly foundation: Foundation) {}

  get isSound(): boolean {
    return Atomics.load(this.foundation.core.i32, POISONED) === 0;
  }

  requireSound(attempt: string): void {
    if (this.isSound) return;
    const { path } = this.foundation;
    throw new VarveError("ERR_IO", `Cannot ${attempt}: writing ended with a failure`, { path });
  }
}

export class GuestPipeline {
  readonly pool = new WriteBufferPool();
  readonly #turn: TurnBuffer;
  readonly #tail: TailLease;

  constructor(readonly link: GuestLink, readonly health: GuestHealth, readonly mirror: Mirror) {
    const { core, handle, jobs } = link.foundation;
    this.#tail = new TailLease(core, handle);
    this.#turn = new TurnBuffer(
      jobs,
      this.pool,
      (buffer) => this.#send(buffer),
      () => {
        if (link.isIdle) this.#turn.close(); // behind what is on its way, as the engine's pipeline does
      },
    );
    link.onSettled = (buffer) => {
      if (!buffer.retained) this.pool.give(buffer);
    };
    link.onNews = () => {
      if (this.#turn.isOpen && this.link.isIdle) this.#turn.schedule();
    };
    jobs.onDrive(() => this.#turn.close());
  }

  /** Whether nothing is pending. */
  get isIdle(): boolean {
    return !this.#turn.isOpen && this.link.isIdle;
  }

  openBuffer(bytes: number, logged: boolean): WriteBuffer {
    this.health.requireSound("write");
    return this.#turn.open(bytes, logged);
  }

  joined(buffer: WriteBuffer, durable: boolean): Promise<void> {
    buffer.writeCount++;
    if (durable) buffer.durable = true;
    return buffer.promise;
  }

  /** Commits one write's buffer, after everything before it, blocking this thread. Throws what prevented it. */
  commitSync(buffer: WriteBuffer, durable: boolean): void {
    buffer.writeCount = 1;
    buffer.durable = durable;
    this.#turn.close();
    if (!this.#commitAtTail(buffer)) this.#commitByHost(buffer);
    const { error } = buffer;
    this.pool.give(buffer);
    if (error !== undefined) throw error;
  }

  /** Hands a buffer over, and blocks until it is settled. */
  #commitByHost(buffer: WriteBuffer): void {
    const { link } = this;
    buffer.retained = true;
    link.submit(buffer);
    if (link.engine === undefined) this.#block(buffer);
    link.foundation.jobs.drive(() => buffer.done);
  }

  /** Ends when the buffer is done, or this Worker has something to do itself. */
  #block(buffer: WriteBuffer): void {
    const { link } = this;
    for (let spins = 0; !buffer.done; spins++) {
      link.poll();
      if (buffer.done || link.isTakingOver) return;
      if (spins >= SPINS_MAX) link.wait(BLOCK_MICROSECONDS);
    }
  }

  /** Queues a buffer of its own for one write, behind everything before it. */
  enqueue(buffer: WriteBuffer, durable: boolean): Promise<void> {
    buffer.writeCount = 1;
    buffer.durable = durable;
    const { promise } = buffer;
    this.#turn.close();
    this.link.submit(buffer);
    return promise;
  }

  /** A guest's values lie among the entries, whatever their size: no family that it sees has a threshold. */
  get values(): never {
    throw new Error("a guest writes no value elsewhere");
  }

  /** Queues an empty buffer. When it is done, so is all before it; if `durable`, on stable storage. */
  requestBarrier(durable: boolean): Outcome {
    this.#turn.close();
    const buffer = this.pool.take(0, true);
    buffer.durable = durable;
    const { outcome } = buffer;
    this.link.submit(buffer);
    return outcome;
  }

  #send(buffer: WriteBuffer): void {
    if (this.#commitAtTail(buffer)) this.pool.give(buffer);
    else this.link.submit(buffer);
  }

  /**
   * Commits one entry that is not `sync` on this thread, by one call and no buffer, and says whether that could be done.
   * The entry: as `TailLease.commitEntry` has it. Throws what ended writing.
   */
  commitEntry(
    head: number,
    family: number,
    key: Uint8Array,
    value: Uint8Array,
    valueBytes: number,
  ): boolean {
    if (this.#turn.isOpen || !this.#mayUseTail) return false;
    // Pinned: the memtable is not released meanwhile.
    this.mirror.enter();
    let done: boolean | number = false;
    try {
      const memtable = this.#memtableOf(family);
      if (memtable >= 0) done = this.#tail.commitEntry(head, key, value, valueBytes, memtable);
    } finally {
      this.mirror.leave();
    }
    if (typeof done === "number") throw this.#failed(done);
    return done;
  }

  /** Commits a buffer by one call and settles it, where the host has lent the log's tail for such a one; else does nothing. */
  #commitAtTail(buffer: WriteBuffer): boolean {
    if (buffer.durable || !this.#mayUseTail) return false;
    this.mirror.enter();
    let done: boolean | number = false;
    try {
      const memtable = this.#memtableOf(buffer.plainFamily);
      if (memtable >= 0) done = this.#tail.commit(buffer, memtable);
    } finally {
      this.mirror.leave();
    }
    if (done === false) return false;
    buffer.settle(done === true ? undefined : this.#failed(done));
    return true;
  }

  /** Nothing of this Worker's is on its way to the host. */
  get #mayUseTail(): boolean {
    return this.link.isIdle && this.health.isSound;
  }

  /** The region of a family's active memtable; negative: there is none. REQUIRES: the mirror is entered. */
  #memtableOf(family: number): number {
    return this.mirror.families.get(family)?.active.region.id ?? -1;
  }

  /** The host finds the failure, and refuses every further write. */
  #failed(result: number): VarveError {
    this.link.words.ring();
    const { path } = this.link.foundation;
    return nativeError(result, "Cannot write the log", { path });
  }
}
