/**
 * What a family must hold after any sequence of operations, kept in the plainest way there is: a map that remembers of each key
 * the value, when it expires, and what was merged onto it.
 */

interface Entry {
  readonly base: string | undefined;
  /** From then on there is no base, in milliseconds since 1970. */
  readonly expiry: number;
  /** Oldest first. */
  readonly operands: readonly string[];
}

export class Entries {
  readonly #entries: Map<string, Entry>;

  constructor(from?: Entries) {
    this.#entries = new Map(from === undefined ? [] : from.#entries);
  }

  put(key: string, value: string, expiry = Infinity): void {
    this.#entries.set(key, { base: value, expiry, operands: [] });
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  merge(key: string, operand: string): void {
    const { base, expiry, operands } = this.#entries.get(key) ??
      { base: undefined, expiry: Infinity, operands: [] };
    this.#entries.set(key, { base, expiry, operands: [...operands, operand] });
  }

  /** Deletes the keys for which `isWithin` says so. */
  deleteWhere(isWithin: (key: string) => boolean): void {
    for (const key of this.#entries.keys()) if (isWithin(key)) this.#entries.delete(key);
  }

  keys(): Iterable<string> {
    return this.#entries.keys();
  }

  /** Puts a key as it is in others in its place. REQUIRES: the key is not here. */
  take(key: string, others: Entries): void {
    const entry = others.#entries.get(key);
    if (entry !== undefined) this.#entries.set(key, entry);
  }

  /** What readers see at a moment, in no order. Merging is joining. */
  visible(time: number): Map<string, string> {
    const visible = new Map<string, string>();
    for (const [key, { base, expiry, operands }] of this.#entries) {
      const stands = base !== undefined && time < expiry;
      if (stands || operands.length > 0) visible.set(key, (stands ? base : "") + operands.join(""));
    }
    return visible;
  }
}

/** Operators by which strings are joined: the library's, and one of the user's own. */
export const JOINING = {
  native: "append",
  custom: {
    name: "join",
    merge: (_key: string, existing: string | undefined, operands: string[]): string =>
      (existing ?? "") + operands.join(""),
  },
} as const;
