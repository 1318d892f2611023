/**
 * Long merge chains of JavaScript operators, folded for compactions with what the handles of this Worker were opened with.
 *
 * Promises: the user's code runs from the microtask queue, never inside a call or a stage of the engine; no thread blocks
 * for an operator. What is not folded stays as it is, and nothing is lost by that.
 */
import type { Jobs } from "../native/jobs.ts";
import { Signal } from "../native/signal.ts";
import type { Task } from "../native/task.ts";
import { foldStack, type Merging } from "../read/merging.ts";
import type { ChainFold } from "../tree/compaction.ts";

/** A chain whose turn is yet to come. */
interface Waiting {
  readonly ended: Signal;
  value: Uint8Array | undefined;
}

export class ChainFolding {
  /** By family; `undefined` where handles read the same bytes in different ways. */
  readonly #mergings = new Map<number, Merging | undefined>();
  readonly #waiting = new Set<Waiting>();

  constructor(jobs: Jobs) {
    // A thread that blocks with nothing under way may wait for the very compaction that waits for the operator.
    jobs.onDrive(() => {
      if (jobs.outstanding === 0) this.#giveUp();
    });
  }

  /** A handle on the family was opened with this. Operators of one name are one operator; the newest function is used. */
  offer(family: number, merging: Merging): void {
    if (merging.encodings === undefined) return;
    const known = this.#mergings.get(family)?.encodings;
    const { key, value } = merging.encodings;
    const agrees = known === undefined
      ? !this.#mergings.has(family)
      : known.key === key && known.value === value;
    this.#mergings.set(family, agrees ? merging : undefined);
  }

  /** How compactions fold the chains of a family, if anybody here can. */
  of(family: number): ChainFold | undefined {
    const merging = this.#mergings.get(family);
    if (merging === undefined) return undefined;
    return (key, stack) => this.#fold(merging, key, stack);
  }

  *#fold(
    merging: Merging,
    key: Uint8Array,
    stack: Uint8Array,
  ): Task<Uint8Array | undefined> {
    const waiting: Waiting = { ended: new Signal(), value: undefined };
    this.#waiting.add(waiting);
    queueMicrotask(() => {
      if (waiting.ended.ready) return;
      const value = attempt(merging, key, stack);
      // The operator may have called what blocks, and the compaction have gone on.
      if (waiting.ended.ready) return;
      waiting.value = value;
      this.#waiting.delete(waiting);
      waiting.ended.set();
    });
    yield waiting.ended;
    return waiting.value;
  }

  /** Whatever waits stays as it is. */
  #giveUp(): void {
    for (const waiting of [...this.#waiting]) {
      this.#waiting.delete(waiting);
      waiting.ended.set();
    }
  }
}

/** Whatever the operator throws, it throws again when the key is read: there it has somebody to be told. */
function attempt(merging: Merging, key: Uint8Array, stack: Uint8Array): Uint8Array | undefined {
  try {
    return foldStack(merging, key, stack);
  } catch {
    return undefined;
  }
}
