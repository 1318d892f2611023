/** `syncInterval`: no buffered write stays unsynced longer. */
import { clearInterval, setInterval } from "node:timers";
import type { Pipeline } from "../commit/pipeline.ts";
import type { Log } from "../log/log.ts";

export class SyncTimer {
  readonly #timer: ReturnType<typeof setInterval> | undefined;

  constructor(pipeline: Pipeline, log: Log, milliseconds: number) {
    if (milliseconds === 0) return;
    this.#timer = setInterval(() => {
      pipeline.tail.recall();
      if (!log.isSynced && pipeline.health.failure === undefined) pipeline.requestBarrier(true);
    }, milliseconds);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== undefined) clearInterval(this.#timer);
  }
}
