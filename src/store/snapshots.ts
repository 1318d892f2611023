/** The sequence numbers that snapshots hold on to: versions they can see are kept by flushes and compactions. */
export class Snapshots {
  /** Sequence number → how many snapshots hold it. */
  readonly #held = new Map<number, number>();

  hold(sequence: number): void {
    this.#held.set(sequence, (this.#held.get(sequence) ?? 0) + 1);
  }

  release(sequence: number): void {
    const count = this.#held.get(sequence)! - 1;
    if (count === 0) this.#held.delete(sequence);
    else this.#held.set(sequence, count);
  }

  /** What other Workers hold; in no order. */
  others: () => number[] = () => [];

  /** Ascending. */
  sequences(): number[] {
    const all = new Set([...this.#held.keys(), ...this.others()]);
    return [...all].sort((a, b) => a - b);
  }
}
