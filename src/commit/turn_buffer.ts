/**
 * The buffer that takes the writes of one turn of the event loop. Both pipelines have one: the engine's, and that of a Worker
 * beside it.
 */
import type { Jobs } from "../native/jobs.ts";
import { whenWritesEnd } from "./turn_end.ts";
import type { WriteBuffer, WriteBufferPool } from "./write_buffer.ts";

export class TurnBuffer {
  #open: WriteBuffer | undefined;
  #isScheduled = false;

  /**
   * `onClosed` takes each buffer, in call order. `onTurnEnd`: the writes of this turn are in; whether to close the buffer is its business.
   */
  constructor(
    readonly jobs: Jobs,
    readonly pool: WriteBufferPool,
    readonly onClosed: (buffer: WriteBuffer) => void,
    readonly onTurnEnd: () => void,
  ) {}

  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  /** With room for so many bytes of entries; a new one if need be. */
  open(bytes: number, logged: boolean): WriteBuffer {
    let open = this.#open;
    if (open !== undefined && (open.logged !== logged || !open.hasRoom(bytes))) {
      this.close();
      open = undefined;
    }
    if (open === undefined) {
      open = this.#open = this.pool.take(bytes, logged);
      this.schedule();
    }
    return open;
  }

  close(): void {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    this.onClosed(open);
  }

  /** Asks for a call of `onTurnEnd`: no earlier than the end of the microtask queue, so that writers that were just resumed write before. */
  schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    whenWritesEnd(this.jobs, () => this.#open?.writeCount ?? 0, () => {
      this.#isScheduled = false;
      this.onTurnEnd();
    });
  }
}
