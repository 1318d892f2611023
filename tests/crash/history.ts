/**
 * What a program asked of a store and what it was promised, and from that which states a crash may leave.
 *
 * Writes have an order, the one in which they were issued. A crash may leave what every prefix of it leaves, as long as the
 * prefix has all that was promised: each `sync` write that was acknowledged, with everything before it. Writes that failed
 * are no part of it, unless nothing behind them was acknowledged: then they are in doubt, like those that were under way.
 *
 * `volatile` writes stand outside that order's promise: each change of each of them is there or not, whatever came before or
 * after it, but where a `flush` that came behind it was acknowledged.
 */
import type { StoreChange, WriteDurability } from "../../testing.ts";
import { Entries } from "../entries.ts";

/** `refused`: it failed, and the log never heard of it. */
export type Outcome = "pending" | "acknowledged" | "failed" | "refused";

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
  /** Logged writes that are promised to be there: those before this place in the order. */
  #promised = 0;
  /** The same for volatile ones. */
  #flushed = 0;
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

  /** Every logged write up to this one is there from now on. */
  promiseUpTo(write: Write | undefined): void {
    if (write === undefined) return;
    this.#promised = Math.max(this.#promised, this.#writes.indexOf(write) + 1);
  }

  /** Every write up to this one is there from now on, volatile ones too. */
  flushedUpTo(write: Write | undefined): void {
    if (write === undefined) return;
    this.promiseUpTo(write);
    this.#flushed = Math.max(this.#flushed, this.#writes.indexOf(write) + 1);
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
    const lastAcknowledged = this.#writes.findLastIndex(({ outcome, durability }) =>
      outcome === "acknowledged" && durability !== "volatile"
    );
    // A sync that was acknowledged promises nothing about writes before it that failed.
    const logged = [...this.#writes.entries()].filter(([index, { outcome, durability }]) =>
      durability !== "volatile" && outcome !== "refused" &&
      (outcome !== "failed" || index > lastAcknowledged)
    );
    const promised = 1 +
      logged.findLastIndex(([index, { outcome }]) =>
        outcome === "acknowledged" && index < this.#promised
      );
    const reasons: string[] = [];
    for (let count = logged.length; count >= promised; count--) {
      const kept = new Set(logged.slice(0, count).map(([, write]) => write));
      const left = this.#left(found, kept);
      if (typeof left !== "string") return this.#restart(left, ({ name }) => found.has(name));
      reasons.push(`the first ${count}: ${left}`);
    }
    throw new Error(
      `no prefix of the ${logged.length} logged writes (${promised} of them promised) leaves ` +
        `${show(found)}; ${reasons.slice(0, 3).join("; ")}`,
    );
  }

  /** What exactly these of the logged writes left, where that is what was found; otherwise why it cannot be. */
  #left(found: State, kept: ReadonlySet<Write>): Map<number, Entries> | string {
    const tables = new Map<number, Entries>();
    for (const [family, { name }] of this.families.entries()) {
      const entries = found.get(name);
      if (entries === undefined || this.#lastLife(name) !== family) continue;
      const table = new Entries();
      tables.set(family, table);
      const keys = new Set([...entries.keys(), ...this.#base.get(family)!.keys()]);
      for (const { changes } of this.#writes) {
        for (const change of changes) {
          if (change.family === family && "key" in change) keys.add(change.key);
        }
      }
      for (const key of keys) {
        const allowed = this.#allowed(family, key, kept);
        const value = entries.get(key);
        const chosen = allowed.get(value);
        if (chosen === undefined) {
          const choices = [...allowed.keys()].map(shortened).join(" or ");
          return `${name}/${key} is ${shortened(value)}, and would be ${choices}`;
        }
        table.take(key, chosen);
      }
    }
    return tables;
  }

  /**
   * What readers may see of a key when exactly these of the logged writes are there: each volatile change is there or not, and
   * one that was flushed is. Two outcomes that look the same now do so for ever: every value is of one write.
   */
  #allowed(
    family: number,
    key: string,
    kept: ReadonlySet<Write>,
  ): Map<string | undefined, Entries> {
    const time = this.now();
    const base = new Entries();
    base.take(key, this.#base.get(family)!);
    let allowed = new Map([[base.visible(time).get(key), base]]);
    for (const [index, write] of this.#writes.entries()) {
      const isVolatile = write.durability === "volatile";
      if (isVolatile ? isOut(write.outcome) : !kept.has(write)) continue;
      const isThere = !isVolatile || index < this.#flushed && write.outcome === "acknowledged";
      for (const change of write.changes) {
        if (change.family !== family || !concerns(change, key)) continue;
        const next: typeof allowed = new Map(isThere ? [] : allowed);
        for (const entries of allowed.values()) {
          const changed = new Entries(entries);
          applyChange(changed, change, write.expiry);
          next.set(changed.visible(time).get(key), changed);
        }
        allowed = next;
      }
    }
    return allowed;
  }

  #lastLife(name: string): number {
    return this.families.findLastIndex((family) => family.name === name);
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
    this.#flushed = 0;
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
  for (const change of changes) applyChange(tables.get(change.family)!, change, expiry);
}

function concerns(change: Change, key: string): boolean {
  if (change.type !== "deleteRange") return change.key === key;
  return key >= change.from && (change.to === undefined || key < change.to);
}

function applyChange(entries: Entries, change: Change, expiry: number): void {
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
      entries.deleteWhere((key) => concerns(change, key));
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

/** The writes that a value is of. */
function shortened(value: string | undefined): string {
  if (value === undefined) return "missing";
  return [...value.matchAll(/(\d{1,9}):/g)].map(([, write]) => write).join("+");
}

export function show(state: State): string {
  const lines = [...state].map(([name, entries]) => {
    const shown = [...entries].map(([key, value]) => `${key}=${shortened(value)}`);
    return `${name}{${shown.join(" ")}}`;
  });
  return lines.join(" ");
}

/** Whether no reader ever saw the write. */
function isOut(outcome: Outcome): boolean {
  return outcome === "failed" || outcome === "refused";
}
