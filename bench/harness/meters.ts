/** Instruments that run beside the clock: throughput over time, and how late the event loop is. */
import { clearTimeout, setTimeout } from "node:timers";
import type { Series } from "./measurement.ts";

/** Counts operations by the interval in which they ended. Reading it costs a clock: feed it samples. */
export class SeriesRecorder {
  readonly #intervalMilliseconds: number;
  readonly #operations: number[] = [0];
  #start = performance.now();
  #seen = 0;

  constructor(intervalSeconds: number) {
    this.#intervalMilliseconds = intervalSeconds * 1000;
  }

  /** Sets the zero of time; call it as the clock starts. */
  begin(): void {
    this.#start = performance.now();
  }

  /** `done` operations have ended in all, at `now`. */
  record(done: number, now: number): void {
    const interval = Math.floor((now - this.#start) / this.#intervalMilliseconds);
    while (this.#operations.length <= interval) this.#operations.push(0);
    this.#operations[interval] += done - this.#seen;
    this.#seen = done;
  }

  /** Whole intervals only: the last one was cut short by the end. */
  summary(): Series {
    return {
      intervalSeconds: this.#intervalMilliseconds / 1000,
      operations: this.#operations.slice(0, Math.max(1, this.#operations.length - 1)),
    };
  }
}

const TICK_MILLISECONDS = 2;
const TICKS_MAX = 1_000_000;

/**
 * How much later than asked a timer fires: what other work in the process sees of a busy event loop.
 * A timer's own resolution of a millisecond is in it.
 */
export class LoopDelay {
  readonly #late = new Float64Array(TICKS_MAX);
  #count = 0;
  #due = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  start(): void {
    this.#arm();
  }

  /** Milliseconds; a stretch without any turn of the loop counts as one late tick. */
  stop(): { p50: number; p99: number; max: number } {
    clearTimeout(this.#timer);
    // The tick that is due now may be the latest of all.
    this.#record();
    const sorted = this.#late.subarray(0, this.#count).sort();
    const at = (fraction: number) => sorted[Math.floor(fraction * (sorted.length - 1))];
    return { p50: at(0.5), p99: at(0.99), max: at(1) };
  }

  #arm(): void {
    this.#due = performance.now() + TICK_MILLISECONDS;
    this.#timer = setTimeout(() => {
      this.#record();
      this.#arm();
    }, TICK_MILLISECONDS);
  }

  #record(): void {
    if (this.#count === TICKS_MAX) return;
    this.#late[this.#count++] = Math.max(0, performance.now() - this.#due);
  }
}
