/**
 * Keeps files that an edit has let go of, as long as somebody stands on them who reads them by name: a checkpoint that links
 * and copies, a check of the log. What the last one leaves behind is removed then.
 */
import type { FileName, Files } from "../native/files.ts";
import type { Task } from "../native/task.ts";
import type { Events } from "./events.ts";

export class Retention {
  #holders = 0;
  readonly #waiting: FileName[] = [];

  constructor(readonly files: Files, readonly events: Events) {}

  /** Whether somebody reads files by name. */
  get isHeld(): boolean {
    return this.#holders > 0;
  }

  /** Runs a task that finds every file which the manifest names when it begins. */
  *during<T>(task: Task<T>): Task<T> {
    this.#holders++;
    try {
      return yield* task;
    } finally {
      this.#holders--;
      yield* this.#removeWaiting();
    }
  }

  /** Unlinks files that the manifest no longer names, durably, now or later. A failure costs only space. */
  *remove(names: readonly FileName[]): Task<void> {
    this.#waiting.push(...names);
    yield* this.#removeWaiting();
  }

  *#removeWaiting(): Task<void> {
    while (this.#holders === 0) {
      const name = this.#waiting.shift();
      if (name === undefined) return;
      yield* this.events.reporting(this.files.unlink(name));
    }
  }
}
