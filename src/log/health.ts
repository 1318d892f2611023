/**
 * Whether the store may still write. A failed write or sync of the log or the manifest is final: what reached the disk is
 * unknown, a second sync would claim success over lost data, so every later write is refused with the first error.
 * Reads go on; a reopen decides what survived.
 */
import { VarveError } from "../base/errors.ts";
import { StoreShared } from "../native/layout.gen.ts";
import type { Region } from "../native/region.ts";
import type { Task } from "../native/task.ts";

const POISONED = StoreShared.poisoned >> 2;
/** Stands in the shared word when the failure has no errno. */
const UNKNOWN_FAILURE = -1;

export class Health {
  #failure: VarveError | undefined;

  constructor(readonly shared: Region, readonly onFailure: (error: VarveError) => void) {}

  /** The failure that ended writing, if there was one. */
  get failure(): VarveError | undefined {
    return this.#failure;
  }

  poison(error: VarveError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    const errno = error.errno === undefined ? UNKNOWN_FAILURE : -error.errno;
    Atomics.store(this.shared.i32, POISONED, errno);
    this.onFailure(error);
  }

  /** Throws the failure again, in words that name what was attempted. */
  requireSound(attempt: string): void {
    if (this.#failure !== undefined) throw this.refusal(attempt);
  }

  refusal(attempt: string): VarveError {
    const { code, message, path, offset, errno, errnoName } = this.#failure!;
    return new VarveError(code, `Cannot ${attempt}: writing ended when this failed: ${message}`, {
      path,
      offset,
      errno,
      errnoName,
      cause: this.#failure,
    });
  }

  /** Runs a task whose failure is final. */
  *guard<T>(task: Task<T>): Task<T> {
    try {
      return yield* task;
    } catch (error) {
      if (error instanceof VarveError) this.poison(error);
      throw error;
    }
  }
}
