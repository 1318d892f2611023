/**
 * The write side of a Worker without the engine: buffers are filled here as everywhere, and committed by the host. Writes of one
 * Worker commit in call order, for their buffers are submitted, taken and settled in that order.
 */
import { VarveError } from "../base/errors.ts";
import { whenWritesEnd } from "../commit/turn_end.ts";
import { type Outcome, type WriteBuffer, WriteBufferPool } from "../commit/write_buffer.ts";
import { StoreShared } from "../native/layout.gen.ts";
import type { Foundation } from "../store/store.ts";
import type { GuestLink } from "./guest_link.ts";

const POISONED = StoreShared.poisoned >> 2;
const BLOCK_MICROSECONDS = 2_000;
/** Looks at the outcome before a blocking caller sleeps. */
const SPINS_MAX = 200;

/** Whether the store may still write, as a Worker without the engine knows it. */
export class GuestHealth {
  constructor(readonly foundation: Foundation) {}

  requireSound(attempt: string): void {
    const { core, path } = this.foundation;
    if (Atomics.load(core.i32, POISONED) === 0) return;
    throw new VarveError("ERR_IO", `Cannot ${attempt}: writing ended with a failure`, { path });
  }
}

export class GuestPipeline {
  readonly pool = new WriteBufferPool();
  #open: WriteBuffer | undefined;
  #closing = false;

  constructor(readonly link: GuestLink, readonly health: GuestHealth) {
    link.onSettled = (buffer) => {
      if (!buffer.retained) this.pool.give(buffer);
    };
    link.onNews = () => {
      if (this.#open !== undefined && this.link.isIdle) this.#scheduleClose();
    };
    link.foundation.jobs.onDrive(() => this.#closeOpen());
  }

  /** Whether nothing is pending. */
  get isIdle(): boolean {
    return this.#open === undefined && this.link.isIdle;
  }

  openBuffer(bytes: number, logged: boolean): WriteBuffer {
    this.health.requireSound("write");
    let open = this.#open;
    if (open !== undefined && (open.logged !== logged || !open.hasRoom(bytes))) {
      this.#closeOpen();
      open = undefined;
    }
    if (open === undefined) {
      open = this.#open = this.pool.take(bytes, logged);
      this.#scheduleClose();
    }
    return open;
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
    buffer.retained = true;
    this.#closeOpen();
    const { link } = this;
    link.submit(buffer);
    if (link.engine === undefined) this.#block(buffer);
    link.foundation.jobs.drive(() => buffer.done);
    const { error } = buffer;
    this.pool.give(buffer);
    if (error !== undefined) throw error;
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
    this.#closeOpen();
    this.link.submit(buffer);
    return promise;
  }

  /** A guest's values lie among the entries, whatever their size: no family that it sees has a threshold. */
  get values(): never {
    throw new Error("a guest writes no value elsewhere");
  }

  /** Queues an empty buffer. When it is done, so is all before it; if `durable`, on stable storage. */
  requestBarrier(durable: boolean): Outcome {
    this.#closeOpen();
    const buffer = this.pool.take(0, true);
    buffer.durable = durable;
    const { outcome } = buffer;
    this.link.submit(buffer);
    return outcome;
  }

  #closeOpen(): void {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    this.link.submit(open);
  }

  /** As the engine's pipeline does: no earlier than the end of the microtask queue, and behind what is on its way. */
  #scheduleClose(): void {
    if (this.#closing) return;
    this.#closing = true;
    whenWritesEnd(() => this.#open?.writeCount ?? 0, () => {
      this.#closing = false;
      if (this.link.isIdle) this.#closeOpen();
    });
  }
}
