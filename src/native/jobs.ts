/**
 * The job records of one store: the only way to its disk. A job is filled in place, then run on this thread or
 * submitted to the library's I/O threads; completions are found by polling, never by a call from a foreign thread.
 *
 * A job is named by the byte offset of its record in the store's region. One instance per store and Worker.
 */
import { clearTimeout, setImmediate, setTimeout } from "node:timers";
import { assert } from "../base/assert.ts";
import { closed } from "../base/errors.ts";
import { nativeError } from "./failure.ts";
import {
  JOB_BYTES,
  JOB_COUNT,
  JobHead,
  STORE_COMPLETIONS_OFFSET,
  STORE_JOBS_OFFSET,
  StoreShared,
} from "./layout.gen.ts";
import { native } from "./library.ts";
import { type Region, region } from "./region.ts";
import { Signal } from "./signal.ts";

export type JobDone = (job: number) => void;

/** What other Workers do, as a blocking caller waits for it. */
export interface Outside {
  /** Whether something is under way there. */
  readonly isPending: boolean;
  /** Sleeps until there is news, at most so long. */
  wait(microseconds: number): void;
}

const COMPLETION_TAIL = StoreShared.completionTail >> 2;
const COMPLETIONS = STORE_COMPLETIONS_OFFSET >> 2;

/** Turns of the event loop without a completion before the waiting thread sleeps: some milliseconds. */
const IDLE_TURNS_MAX = 1000;
/** How long one native wait lasts; it bounds how late a close is noticed, not how soon a completion is. */
const WAIT_MICROSECONDS = 100_000;
/** The same while other Workers' doings are waited for beside jobs. */
const OUTSIDE_MICROSECONDS = 1000;
/** Poll interval where a thread cannot sleep off the event loop (Bun), and for work nobody awaits. */
const POLL_MILLISECONDS = 1;
const BACKGROUND_POLL_MILLISECONDS = 10;

export class Jobs {
  readonly shared: Region;
  /** The store's handle. */
  readonly store: number;
  readonly #stepped: boolean;
  readonly #free: number[] = [];
  #delays: { readonly signal: Signal; readonly deadline: number }[] = [];
  readonly #handlers: (JobDone | undefined)[] = new Array(JOB_COUNT).fill(undefined);
  /** Those who found no free record, in the order in which they came. */
  readonly #waiting: Signal[] = [];
  #quiet: Signal | undefined;
  /** Moves on, without waiting, what would otherwise wait for a turn of the event loop. */
  #pump = (): void => {};
  #pumped = false;
  #outside: Outside | undefined;
  #head: number;
  #outstanding = 0;
  #awaited = 0;
  #idleTurns = 0;
  #ticking = false;
  #ended = false;
  #backgroundTimer: ReturnType<typeof setTimeout> | undefined;

  /** `stepped`: the disk is simulated, and this thread runs what is submitted. */
  constructor(store: number, stepped: boolean) {
    this.store = store;
    this.#stepped = stepped;
    this.shared = region(native().call.varve_store_region(store));
    this.#head = Atomics.load(this.shared.u32, COMPLETION_TAIL);
    for (let index = JOB_COUNT - 1; index >= 0; index--) this.#free.push(index);
  }

  /** A cleared record, or `undefined` when all are in use: then wait for `freed()`. */
  take(opcode: number, lane: number): number | undefined {
    // The region may be another store's by now.
    if (this.#ended) throw closed("use the store", "it");
    const index = this.#free.pop();
    if (index === undefined) return undefined;
    const job = STORE_JOBS_OFFSET + index * JOB_BYTES;
    this.shared.u8.fill(0, job, job + JOB_BYTES);
    this.shared.u32[(job + JobHead.opcode) >> 2] = opcode;
    this.shared.u32[(job + JobHead.lane) >> 2] = lane;
    return job;
  }

  /** Gives a record back; its results must have been read. */
  release(job: number): void {
    this.#free.push(indexOf(job));
    // Whoever is woken takes the record; the rest wait again, each for another release.
    while (this.#free.length > 0 && this.#waiting.length > 0) this.#waiting.shift()!.set();
  }

  /** Set when a record is free and it is this caller's turn. */
  freed(): Signal {
    const turn = new Signal();
    this.#waiting.push(turn);
    return turn;
  }

  result(job: number): number {
    return this.shared.i32[(job + JobHead.result) >> 2];
  }

  value(job: number): number {
    return this.shared.f64[(job + JobHead.value) >> 3];
  }

  /** Runs a job on this thread. */
  run(job: number): void {
    const result = native().call.varve_job_run(this.store, indexOf(job));
    if (result < 0) throw nativeError(result, "Cannot run a job");
  }

  /** Hands a job to the I/O threads; `done` is called from `poll` on this thread. */
  submit(job: number, done: JobDone): void {
    const index = indexOf(job);
    assert(this.#handlers[index] === undefined, "a job is submitted once");
    this.#handlers[index] = done;
    this.#outstanding++;
    const result = native().call.varve_job_submit(this.store, index);
    if (result < 0) {
      this.#handlers[index] = undefined;
      this.#outstanding--;
      throw nativeError(result, "Cannot submit a job");
    }
    this.#arm();
  }

  /** Whether a completion is there, as far as a plain load can tell: cheap enough to ask with every write. */
  get hasCompletion(): boolean {
    return this.#outstanding > 0 && this.shared.u32[COMPLETION_TAIL] !== this.#head;
  }

  /** Handles every completion that is there. Returns whether there was one. */
  poll(): boolean {
    if (this.#stepped && this.#outstanding > 0) native().call.varve_store_step(this.store);
    const { u32 } = this.shared;
    let found = false;
    // A completion may close the store, and with it end this loop.
    while (!this.#ended && this.#head !== Atomics.load(u32, COMPLETION_TAIL)) {
      const index = Atomics.load(u32, COMPLETIONS + (this.#head & (JOB_COUNT - 1)));
      this.#head = (this.#head + 1) >>> 0;
      if (index >= JOB_COUNT) continue; // a wake-up and nothing else
      this.#outstanding--;
      found = true;
      const done = this.#handlers[index]!;
      this.#handlers[index] = undefined;
      done(STORE_JOBS_OFFSET + index * JOB_BYTES);
    }
    if (this.#outstanding === 0) {
      // Whoever is woken may wait again, and not for the signal that woke it.
      const quiet = this.#quiet;
      this.#quiet = undefined;
      quiet?.set();
    }
    return found;
  }

  /** Called while this thread blocks, since no event loop turns then; after those that were given before. */
  onDrive(pump: () => void): void {
    if (!this.#pumped) {
      this.#pumped = true;
      this.#pump = pump;
      return;
    }
    const before = this.#pump;
    this.#pump = () => {
      before();
      pump();
    };
  }

  /** Somebody else's doing that a blocking caller may wait for. */
  expect(outside: Outside): void {
    this.#outside = outside;
  }

  /** Blocks this thread, handling completions, until the condition holds. */
  drive(until: () => boolean): void {
    while (!until()) {
      this.#pump();
      if (this.poll() || this.#expire() || until()) continue;
      const next = this.#delays.reduce(
        (first, { deadline }) => Math.min(first, deadline),
        Infinity,
      );
      const expects = this.#outside?.isPending === true;
      assert(
        this.#outstanding > 0 || next < Infinity || expects,
        "a blocking wait needs a job or a delay that can end it",
      );
      const longest = expects ? OUTSIDE_MICROSECONDS : WAIT_MICROSECONDS;
      const wait = Math.min(longest, Math.ceil((next - performance.now()) * 1000));
      if (wait <= 0) continue;
      if (expects && this.#outstanding === 0) {
        this.#outside!.wait(wait);
        continue;
      }
      const result = native().call.varve_store_wait(this.store, this.#head, wait);
      if (result < 0) throw nativeError(result, "Cannot wait for a job");
    }
  }

  /** Set after so many milliseconds, by the event loop or by a thread that blocks in `drive`. */
  delay(milliseconds: number): Signal {
    const signal = new Signal();
    this.#delays.push({ signal, deadline: performance.now() + milliseconds });
    setTimeout(() => this.#expire(), milliseconds + 1);
    return signal;
  }

  /** Sets the delays that are over. Returns whether there was one. */
  #expire(): boolean {
    if (this.#delays.length === 0) return false;
    const now = performance.now();
    const over = this.#delays.filter(({ deadline }) => deadline <= now);
    if (over.length === 0) return false;
    this.#delays = this.#delays.filter(({ deadline }) => deadline > now);
    for (const { signal } of over) signal.set();
    return true;
  }

  /** Marks that somebody awaits: completions are looked for at once, and the process stays alive. */
  hold(): void {
    this.#awaited++;
    this.#arm();
  }

  unhold(): void {
    this.#awaited--;
    assert(this.#awaited >= 0, "every unhold has its hold");
  }

  /** Set when no job is outstanding; a task that waits for it may find new ones submitted since. */
  quiet(): Signal {
    return this.#quiet ??= new Signal();
  }

  /** Called when the store is released: its region is not ours to look at any more. */
  end(): void {
    assert(this.#outstanding === 0, "a store is released when its jobs are done");
    this.#ended = true;
    clearTimeout(this.#backgroundTimer);
  }

  /** Whether the caller steps jobs (simulated disks), so that time is nobody's business. */
  get isStepped(): boolean {
    return this.#stepped;
  }

  get outstanding(): number {
    return this.#outstanding;
  }

  #arm(): void {
    if (this.#outstanding === 0) return;
    if (this.#awaited > 0) {
      if (this.#ticking) return;
      this.#ticking = true;
      this.#idleTurns = 0;
      setImmediate(this.#tick);
    } else if (this.#backgroundTimer === undefined && !this.#ticking && !this.#stepped) {
      this.#backgroundTimer = setTimeout(this.#backgroundTick, BACKGROUND_POLL_MILLISECONDS);
      this.#backgroundTimer.unref();
    }
  }

  readonly #tick = (): void => {
    if (this.#ended) return;
    this.#idleTurns = this.poll() ? 0 : this.#idleTurns + 1;
    if (this.#outstanding === 0 || this.#awaited === 0) {
      this.#ticking = false;
      this.#arm();
    } else if (this.#idleTurns < IDLE_TURNS_MAX || this.#stepped) {
      setImmediate(this.#tick);
    } else {
      this.#sleep();
    }
  };

  #sleep(): void {
    const { waitAsync } = native();
    if (waitAsync === undefined) {
      setTimeout(this.#tick, POLL_MILLISECONDS);
    } else {
      waitAsync(this.store, this.#head, WAIT_MICROSECONDS).then(this.#tick);
    }
  }

  readonly #backgroundTick = (): void => {
    clearTimeout(this.#backgroundTimer);
    this.#backgroundTimer = undefined;
    this.poll();
    this.#arm();
  };
}

function indexOf(job: number): number {
  return (job - STORE_JOBS_OFFSET) / JOB_BYTES;
}
