/**
 * What a program asked of a store and what it was promised, and from that which states a crash may leave.
 *
 * Writes have an order, the one in which they were issued. A crash may leave what every prefix of it leaves, as long as the
 * prefix has all that was promised: each `sync` write that was acknowledged, with everything before it. Writes that failed
 * are no part of it, unless nothing behind them was acknowledged: then they are in doubt, like those that were under way.
 */
import type { KeyChange, WriteDurability } from "../../testing.ts";

export type Outcome = "pending" | "acknowledged" | "failed";

export interface Write {
  /** Family, key, and the value or its absence. A family is an incarnation: one of the same name made later is another. */
  readonly changes: readonly { family: number; key: string; value: string | undefined }[];
  readonly durability: WriteDurability;
  outcome: Outcome;
}

interface FamilyLife {
  readonly name: string;
  created: Outcome;
  dropped: Outcome | undefined;
}

/** Family name → key → value. */
export type State = Map<string, Map<string, string>>;

export class History {
  /** Families by incarnation; the first is `"default"`. */
  readonly families: FamilyLife[] = [
    { name: "default", created: "acknowledged", dropped: undefined },
  ];
  #base: Map<number, Map<string, string>> = new Map([[0, new Map()]]);
  #writes: Write[] = [];
  /** Writes that are promised to be there. */
  #promised = 0;
  #values = 0;

  /** The incarnation that a name stands for now. */
  alive(name: string): number | undefined {
    const index = this.families.findLastIndex((family) => family.name === name);
    if (index < 0) return undefined;
    const { created, dropped } = this.families[index];
    return created === "acknowledged" && dropped === undefined ? index : undefined;
  }

  /** Whether a drop failed: nobody knows whether the family is still there. */
  inDoubt(name: string): boolean {
    return this.families.findLast((family) => family.name === name)?.dropped === "pending";
  }

  create(name: string): FamilyLife {
    const family: FamilyLife = { name, created: "pending", dropped: undefined };
    this.#base.set(this.families.push(family) - 1, new Map());
    return family;
  }

  /** Values are all different, and say which write they are of. */
  write(changes: readonly KeyChange[], durability: WriteDurability): Write {
    const write: Write = {
      changes: changes.flatMap(({ family, key, bytes }) => {
        const index = this.alive(family);
        if (index === undefined) return [];
        const value = bytes === undefined ? undefined : `${++this.#values}:`.padEnd(bytes, "x");
        return [{ family: index, key, value }];
      }),
      durability,
      outcome: "pending",
    };
    this.#writes.push(write);
    return write;
  }

  /** A write ended. */
  settle(write: Write, outcome: Outcome): void {
    write.outcome = outcome;
    if (outcome === "acknowledged" && write.durability === "sync") this.promiseUpTo(write);
  }

  promiseUpTo(write: Write | undefined): void {
    if (write === undefined) return;
    this.#promised = Math.max(this.#promised, this.#writes.indexOf(write) + 1);
  }

  /** The last write that was issued. */
  get last(): Write | undefined {
    return this.#writes.at(-1);
  }

  /** What readers see: everything acknowledged. REQUIRES: nothing is pending. */
  visible(): State {
    const tables = this.#copyBase();
    for (const write of this.#writes) if (write.outcome === "acknowledged") apply(tables, write);
    return this.#named(
      tables,
      (family) => family.created === "acknowledged" && family.dropped !== "acknowledged",
    );
  }

  /**
   * Checks what a crash left, and goes on from there. Throws if it is no state that the promises allow.
   */
  recovered(found: State): void {
    this.#checkFamilies(found);
    const lastAcknowledged = this.#writes.findLastIndex(({ outcome }) =>
      outcome === "acknowledged"
    );
    const tables = this.#copyBase();
    const counted = this.#writes.filter(({ outcome }, index) =>
      outcome !== "failed" || index > lastAcknowledged
    );
    // A sync that was acknowledged promises nothing about writes before it that failed.
    const promised = 1 +
      counted.findLastIndex((write) =>
        write.outcome === "acknowledged" && this.#writes.indexOf(write) < this.#promised
      );
    const exists = ({ name }: FamilyLife): boolean => found.has(name);
    for (let count = 0; count <= counted.length; count++) {
      if (count > 0) apply(tables, counted[count - 1]);
      if (count < promised) continue;
      if (isSame(this.#named(tables, exists), found)) return this.#restart(found);
    }
    throw new Error(
      `no prefix of the ${counted.length} writes (${promised} of them promised) leaves ${
        show(found)
      }; ` +
        `all of them leave ${show(this.#named(tables, exists))}`,
    );
  }

  /** Families that were promised are there, dropped ones are not, and no others. */
  #checkFamilies(found: State): void {
    for (const name of new Set([...found.keys(), ...this.families.map((family) => family.name)])) {
      const lives = this.families.filter((family) => family.name === name);
      const last = lives.at(-1);
      const must = last !== undefined && last.created === "acknowledged" &&
        last.dropped === undefined;
      const may = last !== undefined && last.dropped !== "acknowledged";
      if (must && !found.has(name)) throw new Error(`column family '${name}' is lost`);
      if (!may && found.has(name)) throw new Error(`column family '${name}' came back`);
    }
  }

  #restart(found: State): void {
    const alive = [...found].map(([name, entries]) => ({ name, entries }));
    alive.sort((a, b) => Number(b.name === "default") - Number(a.name === "default"));
    this.families.splice(0);
    this.#base = new Map();
    for (const { name, entries } of alive) {
      const index = this.families.push({ name, created: "acknowledged", dropped: undefined }) - 1;
      this.#base.set(index, new Map(entries));
    }
    this.#writes = [];
    this.#promised = 0;
  }

  #copyBase(): Map<number, Map<string, string>> {
    return new Map([...this.#base].map(([family, entries]) => [family, new Map(entries)]));
  }

  /** The last life of each name, where it is to be shown. */
  #named(tables: Map<number, Map<string, string>>, shown: (family: FamilyLife) => boolean): State {
    const state: State = new Map();
    for (const [index, family] of this.families.entries()) {
      if (shown(family)) state.set(family.name, tables.get(index)!);
      else state.delete(family.name);
    }
    return state;
  }
}

function apply(tables: Map<number, Map<string, string>>, { changes }: Write): void {
  for (const { family, key, value } of changes) {
    if (value === undefined) tables.get(family)!.delete(key);
    else tables.get(family)!.set(key, value);
  }
}

export function isSame(a: State, b: State): boolean {
  if (a.size !== b.size) return false;
  for (const [name, entries] of a) {
    const others = b.get(name);
    if (others === undefined || others.size !== entries.size) return false;
    for (const [key, value] of entries) if (others.get(key) !== value) return false;
  }
  return true;
}

export function show(state: State): string {
  const lines = [...state].map(([name, entries]) => {
    const shown = [...entries].map(([key, value]) =>
      `${key}=${value.slice(0, value.indexOf(":"))}`
    );
    return `${name}{${shown.join(" ")}}`;
  });
  return lines.join(" ");
}
