/** `syncInterval`: no buffered write stays unsynced longer. */
import { clearInterval, setInterval } from "node:timers";
import { VarveError } from "../base/errors.ts";
import type { Pipeline } from "../commit/pipeline.ts";
import { startTask } from "../native/task.ts";

export class SyncTimer {
  readonly #timer: ReturnType<typeof setInterval> | undefined;
  #syncing = false;

  constructor(readonly pipeline: Pipeline, milliseconds: number) {
    if (milliseconds === 0) return;
    this.#timer = setInterval(() => this.#tick(), milliseconds);
    this.#timer.unref();
  }

  #tick(): void {
    const { pipeline } = this;
    if (this.#syncing) return;
    pipeline.tail.recall();
    if (pipeline.log.isSynced || pipeline.health.failure !== undefined) return;
    this.#syncing = true;
    startTask(pipeline.jobs, pipeline.syncBehind(), (error) => {
      this.#syncing = false;
      if (error !== undefined && !(error instanceof VarveError)) throw error; // those have poisoned the store
    });
  }

  stop(): void {
    if (this.#timer !== undefined) clearInterval(this.#timer);
  }
}
