/** Snapshots: a store as it was at one moment. */
import { closed, invalidArgument } from "../base/errors.ts";
import type { OpenStore } from "../store/open_store.ts";
import type { Handle } from "./handle.ts";

/**
 * A consistent view of every column family, taken when it was made. Holding one keeps the versions that it can see;
 * dispose it (`using`, or `snapshot[Symbol.dispose]()`) as soon as it is not needed.
 *
 * @example
 * ```ts
 * using snapshot = db.snapshot();
 * db.getSync("key", { snapshot });
 * ```
 */
export class Snapshot {
  /** The sequence number of the last write that the snapshot shows. */
  readonly sequence: number;
  /** The moment of the snapshot, in milliseconds since 1970: entries with a `ttl` expire by it. */
  readonly time: number;
  readonly #handle: Handle;
  #disposed = false;

  /** Use `db.snapshot()`. */
  constructor(handle: Handle) {
    this.#handle = handle;
    this.sequence = handle.store.visibility.visible;
    this.time = handle.store.clock.now();
    handle.store.snapshots.hold(this.sequence);
  }

  /** Lets go of what the snapshot sees. Disposing twice is fine. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#handle.store.snapshots.release(this.sequence);
  }

  /** What was given as a snapshot, to read from. Throws if it is none, is another store's, or was disposed. */
  static of(snapshot: unknown, store: OpenStore, attempt: string): Snapshot {
    if (!(snapshot instanceof Snapshot)) {
      throw invalidArgument(`Cannot ${attempt}: snapshot takes what db.snapshot() returned`);
    }
    if (snapshot.#handle.store !== store) {
      throw invalidArgument(`Cannot ${attempt}: the snapshot is another store's`);
    }
    if (snapshot.#disposed) throw closed(attempt, "the snapshot");
    return snapshot;
  }
}
