/** The tuple encoding against the order that `api.md` gives. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { compareBytes, prefixSuccessor, startsWith } from "../../src/base/bytes.ts";
import { type Tuple, type TupleElement, tupleEncoding } from "../../src/api/encodings/tuple.ts";
import { test } from "../harness.ts";

const encode = (tuple: Tuple) => tupleEncoding.prepare(tuple) as Uint8Array;
const hex = (bytes: Uint8Array) => bytes.toHex();
const fromHex = (text: string) => Uint8Array.fromHex(text.replaceAll(" ", ""));
const invalid = { name: "VarveError", code: "ERR_INVALID_ARGUMENT" };

const text = fc.oneof(
  fc.string({
    unit: fc.constantFrom("\0", "\x01", "\x02", "a", "é", "\uffff", "😀"),
    maxLength: 4,
  }),
  fc.string({ unit: "binary", maxLength: 80 }).filter((text) => text.isWellFormed()),
);
const bytes = fc.oneof(
  fc.array(fc.constantFrom(0, 1, 2, 254, 255), { maxLength: 4 }).map((list) =>
    new Uint8Array(list)
  ),
  fc.uint8Array({ maxLength: 60 }),
);
const bigint = fc.oneof(
  fc.bigInt(-3n, 3n),
  fc.bigInt(-(2n ** 70n), 2n ** 70n),
  fc.tuple(fc.constantFrom(-1n, 1n), fc.constantFrom(254n, 255n, 256n, 300n), fc.bigInt(0n, 300n))
    .map(([sign, length, less]) => sign * (2n ** (8n * length) - less)),
);
const number = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.double({ noNaN: true }));
const element: fc.Arbitrary<TupleElement> = fc.oneof(
  fc.constant(null),
  bytes,
  text,
  number,
  bigint,
  fc.boolean(),
);
const tuple = fc.array(element, { maxLength: 4 });

function rank(value: TupleElement): number {
  if (value === null) return 0;
  if (value instanceof Uint8Array) return 1;
  return 2 + ["string", "number", "bigint", "boolean"].indexOf(typeof value);
}

function compareElements(a: TupleElement, b: TupleElement): number {
  if (rank(a) !== rank(b)) return rank(a) - rank(b);
  if (a === null || b === null) return 0;
  if (a instanceof Uint8Array) return compareBytes(a, b as Uint8Array);
  if (typeof a === "string") {
    return compareBytes(new TextEncoder().encode(a), new TextEncoder().encode(b as string));
  }
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareTuples(a: Tuple, b: Tuple): number {
  for (let index = 0; index < Math.min(a.length, b.length); index++) {
    const order = compareElements(a[index], b[index]);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

test("the order of encoded tuples is the order of tuples", () => {
  const check = (a: Tuple, b: Tuple) =>
    assert.equal(Math.sign(compareBytes(encode(a), encode(b))), Math.sign(compareTuples(a, b)));
  fc.assert(fc.property(tuple, tuple, check), { numRuns: 2_000 });
  fc.assert(
    fc.property(tuple, tuple, tuple, (shared, a, b) => check([...shared, ...a], [...shared, ...b])),
  );
  fc.assert(fc.property(bigint, bigint, (a, b) => check([a, "x"], [b])), { numRuns: 1_000 });
  fc.assert(fc.property(number, number, (a, b) => check([a], [b])), { numRuns: 1_000 });
});

test("tuples survive the round trip", () => {
  fc.assert(
    fc.property(tuple, (tuple) => {
      const expected = tuple.map((value) => Object.is(value, -0) ? 0 : value);
      assert.deepEqual(tupleEncoding.decode(encode(tuple)), expected);
    }),
    { numRuns: 1_000 },
  );
});

test("bytes begin with a tuple's bytes exactly if the tuple begins with it", () => {
  const check = (prefix: Tuple, tuple: Tuple) => {
    const begins = prefix.length <= tuple.length &&
      compareTuples(prefix, tuple.slice(0, prefix.length)) === 0;
    assert.equal(startsWith(encode(tuple), encode(prefix)), begins);
    const upper = prefixSuccessor(encode(prefix));
    if (begins && upper !== undefined) assert.ok(compareBytes(encode(tuple), upper) < 0);
  };
  fc.assert(fc.property(tuple, tuple, check), { numRuns: 1_000 });
  fc.assert(fc.property(tuple, tuple, (prefix, rest) => check(prefix, [...prefix, ...rest])));
  check(["a"], ["a\0b"]);
  check(["a"], ["ab"]);
});

test("the bytes are those that the file's table gives", () => {
  assert.equal(hex(encode([])), "");
  assert.equal(hex(encode([null, false, true, 0n])), "10606151");
  assert.equal(hex(encode(["a\0\x01b"])), "30610101010262" + "00");
  assert.equal(hex(encode([new Uint8Array([255, 0])])), "20ff010100");
  assert.equal(hex(encode([-0, -1])), "408000000000000000" + "40400fffffffffffff");
  assert.equal(hex(encode([258n, -258n])), "52020102" + "50fdfefd");
  assert.equal(hex(encode([1n << 2032n])), "52ff000000ff01" + "00".repeat(254));
});

test("what cannot be ordered is refused", () => {
  const elements = [NaN, undefined, [], {}, "\ud800", Symbol(), () => 0, new Int8Array(1)];
  for (const element of elements) {
    assert.throws(() => encode(["a", element as never]), invalid);
  }
  assert.throws(() => encode(new Array(2) as never), invalid);
  for (const value of ["a", null, undefined, new Uint8Array(1), { length: 0 }]) {
    assert.throws(() => encode(value as never), invalid);
  }
  assert.equal(hex(encode(["a"])), "306100"); // nothing is left of the refused ones
});

test("an element that encodes a tuple while it is read disturbs nothing", () => {
  const tuple: TupleElement[] = ["outer", 1];
  Object.defineProperty(tuple, 1, { get: () => encode(["inner"]).length, enumerable: true });
  assert.deepEqual(tupleEncoding.decode(encode(tuple)), ["outer", 7]);
});

test("decode() refuses bytes that no tuple has", () => {
  const malformed = [
    "00",
    "ff",
    "3061",
    "300100",
    "3001 03 00",
    "30ff00",
    "40",
    "40ffffffffffffffff",
  ]
    .concat(["407fffffffffffffff", "52", "5200", "52020001", "5205 01", "50ff", "50feff"])
    .concat(["52ff0000000101", "52ff00", "50 fe 01 99"]);
  for (const text of malformed) {
    assert.throws(() => tupleEncoding.decode(fromHex(text)), { code: "ERR_CORRUPTION" }, text);
  }
});

test("decode() of any bytes gives the tuple that has them, or ERR_CORRUPTION", () => {
  const mangled = fc.tuple(tuple, fc.nat(), fc.nat(255)).map(([tuple, at, byte]) => {
    const bytes = encode(tuple);
    if (bytes.length > 0) bytes[at % bytes.length] = byte;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), mangled), (bytes) => {
      let tuple: Tuple;
      try {
        tuple = tupleEncoding.decode(bytes);
      } catch (error) {
        assert.equal((error as { code?: string }).code, "ERR_CORRUPTION");
        return;
      }
      assert.equal(hex(encode(tuple)), hex(bytes));
    }),
    { numRuns: 2_000 },
  );
});
