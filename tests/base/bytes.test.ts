/** Byte order, prefixes and strict UTF-8. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import {
  byteLengthUtf8,
  byteLengthUtf8Max,
  compareBytes,
  decodeUtf8,
  encodeUtf8,
  encodeUtf8Into,
  isDetached,
  isUint8Array,
  prefixSuccessor,
  sliceOfSlab,
  startsWith,
} from "../../src/base/bytes.ts";
import { test } from "../harness.ts";

const bytes = fc.uint8Array({ maxLength: 12 });
/** Few values, so that prefixes and ties come up. */
const closeBytes = fc.array(fc.constantFrom(0, 1, 127, 128, 254, 255), { maxLength: 5 })
  .map((list) => new Uint8Array(list));
const text = fc.string({ unit: "binary", maxLength: 120 }).filter((text) => text.isWellFormed());
const invalid = { code: "ERR_INVALID_ARGUMENT" };

test("compareBytes() agrees with Buffer.compare()", () => {
  fc.assert(fc.property(closeBytes, closeBytes, (a, b) => {
    assert.equal(Math.sign(compareBytes(a, b)), Buffer.compare(a, b));
  }));
});

test("prefixSuccessor() is the least string above all that begin with the prefix", () => {
  assert.equal(prefixSuccessor(new Uint8Array()), undefined);
  assert.equal(prefixSuccessor(new Uint8Array([255, 255])), undefined);
  assert.deepEqual(prefixSuccessor(new Uint8Array([1, 255])), new Uint8Array([2]));
  fc.assert(fc.property(closeBytes, closeBytes, (prefix, key) => {
    const successor = prefixSuccessor(prefix);
    const within = compareBytes(key, prefix) >= 0 &&
      (successor === undefined || compareBytes(key, successor) < 0);
    assert.equal(within, startsWith(key, prefix));
  }));
});

test("prefixSuccessor() leaves a Buffer's bytes alone", () => {
  const prefix = Buffer.from([1, 2]);
  prefixSuccessor(prefix);
  assert.deepEqual([...prefix], [1, 2]);
});

test("text survives UTF-8, and its length is known", () => {
  const check = (text: string) => {
    const expected = new TextEncoder().encode(text);
    assert.deepEqual(encodeUtf8(text), expected);
    assert.equal(decodeUtf8(expected), text);
    assert.equal(byteLengthUtf8(text), expected.length);
    assert.ok(byteLengthUtf8Max(text) >= expected.length);
    const target = new Uint8Array(expected.length + 3);
    assert.equal(encodeUtf8Into(text, target, 3), expected.length);
    assert.deepEqual(target.subarray(3), expected);
  };
  fc.assert(fc.property(text, check));
  for (const text of ["", "\ufeffmark", "é", "😀".repeat(100), "a".repeat(1000)]) check(text);
});

test("encodeUtf8Into() tells when the target is too small", () => {
  fc.assert(fc.property(text, fc.nat(200), (text, room) => {
    const needed = byteLengthUtf8(text);
    const written = encodeUtf8Into(text, new Uint8Array(room + 2), 2);
    assert.equal(written, needed <= room ? needed : -1);
  }));
});

test("a lone surrogate is refused, short or long", () => {
  for (
    const text of ["\ud800", "a\udc00", "\ud800".padStart(500, "x"), `${"é".repeat(90)}\udfff`]
  ) {
    assert.throws(() => encodeUtf8(text), invalid);
    assert.throws(() => encodeUtf8Into(text, new Uint8Array(2000), 0), invalid);
  }
});

test("decodeUtf8() refuses what is not UTF-8", () => {
  for (const list of [[0x80], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80]]) {
    assert.throws(() => decodeUtf8(new Uint8Array(list)), { code: "ERR_CORRUPTION" });
  }
});

test("isUint8Array() knows subclasses from look-alikes", () => {
  assert.ok(isUint8Array(new Uint8Array()) && isUint8Array(Buffer.from("a")));
  const lookAlikes = [
    new Int8Array(),
    new DataView(new ArrayBuffer(1)),
    new ArrayBuffer(1),
    null,
    1,
  ];
  for (
    const value of [
      ...lookAlikes,
      Object.create(Uint8Array.prototype),
      new Proxy(Buffer.from("a"), {}),
    ]
  ) {
    assert.ok(!isUint8Array(value));
  }
});

test("isDetached() finds detached and cut-off views, and no other empty ones", () => {
  const array = new Uint8Array(8);
  structuredClone(array.buffer, { transfer: [array.buffer] });
  assert.ok(isDetached(array));
  const buffer = new ArrayBuffer(8, { maxByteLength: 8 });
  const view = new Uint8Array(buffer, 4, 4);
  assert.ok(!isDetached(view));
  buffer.resize(2);
  assert.ok(isDetached(view));
  assert.ok(!isDetached(new Uint8Array()) && !isDetached(new Uint8Array(8).subarray(8)));
});

test("sliceOfSlab() gives pieces that do not overlap", () => {
  fc.assert(
    fc.property(fc.array(bytes, { maxLength: 2_000 }), (list) => {
      const pieces = list.map((content) => {
        const piece = sliceOfSlab(content.length);
        piece.set(content);
        return piece;
      });
      assert.ok(pieces.every((piece, index) => compareBytes(piece, list[index]) === 0));
    }),
    { numRuns: 10 },
  );
  assert.equal(sliceOfSlab(5_000).length, 5_000);
});
