/**
 * What a program asked of a store and what it was promised, and from that which states a crash may leave.
 *
 * Writes have an order, the one in which they were issued. A crash may leave what every prefix of it leaves, as long as the
 * prefix has all that was promised: each `sync` write that was acknowledged, with everything before it. Writes that failed
 * are no part of it, unless nothing behind them was acknowledged: then they are in doubt, like those that were under way.
 */
import type { StoreChange, WriteDurability } from "../../testing.ts";
import { Entries } from "../entries.ts";

export type Outcome = "pending" | "acknowledged" | "failed";

/** A family is an incarnation: one of the same name made later is another. */
export type Change =
  & { readonly family: number }
  & (
    | { readonly type: "put"; readonly key: string; readonly value: string }
    | { readonly type: "delete"; readonly key: string }
    | { readonly type: "merge"; readonly key: string; readonly value: string }
    | { readonly type: "deleteRange"; readonly from: string; readonly to: string | undefined }
  );

export interface Write {
  readonly changes: readonly Change[];
  /** When its puts expire. */
  readonly expiry: number;
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
  #base: Map<number, Entries> = new Map([[0, new Entries()]]);
  #writes: Write[] = [];
  /** Writes that are promised to be there. */
  #promised = 0;
  #values = 0;

  /** `now`: the time that the store sees. */
  constructor(readonly now: () => number) {}

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
    this.#base.set(this.families.push(family) - 1, new Entries());
    return family;
  }

  /** Values are all different, and say which write they are of. */
  write(changes: readonly StoreChange[], durability: WriteDurability, expiry = Infinity): Write {
    const write: Write = {
      changes: changes.flatMap((change) => {
        const family = this.alive(change.family);
        return family === undefined ? [] : [{ family, ...this.#changeOf(change) }];
      }),
      expiry,
      durability,
      outcome: "pending",
    };
    this.#writes.push(write);
    return write;
  }

  #changeOf(change: StoreChange) {
    if ("from" in change) {
      return { type: "deleteRange" as const, from: change.from, to: change.to };
    }
    const { key } = change;
    if ("operandBytes" in change) {
      return { type: "merge" as const, key, value: this.#value(change.operandBytes) };
    }
    return change.bytes === undefined
      ? { type: "delete" as const, key }
      : { type: "put" as const, key, value: this.#value(change.bytes) };
  }

  #value(bytes: number): string {
    return `${++this.#values}:`.padEnd(bytes, "x");
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
      if (isSame(this.#named(tables, exists), found)) return this.#restart(tables, exists);
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

  #restart(tables: ReadonlyMap<number, Entries>, exists: (family: FamilyLife) => boolean): void {
    const alive = [...this.#shown(exists)].map(([name, index]) => ({
      name,
      entries: tables.get(index)!,
    }));
    alive.sort((a, b) => Number(b.name === "default") - Number(a.name === "default"));
    this.families.splice(0);
    this.#base = new Map();
    for (const { name, entries } of alive) {
      const index = this.families.push({ name, created: "acknowledged", dropped: undefined }) - 1;
      this.#base.set(index, new Entries(entries));
    }
    this.#writes = [];
    this.#promised = 0;
  }

  #copyBase(): Map<number, Entries> {
    return new Map([...this.#base].map(([family, entries]) => [family, new Entries(entries)]));
  }

  /** The last life of each name, where it is to be shown. */
  #shown(isShown: (family: FamilyLife) => boolean): Map<string, number> {
    const shown = new Map<string, number>();
    for (const [index, family] of this.families.entries()) {
      if (isShown(family)) shown.set(family.name, index);
      else shown.delete(family.name);
    }
    return shown;
  }

  /** What readers see of them. */
  #named(tables: Map<number, Entries>, isShown: (family: FamilyLife) => boolean): State {
    const time = this.now();
    return new Map(
      [...this.#shown(isShown)].map(([name, index]) => [name, tables.get(index)!.visible(time)]),
    );
  }
}

function apply(tables: Map<number, Entries>, { changes, expiry }: Write): void {
  for (const change of changes) {
    const entries = tables.get(change.family)!;
    switch (change.type) {
      case "put":
        entries.put(change.key, change.value, expiry);
        break;
      case "delete":
        entries.delete(change.key);
        break;
      case "merge":
        entries.merge(change.key, change.value);
        break;
      case "deleteRange":
        entries.deleteWhere((key) =>
          key >= change.from && (change.to === undefined || key < change.to)
        );
    }
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
      `${key}=${[...value.matchAll(/(?<!\d)(\d+):/g)].map(([, write]) => write).join("+")}`
    );
    return `${name}{${shown.join(" ")}}`;
  });
  return lines.join(" ");
}
