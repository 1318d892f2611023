/**
 * A store against sorted maps, one per family: the same random steps must give the same answers, whatever the options.
 *
 * The steps come from one printed seed; `VARVE_SEED=… ` repeats a run, and each option set draws the same steps.
 */
import assert from "node:assert/strict";
import process from "node:process";
import {
  type ColumnFamily,
  type Durability,
  type OpenOptions,
  type Range,
  type Snapshot,
  Varve,
} from "../../mod.ts";
import { soon } from "../api/support.ts";
import { temporaryDirectory, test } from "../harness.ts";

type Family = ColumnFamily<string, string, string, string>;
type Content = Map<string, string>;

const SEED = Number(process.env.VARVE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const BUDGET_MILLISECONDS = 1_000;
const STEPS_MAX = 2_500;
const FAMILY_NAMES = ["default", "users", "../x"];
const UTF8 = { keyEncoding: "utf8", valueEncoding: "utf8" } as const;

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

/** A store, its model, and the steps that both take. */
class Run {
  readonly #random: () => number;
  readonly #contents = new Map<string, Content>();
  readonly #families = new Map<string, Family>();
  #views: View[] = [];
  #db!: Varve;
  /** Writes that were issued and not awaited yet. */
  #pending: Promise<void>[] = [];
  steps = 0;

  constructor(
    readonly path: string,
    readonly options: OpenOptions,
    readonly durabilities: readonly Durability[],
    seed: number,
  ) {
    this.#random = randomness(seed);
    for (const name of FAMILY_NAMES) this.#contents.set(name, new Map());
  }

  async open(): Promise<void> {
    this.#db = await Varve.open(this.path, this.options) as Varve;
    for (const name of FAMILY_NAMES) {
      this.#families.set(name, await this.#db.columnFamily(name, UTF8) as Family);
    }
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
    if (dice < 400) this.#put();
    else if (dice < 500) this.#delete();
    else if (dice < 600) this.#batch();
    else if (dice < 760) await this.#get();
    else if (dice < 880) await this.#iterate();
    else if (dice < 920) await this.#count();
    else if (dice < 945) this.#snapshot();
    else if (dice < 965) await soon(this.#db.flush(), "flush");
    else if (dice < 972) this.#db.flushSync();
    else if (dice < 980) await soon(this.#db.sync(), "sync");
    else if (dice < 985) this.#db.syncSync();
    else if (dice < 993) await this.#recreate();
    else await this.#reopen();
    if (this.#pending.length > 32) await this.#settle();
  }

  /** Everything that is visible, compared. */
  async check(): Promise<void> {
    await this.#settle();
    for (const [name, content] of this.#contents) {
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
    this.#contents.get(name)!.set(key, value);
    const family = this.#family(name);
    if (this.#below(8) === 0) family.putSync(key, value, this.#durability());
    else this.#issue(family.put(key, value, this.#durability()));
  }

  #delete(): void {
    const [name, key] = [this.#name(), this.#key()];
    this.#contents.get(name)!.delete(key);
    const family = this.#family(name);
    if (this.#below(8) === 0) family.deleteSync(key, this.#durability());
    else this.#issue(family.delete(key, this.#durability()));
  }

  #batch(): void {
    const batch = this.#db.batch();
    for (let left = this.#below(20); left > 0; left--) {
      const [name, key] = [this.#name(), this.#key()];
      if (this.#below(4) === 0) {
        batch.delete(this.#family(name), key);
        this.#contents.get(name)!.delete(key);
      } else {
        const value = this.#value();
        batch.put(this.#family(name), key, value);
        this.#contents.get(name)!.set(key, value);
      }
    }
    if (this.#below(8) === 0) batch.writeSync(this.#durability());
    else this.#issue(batch.write(this.#durability()));
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
    this.#contents.get("default")!.set("snapshot", "");
    const contents = new Map(
      [...this.#contents].map(([name, content]) => [name, new Map(content)]),
    );
    this.#views.push({ snapshot: this.#db.snapshot(), contents });
  }

  async #recreate(): Promise<void> {
    await this.#settle();
    this.#endViews();
    const name = FAMILY_NAMES[1 + this.#below(FAMILY_NAMES.length - 1)];
    const old = this.#family(name);
    if (this.#below(2) === 0) {
      this.#db.dropColumnFamilySync(name);
      this.#families.set(name, this.#db.columnFamilySync(name, UTF8) as Family);
    } else {
      await soon(this.#db.dropColumnFamily(name), "a drop");
      this.#families.set(name, await soon(this.#db.columnFamily(name, UTF8), "a family") as Family);
    }
    assert.throws(() => old.getSync("k"), { code: "ERR_COLUMN_FAMILY_DROPPED" });
    this.#contents.set(name, new Map());
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
    if (index >= this.#views.length) return { contents: this.#contents };
    const { snapshot, contents } = this.#views[index];
    return { options: { snapshot }, contents };
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
    return { durability: this.durabilities[this.#below(this.durabilities.length)] };
  }

  #range(): Range<string> {
    const range: Range<string> = {};
    if (this.#below(3) === 0) range.gt = this.#key();
    if (this.#below(3) === 0) range.gte = this.#key();
    if (this.#below(3) === 0) range.lt = this.#key();
    if (this.#below(3) === 0) range.lte = this.#key();
    if (this.#below(4) === 0) range.prefix = this.#key().slice(0, this.#below(3));
    if (range.prefix !== undefined && !range.prefix.isWellFormed()) range.prefix = "\u{1f600}";
    if (this.#below(2) === 0) range.reverse = true;
    if (this.#below(3) === 0) range.limit = this.#below(20);
    return range;
  }
}

const TINY: OpenOptions = { writeBufferSize: 64 * 1024, maxWriteBuffers: 2 };
const OPTION_SETS: [string, OpenOptions, Durability[]][] = [
  ["defaults, mixed durability", {}, ["buffered", "buffered", "volatile", "sync"]],
  ["tiny write buffers, buffered", TINY, ["buffered"]],
  ["tiny write buffers, volatile", TINY, ["volatile"]],
  ["tiny write buffers, sync", TINY, ["sync"]],
  [
    "small blocks, no filters, no direct I/O, small segments",
    { ...TINY, blockSize: 1024, filterBitsPerKey: 0, directIo: false, walSegmentSize: 64 * 1024 },
    ["sync", "buffered", "volatile"],
  ],
  [
    "compressed tables past the page cache, few descriptors, a tiny cache",
    {
      ...TINY,
      compression: { type: "zstd", level: 1 },
      directIo: true,
      maxOpenFiles: 16,
      blockCacheSize: 64 * 1024,
    },
    ["sync", "buffered", "volatile"],
  ],
  [
    "a tiny budget for all memtables, a tiny cache, one I/O thread",
    {
      totalWriteBufferSize: 64 * 1024,
      blockCacheSize: 64 * 1024,
      ioThreads: 1,
      maxWriteBuffers: 1,
    },
    ["sync", "buffered", "volatile"],
  ],
];

for (const [name, options, durabilities] of OPTION_SETS) {
  test(`a store answers as sorted maps do: ${name}`, async () => {
    const run = new Run(temporaryDirectory(), { ...options, ...UTF8 }, durabilities, SEED);
    const end = performance.now() + BUDGET_MILLISECONDS;
    try {
      await run.open();
      while (run.steps < STEPS_MAX && performance.now() < end) await run.step();
      await run.check();
      await run.close();
      await run.open();
      await run.check();
      await run.close();
    } catch (error) {
      console.error(`model: VARVE_SEED=${SEED}, step ${run.steps}, ${name}`);
      throw error;
    }
  });
}
