/**
 * A store against a model of it, one map per family: the same random steps must give the same answers, whatever the options.
 * The steps come from a seed; each option set draws the same ones.
 */
import assert from "node:assert/strict";
import {
  type ColumnFamily,
  type ColumnFamilyOptions,
  type CustomMergeOperator,
  type Durability,
  type OpenOptions,
  type Range,
  type Snapshot,
  Varve,
} from "../../mod.ts";
import type { SimulatedDisk } from "../../testing.ts";
import { soon } from "../api/support.ts";
import { Entries } from "../entries.ts";

type Family = ColumnFamily<string, string, string, string>;
type Content = Map<string, string>;

const FAMILY_NAMES = ["default", "users", "../x"];
const UTF8 = { keyEncoding: "utf8", valueEncoding: "utf8" } as const;
const JOIN: CustomMergeOperator<string, string> = {
  name: "join",
  merge: (_key, existing, operands) => (existing ?? "") + operands.join(""),
};

/** Both operators join; one of them does it in JavaScript. */
function optionsOf(name: string): ColumnFamilyOptions<"utf8", "utf8"> {
  return { ...UTF8, mergeOperator: name === "users" ? JOIN : "append" };
}

/** mulberry32: one number in [0, 1) after the other, the same for the same seed. */
function randomness(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** UTF-8 order, which is the order of code points. */
function compare(a: string, b: string): number {
  const left = new TextEncoder().encode(a);
  const right = new TextEncoder().encode(b);
  for (let index = 0; index < Math.min(left.length, right.length); index++) {
    if (left[index] !== right[index]) return left[index] - right[index];
  }
  return left.length - right.length;
}

function inRange(key: string, { gt, gte, lt, lte, prefix }: Range<string>): boolean {
  return (gt === undefined || compare(key, gt) > 0) &&
    (gte === undefined || compare(key, gte) >= 0) &&
    (lt === undefined || compare(key, lt) < 0) &&
    (lte === undefined || compare(key, lte) <= 0) &&
    (prefix === undefined || key.startsWith(prefix));
}

function expectedRows(content: Content, range: Range<string>): [string, string][] {
  const rows = [...content].filter(([key]) => inRange(key, range))
    .sort(([a], [b]) => compare(a, b));
  if (range.reverse) rows.reverse();
  return rows.slice(0, range.limit ?? rows.length);
}

interface View {
  readonly snapshot: Snapshot;
  readonly contents: ReadonlyMap<string, Content>;
}

export interface Case {
  readonly path: string;
  readonly options: OpenOptions;
  readonly durabilities: readonly Durability[];
  readonly seed: number;
  /** With a disk of its own, time moves when the steps say so, and entries expire; otherwise they live for hours. */
  readonly disk?: SimulatedDisk;
}

/** A store, its model, and the steps that both take. */
export class Run {
  readonly #random: () => number;
  readonly #entries = new Map<string, Entries>();
  readonly #families = new Map<string, Family>();
  #views: View[] = [];
  #db!: Varve;
  /** Writes that were issued and not awaited yet. */
  #pending: Promise<void>[] = [];
  steps = 0;

  constructor(readonly run: Case) {
    this.#random = randomness(run.seed);
    for (const name of FAMILY_NAMES) this.#entries.set(name, new Entries());
  }

  async open(): Promise<void> {
    this.#db = await this.#openAt(this.run.path);
    for (const name of FAMILY_NAMES) {
      this.#families.set(name, await this.#db.columnFamily(name, optionsOf(name)) as Family);
    }
  }

  #openAt(path: string): Promise<Varve> {
    const { options, disk } = this.run;
    return Varve.open(path, { ...options, ...optionsOf("default"), disk }) as Promise<Varve>;
  }

  async close(): Promise<void> {
    this.#endViews();
    if (this.#below(2) === 0) this.#db.closeSync();
    else await soon(this.#db.close(), "close");
    await this.#settle();
  }

  async step(): Promise<void> {
    this.steps++;
    const dice = this.#below(1_000);
    if (dice < 300) this.#put();
    else if (dice < 360) this.#delete();
    else if (dice < 460) this.#merge();
    else if (dice < 490) this.#deleteRange();
    else if (dice < 500) this.#wait();
    else if (dice < 600) this.#batch();
    else if (dice < 760) await this.#get();
    else if (dice < 880) await this.#iterate();
    else if (dice < 920) await this.#count();
    else if (dice < 945) this.#snapshot();
    else if (dice < 965) await soon(this.#db.flush(), "flush");
    else if (dice < 972) this.#db.flushSync();
    else if (dice < 980) await soon(this.#db.sync(), "sync");
    else if (dice < 984) this.#db.syncSync();
    else if (dice < 988) await this.#compact();
    else if (dice < 989) await this.#checkpoint();
    else if (dice < 994) await this.#recreate();
    else await this.#reopen();
    if (this.#pending.length > 32) await this.#settle();
  }

  /** Compares everything, and once more after an open. */
  async finish(): Promise<void> {
    await this.check();
    await this.close();
    await this.open();
    await this.check();
    await this.close();
  }

  /** Everything that is visible, compared. */
  async check(): Promise<void> {
    await this.#settle();
    for (const [name, content] of this.#contents()) {
      const expected = expectedRows(content, {});
      assert.deepEqual([...this.#family(name).entries()], expected, name);
      assert.deepEqual(
        [...this.#family(name).entries({ reverse: true })],
        expected.toReversed(),
        name,
      );
    }
    await soon(this.#db.verify(), "verify");
  }

  #put(): void {
    const [name, key, value] = [this.#name(), this.#key(), this.#value()];
    const ttl = this.#below(4) === 0 ? this.#ttl() : undefined;
    this.#entries.get(name)!.put(key, value, ttl === undefined ? Infinity : this.#now() + ttl);
    const family = this.#family(name);
    const options = { ...this.#durability(), ttl };
    if (this.#below(8) === 0) family.putSync(key, value, options);
    else this.#issue(family.put(key, value, options));
  }

  #delete(): void {
    const [name, key] = [this.#name(), this.#key()];
    this.#entries.get(name)!.delete(key);
    const family = this.#family(name);
    if (this.#below(8) === 0) family.deleteSync(key, this.#durability());
    else this.#issue(family.delete(key, this.#durability()));
  }

  #merge(): void {
    const [name, key] = [this.#name(), this.#key()];
    const operand = `${this.steps},`.padEnd(this.#below(40), "m");
    this.#entries.get(name)!.merge(key, operand);
    const family = this.#family(name);
    if (this.#below(8) === 0) family.mergeSync(key, operand, this.#durability());
    else this.#issue(family.merge(key, operand, this.#durability()));
  }

  #deleteRange(): void {
    const name = this.#name();
    const range = this.#span();
    this.#entries.get(name)!.deleteWhere((key) => inRange(key, range));
    const family = this.#family(name);
    if (this.#below(8) === 0) family.deleteRangeSync(range, this.#durability());
    else this.#issue(family.deleteRange(range, this.#durability()));
  }

  #batch(): void {
    const batch = this.#db.batch();
    for (let left = this.#below(20); left > 0; left--) {
      const [name, key] = [this.#name(), this.#key()];
      const entries = this.#entries.get(name)!;
      const family = this.#family(name);
      const dice = this.#below(16);
      if (dice < 4) {
        batch.delete(family, key);
        entries.delete(key);
      } else if (dice < 6) {
        batch.merge(family, key, `${dice},`);
        entries.merge(key, `${dice},`);
      } else if (dice < 7) {
        const range = this.#span();
        batch.deleteRange(family, range);
        entries.deleteWhere((other) => inRange(other, range));
      } else {
        const value = this.#value();
        batch.put(family, key, value);
        entries.put(key, value);
      }
    }
    if (this.#below(8) === 0) batch.writeSync(this.#durability());
    else this.#issue(batch.write(this.#durability()));
  }

  /** Entries expire. What was written before was given its time at the call. */
  #wait(): void {
    const { disk } = this.run;
    if (disk !== undefined) disk.clock += this.#below(40);
  }

  #ttl(): number {
    return this.run.disk === undefined ? 3_600_000 : 1 + this.#below(200);
  }

  /** The model's clock: nobody else's moves where it matters. */
  #now(): number {
    return this.run.disk?.clock ?? 0;
  }

  async #get(): Promise<void> {
    await this.#settle();
    const { options, contents } = this.#view();
    const name = this.#name();
    const family = this.#family(name);
    const keys = Array.from({ length: 1 + this.#below(4) }, () => this.#key());
    const expected = keys.map((key) => contents.get(name)!.get(key));
    assert.deepEqual(await soon(family.getMany(keys, options), "getMany"), expected);
    assert.deepEqual(family.getManySync(keys, options), expected);
    assert.equal(await soon(family.get(keys[0], options), "get"), expected[0]);
    assert.equal(family.getSync(keys[0], options), expected[0]);
    assert.equal(await soon(family.has(keys[0], options), "has"), expected[0] !== undefined);
    assert.equal(family.hasSync(keys[0], options), expected[0] !== undefined);
  }

  async #iterate(): Promise<void> {
    await this.#settle();
    const { options, contents } = this.#view();
    const name = this.#name();
    const range = { ...this.#range(), ...options };
    const expected = expectedRows(contents.get(name)!, range);
    const rows = this.#family(name).entries(range);
    const told = `${name} ${JSON.stringify({ ...range, snapshot: undefined })}`;
    assert.deepEqual([...rows], expected, told);
    assert.deepEqual(await soon(Array.fromAsync(rows), "an iteration"), expected, told);
    assert.deepEqual([...this.#family(name).keys(range)], expected.map(([key]) => key), told);
  }

  async #count(): Promise<void> {
    await this.#settle();
    const { options, contents } = this.#view();
    const name = this.#name();
    const range = { ...this.#range(), ...options };
    const expected = expectedRows(contents.get(name)!, range).length;
    assert.equal(await soon(this.#family(name).count(range), "count"), expected);
    assert.equal(this.#family(name).countSync(range), expected);
  }

  #snapshot(): void {
    if (this.#views.length > 3) this.#views.shift()!.snapshot[Symbol.dispose]();
    // What is pending has been issued, not committed: a snapshot shows what was committed.
    this.#db.putSync("snapshot", "");
    this.#entries.get("default")!.put("snapshot", "");
    this.#views.push({ snapshot: this.#db.snapshot(), contents: this.#contents() });
  }

  async #compact(): Promise<void> {
    const range = this.#below(2) === 0 ? undefined : this.#span();
    await soon(this.#family(this.#name()).compact(range), "a compaction");
  }

  /** The copy has what the original has, and goes its own way. */
  async #checkpoint(): Promise<void> {
    await this.#settle();
    const path = `${this.run.path}-copy-${this.steps}`;
    await soon(this.#db.checkpoint(path), "a checkpoint");
    const copy = await this.#openAt(path);
    for (const [name, content] of this.#contents()) {
      const family = await copy.columnFamily(name, optionsOf(name)) as Family;
      assert.deepEqual([...family.entries()], expectedRows(content, {}), `the copy's ${name}`);
      await family.deleteRange({});
      await family.compact();
    }
    await copy.close();
    if (this.run.disk === undefined) await Varve.destroy(path);
  }

  async #recreate(): Promise<void> {
    await this.#settle();
    this.#endViews();
    const name = FAMILY_NAMES[1 + this.#below(FAMILY_NAMES.length - 1)];
    const old = this.#family(name);
    if (this.#below(2) === 0) {
      this.#db.dropColumnFamilySync(name);
      this.#families.set(name, this.#db.columnFamilySync(name, optionsOf(name)) as Family);
    } else {
      await soon(this.#db.dropColumnFamily(name), "a drop");
      const made = await soon(this.#db.columnFamily(name, optionsOf(name)), "a family");
      this.#families.set(name, made as Family);
    }
    assert.throws(() => old.getSync("k"), { code: "ERR_COLUMN_FAMILY_DROPPED" });
    this.#entries.set(name, new Entries());
  }

  async #reopen(): Promise<void> {
    await this.close();
    await this.open();
    await this.check();
  }

  #endViews(): void {
    for (const { snapshot } of this.#views.splice(0)) snapshot[Symbol.dispose]();
  }

  #issue(write: Promise<void>): void {
    write.catch(() => {}); // looked at when it is awaited
    this.#pending.push(write);
  }

  async #settle(): Promise<void> {
    await soon(Promise.all(this.#pending.splice(0)), "pending writes");
  }

  /** The present, or one of the snapshots. */
  #view(): { options?: { snapshot: Snapshot }; contents: ReadonlyMap<string, Content> } {
    const index = this.#below(2 * this.#views.length + 1);
    if (index >= this.#views.length) return { contents: this.#contents() };
    const { snapshot, contents } = this.#views[index];
    return { options: { snapshot }, contents };
  }

  /** What readers see now. */
  #contents(): ReadonlyMap<string, Content> {
    const now = this.#now();
    return new Map([...this.#entries].map(([name, entries]) => [name, entries.visible(now)]));
  }

  #below(bound: number): number {
    return Math.floor(this.#random() * bound);
  }

  #name(): string {
    return FAMILY_NAMES[this.#below(FAMILY_NAMES.length)];
  }

  #family(name: string): Family {
    return this.#families.get(name)!;
  }

  #key(): string {
    const index = this.#below(300);
    if (index === 0) return "";
    const group = ["a", "ab", "é", "\u{1f600}", "\uffff", "\0"][index % 6];
    return group + String(index).padStart(3, "0");
  }

  #value(): string {
    const dice = this.#below(100);
    if (dice < 4) return "";
    if (dice < 96) return `${this.steps}:`.padEnd(this.#below(300), "v");
    return `${this.steps}:`.padEnd(3_000 + this.#below(90_000), "w");
  }

  #durability(): { durability: Durability } {
    const { durabilities } = this.run;
    return { durability: durabilities[this.#below(durabilities.length)] };
  }

  #range(): Range<string> {
    const range = this.#bounds();
    if (this.#below(2) === 0) range.reverse = true;
    if (this.#below(3) === 0) range.limit = this.#below(20);
    return range;
  }

  /** Mostly a small part of the keys, so that something is left. */
  #span(): Range<string> {
    if (this.#below(8) === 0) return this.#bounds();
    const key = this.#key();
    return { gte: key, lt: key + "\u{10ffff}" };
  }

  #bounds(): Range<string> {
    const range: Range<string> = {};
    if (this.#below(3) === 0) range.gt = this.#key();
    if (this.#below(3) === 0) range.gte = this.#key();
    if (this.#below(3) === 0) range.lt = this.#key();
    if (this.#below(3) === 0) range.lte = this.#key();
    if (this.#below(4) === 0) range.prefix = this.#key().slice(0, this.#below(3));
    if (range.prefix !== undefined && !range.prefix.isWellFormed()) range.prefix = "\u{1f600}";
    return range;
  }
}
