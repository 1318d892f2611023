/** Lets one task at a time through; the others wait in the order in which they came. */
import { Signal } from "./signal.ts";
import type { Task } from "./task.ts";

export class TaskLock {
  #last: Signal | undefined;

  /** Runs `body` when its turn has come. */
  *run<T>(body: () => Task<T>): Task<T> {
    const before = this.#last;
    const done = this.#last = new Signal();
    if (before !== undefined) yield before;
    try {
      return yield* body();
    } finally {
      if (this.#last === done) this.#last = undefined;
      done.set();
    }
  }
}
