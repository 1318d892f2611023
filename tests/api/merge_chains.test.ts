/** Long merge chains of JavaScript operators, and what compactions make of them: nobody who reads can tell. */
import assert from "node:assert/strict";
import { type CustomMergeOperator, Varve } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { coded } from "./support.ts";

const TEXT = { keyEncoding: "utf8", valueEncoding: "utf8" } as const;
const BUFFERED = { ...TEXT, durability: "buffered" } as const;

/** Joins, and counts how often. */
function joining() {
  const calls: { key: string; existing: string | undefined; operands: number }[] = [];
  const operator: CustomMergeOperator<string, string> = {
    name: "join",
    merge(key, existing, operands) {
      calls.push({ key, existing, operands: operands.length });
      return (existing ?? "") + operands.join("");
    },
  };
  return { calls, options: { ...TEXT, mergeOperator: operator } };
}

type Words = Awaited<ReturnType<typeof open>>["words"];

async function open(path: string, options = joining().options) {
  const db = await Varve.open(path, BUFFERED);
  return { db, words: await db.columnFamily("words", options) };
}

function mergeMany(words: Words, key: string, count: number, from = 0): string {
  let added = "";
  for (let index = from; index < from + count; index++) {
    words.mergeSync(key, `${index},`);
    added += `${index},`;
  }
  return added;
}

/** Entries that a compaction of the family leaves. */
async function compacted(db: Varve<string, string, string, string>, words: Words): Promise<number> {
  const { entriesOut } = db.stats().compaction;
  await words.compact();
  return db.stats().compaction.entriesOut - entriesOut;
}

test("compact() folds 1,000 operands to one entry, whatever they stand on, and nobody sees a difference", async () => {
  const path = temporaryDirectory();
  const { calls, options } = joining();
  let { db, words } = await open(path, options);
  words.putSync("put", "base,");
  words.putSync("deleted", "gone,");
  words.putSync("range", "gone,");
  const expected = new Map<string, string>();
  await db.flush();
  words.deleteSync("deleted");
  words.deleteRangeSync({ gte: "range", lt: "s" });
  for (const key of ["deleted", "nothing", "put", "range"]) {
    expected.set(key, (key === "put" ? "base," : "") + mergeMany(words, key, 500));
  }
  await db.flush();
  for (const [key, value] of expected) expected.set(key, value + mergeMany(words, key, 500, 500));
  assert.deepEqual(new Map(words.entries()), expected);
  calls.length = 0;
  assert.equal(await compacted(db, words), 4);
  assert.deepEqual(
    calls,
    [...expected.keys()].map((key) => ({
      key,
      existing: key === "put" ? "base," : undefined,
      operands: 1000,
    })),
  );
  calls.length = 0;
  assert.deepEqual(new Map(words.entries()), expected);
  assert.equal(await words.get("put"), expected.get("put"));
  assert.deepEqual(calls, [], "they are values like others now");
  // More operands stand on what was folded.
  expected.set("put", expected.get("put") + mergeMany(words, "put", 100, 1000));
  assert.equal(await compacted(db, words), 4);
  await db.close();
  ({ db, words } = await open(path));
  assert.deepEqual(new Map(words.entries()), expected);
  await db.verify();
  await db.close();
});

test("a chain of 64 operands is carried on, and one of 65 is not", async () => {
  const { db, words } = await open(temporaryDirectory());
  mergeMany(words, "short", 64);
  mergeMany(words, "long", 65);
  assert.equal(await compacted(db, words), 65);
  await db.close();
});

test("snapshots between operands keep their views, and when they are gone the rest is folded", async () => {
  const { db, words } = await open(temporaryDirectory());
  words.putSync("k", "base,");
  let value = "base,";
  const views = [];
  for (let round = 0; round < 5; round++) {
    value += mergeMany(words, "k", 100, 100 * round);
    views.push({ snapshot: db.snapshot(), value });
    if (round === 1) await db.flush();
  }
  value += mergeMany(words, "k", 70, 500);
  for (let round = 0; round < 3; round++) {
    // The oldest stripe is one value; the others stand on something else.
    assert.equal(await compacted(db, words), 1 + 400 + 70);
    for (const { snapshot, value } of views) assert.equal(words.getSync("k", { snapshot }), value);
    assert.equal(words.getSync("k"), value);
  }
  for (const { snapshot } of views.splice(1, 3)) snapshot[Symbol.dispose]();
  assert.equal(await compacted(db, words), 1 + 400 + 70);
  for (const { snapshot, value } of views) assert.equal(words.getSync("k", { snapshot }), value);
  for (const { snapshot } of views) snapshot[Symbol.dispose]();
  assert.equal(await compacted(db, words), 1);
  assert.equal(words.getSync("k"), value);
  await db.close();
});

test("where an operator throws, or returns what is no value, compaction ends and the operands stay", async () => {
  const path = temporaryDirectory();
  let broken = true;
  const picky: CustomMergeOperator<string, string> = {
    name: "join",
    merge(key, existing, operands) {
      if (broken && key === "throws") throw new RangeError("no");
      if (broken && key === "number") return 5 as never;
      if (broken && key === "promise") return Promise.resolve("x") as never;
      return (existing ?? "") + operands.join("");
    },
  };
  const { db, words } = await open(path, { ...TEXT, mergeOperator: picky });
  const errors: unknown[] = [];
  db.addEventListener("error", (error) => errors.push(error));
  const expected = new Map<string, string>();
  for (const key of ["fine", "number", "promise", "throws"]) {
    words.putSync(key, "base,");
    expected.set(key, "base," + mergeMany(words, key, 200));
  }
  for (let round = 0; round < 2; round++) {
    assert.equal(await compacted(db, words), 1 + 3 * 201);
    assert.throws(() => words.getSync("throws"), RangeError);
    assert.throws(() => words.getSync("number"), coded("ERR_INVALID_ARGUMENT"));
    assert.equal(words.getSync("fine"), expected.get("fine"));
  }
  broken = false;
  assert.deepEqual(new Map(words.entries()), expected);
  assert.equal(await compacted(db, words), 4);
  assert.deepEqual(new Map(words.entries()), expected);
  assert.deepEqual(errors, []);
  await db.close();
});

test("a family that was opened without its operator keeps its operands", async () => {
  const path = temporaryDirectory();
  let { db, words } = await open(path);
  words.putSync("k", "base,");
  const value = "base," + mergeMany(words, "k", 300);
  await db.close();
  {
    await using db = await Varve.open(path, TEXT);
    const words = await db.columnFamily("words", TEXT);
    assert.equal(await compacted(db, words), 301);
    assert.throws(() => words.getSync("k"), coded("ERR_UNSUPPORTED"));
  }
  ({ db, words } = await open(path));
  assert.equal(words.getSync("k"), value);
  assert.equal(await compacted(db, words), 1);
  const raw = await db.columnFamily("words");
  assert.equal(new TextDecoder().decode(raw.getSync("k")), value, "a value needs no operator");
  await db.close();
});

test("handles of different encodings leave the operands as they are, those of one encoding do not", async () => {
  const { calls, options } = joining();
  const codec = {
    encode: (value: string) => new TextEncoder().encode(value),
    decode: (bytes: Uint8Array) => new TextDecoder().decode(bytes),
  };
  const { db, words } = await open(temporaryDirectory(), options);
  await db.columnFamily("words", options);
  const coders = await db.columnFamily("coded", { ...options, valueEncoding: codec });
  await db.columnFamily("coded", { ...options, valueEncoding: codec });
  const mixed = await db.columnFamily("mixed", options);
  await db.columnFamily("mixed", { ...options, valueEncoding: "json" });
  for (const family of [words, coders, mixed]) mergeMany(family, "k", 100);
  assert.equal(await compacted(db, words), 1);
  assert.equal(await compacted(db, coders), 1);
  assert.equal(calls.length, 2);
  assert.equal(await compacted(db, mixed), 100);
  assert.equal(calls.length, 2);
  await db.close();
});

test("a chain larger than a page is folded from its oldest end, one on a value that lies elsewhere or expires not at all", async () => {
  const path = temporaryDirectory();
  const { db, words } = await open(path);
  const operand = "x".repeat(9_999) + ",";
  const expected = new Map<string, string>();
  for (const key of ["blob", "expiring", "long"]) {
    const base = key === "blob" ? "b".repeat(100_000) : "base,";
    if (key === "expiring") words.putSync(key, base, { ttl: 1e9 });
    else words.putSync(key, base);
    const count = key === "long" ? 250 : 80;
    for (let index = 0; index < count; index++) words.mergeSync(key, operand);
    expected.set(key, base + operand.repeat(count));
  }
  const same = () => {
    for (const [key, value] of expected) assert.ok(words.getSync(key) === value, key);
  };
  const first = await compacted(db, words);
  assert.ok(first < 2 * 81 + 250 - 50, `${first} entries`);
  same();
  // What stands on the blob and on what may expire stays.
  const second = await compacted(db, words);
  assert.ok(second >= 2 * 81 + 1 && second < first, `${second} entries`);
  same();
  await db.close();
  const again = await open(path);
  assert.ok(again.words.getSync("long") === expected.get("long"));
  await again.db.close();
});

test("the operator runs inside no call but a read, and may itself call what blocks", async () => {
  let inside = 0;
  let calls = 0;
  const nested: CustomMergeOperator<string, string> = {
    name: "join",
    merge(_key, existing, operands) {
      assert.equal(inside, 0, "never inside a call");
      calls++;
      db.putSync("seen", `${calls}`);
      db.flushSync();
      return (existing ?? "") + operands.join("");
    },
  };
  const { db, words } = await open(temporaryDirectory(), { ...TEXT, mergeOperator: nested });
  const expected = new Map<string, string>();
  for (let index = 0; index < 20; index++) {
    expected.set(`k${index}`, mergeMany(words, `k${index}`, 80));
  }
  let done = false;
  const compaction = words.compact().finally(() => done = true);
  while (!done) {
    inside++;
    expected.set("k5", expected.get("k5") + mergeMany(words, "k5", 1));
    db.flushSync();
    inside--;
    await new Promise((resolve) => setTimeout(resolve));
  }
  await compaction;
  // What calls that blocked kept from being folded is there as well.
  assert.deepEqual(new Map(words.entries()), expected);
  calls = 0;
  await words.compact();
  assert.ok(calls > 0);
  assert.equal(db.getSync("seen"), `${calls}`);
  assert.deepEqual(new Map(words.entries()), expected);
  await db.close();
});

test("an operator may close the store in the middle of a compaction", async () => {
  const path = temporaryDirectory();
  let closes = false;
  const closing: CustomMergeOperator<string, string> = {
    name: "join",
    merge(_key, existing, operands) {
      if (closes) db.closeSync();
      return (existing ?? "") + operands.join("");
    },
  };
  const { db, words } = await open(path, { ...TEXT, mergeOperator: closing });
  const value = mergeMany(words, "k", 1000);
  await db.flush();
  closes = true;
  // It ends with the store, or just before.
  const outcome = await words.compact().then(() => "done", (error) => error.code);
  assert.ok(outcome === "done" || outcome === "ERR_CLOSED", outcome);
  assert.throws(() => words.getSync("k"), coded("ERR_CLOSED"));
  const again = await open(path);
  assert.equal(again.words.getSync("k"), value);
  assert.equal(await compacted(again.db, again.words), 1);
  await again.db.close();
});
