/**
 * Files that the manifest no longer names, on their way out. Removal can be held back, for a checkpoint that still links them.
 * A file that cannot be removed costs its space until the next open, and is reported.
 */
import type { FileName, Files } from "../native/files.ts";
import type { Task } from "../native/task.ts";
import type { Events } from "./events.ts";

export class ObsoleteFiles {
  #held = 0;
  #waiting: FileName[] = [];

  constructor(readonly files: Files, readonly events: Events) {}

  /** Removes files, or notes them while somebody keeps them. REQUIRES: their going is durable. */
  *remove(names: readonly FileName[]): Task<void> {
    this.#waiting.push(...names);
    if (this.#held > 0) return;
    for (const name of this.#waiting.splice(0)) {
      yield* this.events.reporting(this.files.unlink(name));
    }
  }

  /** Runs a task during which no file goes. */
  *keeping<T>(task: Task<T>): Task<T> {
    this.#held++;
    try {
      return yield* task;
    } finally {
      this.#held--;
      yield* this.remove([]);
    }
  }
}
