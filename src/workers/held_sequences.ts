/**
 * The sequence numbers that a Worker holds on to: its snapshots', its slow reads', and the one that its reads of this moment use. They
 * lie in a region that the host reads when a flush or a compaction begins.
 */
import { disownRegion, type Region, region, reserveRegion } from "../native/region.ts";
import { VarveError } from "../base/errors.ts";
import type { Visibility } from "../commit/visibility.ts";
import type { SlotWords } from "./core_words.ts";

/** Room for that many different numbers: what a snapshot takes is far less than what it costs the tree. */
const HELD_COUNT_MAX = 8192;
const READING = 0;

export class HeldSequences {
  readonly #region: Region;
  readonly #slot: SlotWords;
  /** Sequence number → its place, and how many hold it. */
  readonly #held = new Map<number, { readonly place: number; count: number }>();
  readonly #free: number[] = [];
  #used = READING + 1;
  #clearing = false;

  constructor(slot: SlotWords, readonly visibility: Visibility) {
    this.#slot = slot;
    this.#region = reserveRegion(HELD_COUNT_MAX * 8);
    this.#region.f64.fill(0);
    disownRegion(this.#region.id); // the library releases it with the slot
    slot.store(slot.heldRegion, this.#region.id);
  }

  /**
   * The newest number that this Worker may read at. Until the end of this turn of the event loop no flush leaves out what it sees: it
   * is noted first, and what was visible afterwards is what it was.
   */
  get visible(): number {
    const { f64 } = this.#region;
    for (;;) {
      const sequence = this.visibility.visible;
      f64[READING] = sequence;
      this.#slot.store(this.#slot.heldCount, this.#used);
      if (this.visibility.visible !== sequence) continue;
      if (!this.#clearing) this.#clearLater();
      return sequence;
    }
  }

  /** REQUIRES: `sequence` was `visible` in this turn of the event loop, or is held. */
  hold(sequence: number): void {
    const held = this.#held.get(sequence);
    if (held !== undefined) {
      held.count++;
      return;
    }
    const place = this.#free.pop() ?? this.#used;
    if (place === HELD_COUNT_MAX) {
      throw new VarveError("ERR_IO", `Cannot hold more than ${HELD_COUNT_MAX} snapshots`);
    }
    if (place === this.#used) this.#used++;
    this.#region.f64[place] = sequence;
    this.#slot.store(this.#slot.heldCount, this.#used);
    this.#held.set(sequence, { place, count: 1 });
  }

  release(sequence: number): void {
    const held = this.#held.get(sequence)!;
    if (--held.count > 0) return;
    this.#held.delete(sequence);
    this.#region.f64[held.place] = 0;
    this.#free.push(held.place);
  }

  #clearLater(): void {
    this.#clearing = true;
    queueMicrotask(() => {
      this.#clearing = false;
      this.#region.f64[READING] = 0;
    });
  }
}

/** What a slot's Worker holds, as the host sees it. */
export function heldBy(slot: SlotWords): number[] {
  const id = slot.load(slot.heldRegion);
  if (id === 0) return [];
  const count = Math.min(slot.load(slot.heldCount), HELD_COUNT_MAX);
  return [...region(id).f64.subarray(0, count)].filter((sequence) => sequence !== 0);
}
