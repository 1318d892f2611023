/**
 * What the engine has let go of and other Workers may still be reading: memtables, versions, old catalogs. Each goes when a
 * catalog without it has been published, and no Worker reads by an earlier one.
 */
import { WorkerState } from "../native/layout.gen.ts";
import type { Released } from "../tree/family.ts";
import type { CoreWords } from "./core_words.ts";

/** How long the last reader of an old catalog is waited for when the host leaves; reads hold on for microseconds. */
const LEAVE_MILLISECONDS = 1000;
const LOOK_MICROSECONDS = 100;

export class Retired {
  /** Not named any more from the next catalog on. */
  #next: Released[] = [];
  /** Oldest first: not named from this generation on. */
  #sealed: { readonly generation: number; readonly items: readonly Released[] }[] = [];
  #keeping = false;
  /** Named by the last catalog. */
  #kept: Released[] = [];

  constructor(readonly words: CoreWords) {}

  add(item: Released): void {
    (this.#keeping ? this.#kept : this.#next).push(item);
  }

  /** A catalog of this generation has been published. */
  seal(generation: number): void {
    if (this.#next.length === 0) return;
    this.#sealed.push({ generation, items: this.#next });
    this.#next = [];
  }

  /** Releases what nobody can be reading. */
  sweep(): void {
    while (this.#sealed.length > 0 && !this.#isRead(this.#sealed[0].generation)) {
      for (const item of this.#sealed.shift()!.items) item.release();
    }
  }

  /** What comes from now on is named by the last catalog. */
  keep(): void {
    this.#keeping = true;
  }

  /** Nobody else is there. */
  releaseAll(): void {
    for (const { items } of this.#sealed.splice(0)) for (const item of items) item.release();
    for (const item of [...this.#next.splice(0), ...this.#kept.splice(0)]) item.release();
  }

  /** Leaves what the last catalog names to the next host, and releases the rest. */
  leave(): void {
    const deadline = performance.now() + LEAVE_MILLISECONDS;
    for (this.sweep(); this.#sealed.length > 0 && performance.now() < deadline; this.sweep()) {
      const { news } = this.words.slot(0);
      this.words.wait(news, Atomics.load(this.words.u32, news), LOOK_MICROSECONDS);
    }
    this.#kept.length = 0;
  }

  /** Whether somebody reads by a catalog before this generation. Who has died reads no more. */
  #isRead(generation: number): boolean {
    for (const index of this.words.occupied()) {
      const slot = this.words.slot(index);
      const pinned = slot.load(slot.pinned);
      if (pinned !== 0 && ((generation - pinned) | 0) > 0 && slot.state === WorkerState.alive) {
        return true;
      }
    }
    return false;
  }
}
