/**
 * The sequence numbers that a process shares: the next one to give, and the last one that readers may see.
 *
 * The visible number changes while it is read, so it is three words: the writer stores high-first, low, high-last, a reader
 * loads them the other way round and starts again when the highs differ. High words only grow, so equal ones prove
 * that the low word belongs to them.
 */
import { sequenceHigh, sequenceLow, sequenceOf } from "../base/sequence.ts";
import { StoreShared } from "../native/layout.gen.ts";
import type { Region } from "../native/region.ts";

const HIGH_FIRST = StoreShared.visibleHighFirst >> 2;
const LOW = StoreShared.visibleLow >> 2;
const HIGH_LAST = StoreShared.visibleHighLast >> 2;
const NEXT = StoreShared.nextSequence >> 3;

export class Visibility {
  readonly #u32: Uint32Array<ArrayBuffer>;
  readonly #f64: Float64Array<ArrayBuffer>;
  /** A high word that was seen with its low one. */
  #high = -1;

  constructor(shared: Region) {
    this.#u32 = shared.u32;
    this.#f64 = shared.f64;
  }

  /** The newest sequence number that a reader may see. */
  get visible(): number {
    const low = Atomics.load(this.#u32, LOW);
    // An atomic load takes 10 to 20 ns. The first high word is written before a low one that needs it: as long as it is what it was,
    // so is the low word's.
    if (this.#u32[HIGH_FIRST] === this.#high) return sequenceOf(this.#high, low);
    return this.#lookUp();
  }

  #lookUp(): number {
    for (;;) {
      const high = Atomics.load(this.#u32, HIGH_LAST);
      const low = Atomics.load(this.#u32, LOW);
      if (Atomics.load(this.#u32, HIGH_FIRST) !== high) continue;
      this.#high = high;
      return sequenceOf(high, low);
    }
  }

  /** The same after the death of whoever published: one that died in between leaves what is never equal. */
  get lastKnown(): number {
    const high = Atomics.load(this.#u32, HIGH_LAST);
    const whole = Atomics.load(this.#u32, HIGH_FIRST) === high;
    return whole ? this.visible : this.lastGiven;
  }

  /** Lets readers see everything up to a number. */
  publish(sequence: number): void {
    const high = sequenceHigh(sequence);
    Atomics.store(this.#u32, HIGH_FIRST, high);
    Atomics.store(this.#u32, LOW, sequenceLow(sequence));
    Atomics.store(this.#u32, HIGH_LAST, high);
  }

  /** The last number that was given, to whatever became of it. */
  get lastGiven(): number {
    return this.#f64[NEXT] - 1;
  }

  /** Gives `count` numbers and returns the first. They are never given again. */
  give(count: number): number {
    const first = this.#f64[NEXT];
    this.#f64[NEXT] = first + count;
    return first;
  }

  /** Begins above what recovery found. Without `visible`, all of it can be seen. */
  restore(last: number, visible = last): void {
    this.#f64[NEXT] = last + 1;
    this.publish(visible);
  }
}
