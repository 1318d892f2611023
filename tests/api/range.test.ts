/** Ranges against a naive filter, and what they refuse. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { compareBytes, KEY_BYTES_MAX, startsWith } from "../../src/base/bytes.ts";
import { resolveKeyEncoding } from "../../src/api/encodings/key_encoding.ts";
import { type ByteRange, resolveDeleteRange, resolveRange } from "../../src/api/range.ts";
import { test } from "../harness.ts";

const binary = resolveKeyEncoding("binary");
const invalid = { name: "VarveError", code: "ERR_INVALID_ARGUMENT" };
const key = fc.array(fc.constantFrom(0, 1, 128, 254, 255), { maxLength: 4 })
  .map((list) => new Uint8Array(list));
const optionalKey = fc.option(key, { nil: undefined });
const bounds = fc.record({
  gt: optionalKey,
  gte: optionalKey,
  lt: optionalKey,
  lte: optionalKey,
  prefix: optionalKey,
});

function within(key: Uint8Array, { lower, upper, empty }: ByteRange): boolean {
  return !empty && compareBytes(key, lower) >= 0 &&
    (upper === undefined || compareBytes(key, upper) < 0);
}

test("all bounds of a range apply together", () => {
  fc.assert(
    fc.property(bounds, fc.array(key, { minLength: 1 }), (range, keys) => {
      const { gt, gte, lt, lte, prefix } = range;
      for (const resolved of [resolveRange(range, binary), resolveDeleteRange(range, binary)]) {
        for (
          const key of [
            ...keys,
            ...[gt, gte, lt, lte, prefix].filter((key) => key !== undefined),
          ]
        ) {
          const expected = (gt === undefined || compareBytes(key, gt) > 0) &&
            (gte === undefined || compareBytes(key, gte) >= 0) &&
            (lt === undefined || compareBytes(key, lt) < 0) &&
            (lte === undefined || compareBytes(key, lte) <= 0) &&
            (prefix === undefined || startsWith(key, prefix));
          assert.equal(within(key, resolved), expected);
        }
      }
    }),
    { numRuns: 2_000 },
  );
});

test("no bounds at all: every key, forward, without limit", () => {
  for (const range of [undefined, {}, { gte: undefined, limit: undefined, reverse: undefined }]) {
    const resolved = resolveRange(range, binary);
    assert.equal(resolved.lower.length, 0);
    assert.deepEqual([resolved.upper, resolved.reverse, resolved.empty], [undefined, false, false]);
    assert.equal(resolved.limit, Infinity);
  }
});

test("bounds on either side of the empty key, and of the longest", () => {
  assert.ok(resolveRange({ lt: "" }, binary).empty);
  assert.deepEqual([...resolveRange({ gt: "" }, binary).lower], [0]);
  assert.deepEqual([...resolveRange({ lte: "" }, binary).upper!], [0]);
  const longest = new Uint8Array(KEY_BYTES_MAX).fill(7);
  const above = longest.with(KEY_BYTES_MAX - 1, 8);
  assert.deepEqual(resolveRange({ gt: longest }, binary).lower, above);
  assert.deepEqual(resolveRange({ lte: longest }, binary).upper, above);
  const last = new Uint8Array(KEY_BYTES_MAX).fill(255);
  assert.ok(resolveRange({ gt: last }, binary).empty);
  assert.ok(!resolveRange({ gte: last }, binary).empty);
  assert.equal(resolveRange({ lte: last }, binary).upper, undefined);
  const over = new Uint8Array(KEY_BYTES_MAX + 1);
  assert.throws(() => resolveRange({ gte: over }, binary), { code: "ERR_TOO_LARGE" });
});

test("bounds go through the encoding, once each, into bytes of their own", () => {
  const scratch = new Uint8Array(1);
  let calls = 0;
  const codec = {
    encode(value: number) {
      calls++;
      scratch[0] = value;
      return scratch;
    },
    decode: (bytes: Uint8Array) => bytes[0],
  };
  const resolved = resolveRange({ gte: 3, lt: 9 }, resolveKeyEncoding(codec));
  assert.deepEqual([[...resolved.lower], [...resolved.upper!], calls], [[3], [9], 2]);
  const mine = new Uint8Array([5]);
  const { lower } = resolveRange({ gte: mine }, binary);
  mine[0] = 6;
  assert.deepEqual([...lower], [5]);
  assert.throws(() => resolveRange({ gte: "\ud800" }, binary), invalid);
  assert.throws(() => resolveRange({ gte: 1 as never }, binary), invalid);
  assert.throws(() => resolveRange({ gte: null as never }, binary), invalid);
});

test("a tuple's prefix takes in the tuples that begin with it", () => {
  const tuples = resolveKeyEncoding("tuple");
  const resolved = resolveRange({ prefix: ["a"] }, tuples);
  const has = (tuple: (string | number)[]) => within(tuples.prepare(tuple) as Uint8Array, resolved);
  assert.ok(has(["a"]) && has(["a", 1]) && has(["a", "a"]));
  assert.ok(!has([]) && !has(["a\0"]) && !has(["ab"]) && !has([1]));
});

test("limit, reverse, snapshot and signal are passed on, or refused", () => {
  const snapshot = { sequence: 1, time: 0 };
  const { signal } = new AbortController();
  const resolved = resolveRange({ limit: 3, reverse: true, snapshot, signal }, binary);
  assert.deepEqual([resolved.limit, resolved.reverse, resolved.empty], [3, true, false]);
  assert.equal(resolved.snapshot, snapshot);
  assert.equal(resolved.signal, signal);
  assert.ok(resolveRange({ limit: 0 }, binary).empty);
  assert.ok(Object.is(resolveRange({ limit: -0 }, binary).limit, 0));
  const bad = [{ limit: -1 }, { limit: 1.5 }, { limit: NaN }, { limit: "1" }, { limit: 1n }]
    .concat([{ reverse: 1 }, { reverse: null }, { snapshot: 1 }, { signal: {} }] as never[]);
  for (const range of bad) assert.throws(() => resolveRange(range as never, binary), invalid);
});

test("what is no range is refused: it must not pass for every key", () => {
  for (const range of [null, 1, "a", [], ["a"], new Uint8Array(1), () => 0]) {
    assert.throws(() => resolveRange(range as never, binary), invalid);
    assert.throws(() => resolveDeleteRange(range as never, binary), invalid);
  }
  assert.throws(() => resolveDeleteRange(undefined as never, binary), invalid);
});

test("resolveDeleteRange() takes bounds only", () => {
  const members = [{ reverse: false }, { limit: 1 }, { snapshot: {} }, { signal: {} }, {
    prefx: "a",
  }];
  for (const range of members) {
    assert.throws(() => resolveDeleteRange(range as never, binary), invalid);
  }
  assert.ok(!resolveDeleteRange({ limit: undefined, gte: "a" } as never, binary).empty);
  assert.ok(resolveDeleteRange({ gte: "b", lt: "a" }, binary).empty);
});
