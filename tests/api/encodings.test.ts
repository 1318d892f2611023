/** Key and value encodings, the tuple's aside. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import type { Encoding } from "../../src/api/encodings/encoding.ts";
import { resolveKeyEncoding } from "../../src/api/encodings/key_encoding.ts";
import { resolveValueEncoding } from "../../src/api/encodings/value_encoding.ts";
import { test } from "../harness.ts";

const invalid = { name: "VarveError", code: "ERR_INVALID_ARGUMENT" };
const corrupt = { name: "VarveError", code: "ERR_CORRUPTION" };

/** What the core makes of a prepared value. */
function written(prepared: string | Uint8Array): Uint8Array {
  return typeof prepared === "string" ? encodeUtf8(prepared) : prepared;
}

/** For values that the types would not let through. */
function prepare(encoding: unknown, value: unknown): string | Uint8Array {
  return (encoding as Encoding<unknown>).prepare(value);
}

test("binary takes arrays and strings, and gives arrays", () => {
  for (const encoding of [resolveKeyEncoding(undefined), resolveValueEncoding("binary")]) {
    assert.equal(encoding.name, "binary");
    assert.equal(encoding.prepare("é"), "é");
    const buffer = Buffer.from("abc");
    assert.equal(encoding.prepare(buffer), buffer);
    assert.equal(encoding.decode(buffer), buffer);
    const refused = [1, null, undefined, [1], {}, new ArrayBuffer(1), new Int8Array(1)];
    for (const value of [...refused, new Proxy(new Uint8Array(1), {})]) {
      assert.throws(() => prepare(encoding, value), invalid);
    }
    assert.throws(() => prepare(encoding, 17), /"17"/);
  }
});

test("a detached array is refused", () => {
  const array = new Uint8Array(8);
  structuredClone(array.buffer, { transfer: [array.buffer] });
  assert.throws(() => resolveKeyEncoding("binary").prepare(array), invalid);
  assert.throws(() => resolveKeyEncoding("tuple").prepare([array]), invalid);
  const codec = { encode: () => array, decode: () => 0 };
  assert.throws(() => resolveValueEncoding(codec).prepare(0 as never), invalid);
});

test("utf8 takes strings only, and refuses to guess at other bytes", () => {
  const encoding = resolveValueEncoding("utf8");
  assert.equal(encoding.decode(written(encoding.prepare("añ😀"))), "añ😀");
  assert.throws(() => prepare(encoding, new Uint8Array()), invalid);
  assert.throws(() => encoding.decode(new Uint8Array([0xff])), corrupt);
});

test("json round-trips what JSON can say", () => {
  const encoding = resolveValueEncoding("json");
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    const text = encoding.prepare(value) as string;
    assert.deepEqual(encoding.decode(encodeUtf8(text)), JSON.parse(JSON.stringify(value)));
  }));
  assert.equal(encoding.decode(written(encoding.prepare("\ud800"))), "\ud800");
  const cyclic: unknown[] = [];
  cyclic.push(cyclic);
  for (const value of [undefined, () => 0, Symbol(), 1n, cyclic]) {
    assert.throws(() => encoding.prepare(value), invalid);
  }
  for (const text of ["", "{", "undefined"]) {
    assert.throws(() => encoding.decode(encodeUtf8(text)), corrupt);
  }
  assert.throws(() => encoding.decode(new Uint8Array([0xff])), corrupt);
});

test("int64 is exact, little-endian, and refuses what does not fit", () => {
  const encoding = resolveValueEncoding("int64");
  const check = (value: number | bigint) => {
    const bytes = written(encoding.prepare(value));
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    assert.equal(bytes.length, 8);
    assert.equal(view.getBigInt64(0, true), BigInt(value));
    assert.equal(encoding.decode(bytes), BigInt(value));
  };
  fc.assert(
    fc.property(fc.oneof(fc.maxSafeInteger(), fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n)), check),
  );
  for (const exponent of [31n, 32n, 52n, 53n, 54n, 62n]) {
    for (const near of [-1n, 0n, 1n]) {
      [check(2n ** exponent + near), check(-(2n ** exponent) + near)];
    }
  }
  for (const value of [0, -0, -1, 2 ** 53 - 1, 1 - 2 ** 53, 2n ** 63n - 1n, -(2n ** 63n)]) {
    check(value);
  }
  for (const value of [2 ** 53, 0.5, NaN, Infinity, 2n ** 63n, -(2n ** 63n) - 1n, "1", null]) {
    assert.throws(() => prepare(encoding, value), invalid);
  }
  for (const length of [0, 7, 9]) {
    assert.throws(() => encoding.decode(new Uint8Array(length)), corrupt);
  }
});

test("a codec runs once per value, as a method, and its errors pass unchanged", () => {
  class Doubling {
    calls = 0;
    encode(value: number): Uint8Array {
      this.calls++;
      if (value > 127) throw new RangeError("mine");
      return new Uint8Array([2 * value]);
    }
    decode(bytes: Uint8Array): number {
      if (bytes.length === 0) throw new RangeError("mine");
      return bytes[0] / 2;
    }
  }
  const codec = new Doubling();
  const encoding = resolveValueEncoding(codec);
  assert.equal(encoding.decode(written(encoding.prepare(21))), 21);
  assert.equal(codec.calls, 1);
  assert.throws(() => encoding.prepare(128), { name: "RangeError", message: "mine" });
  assert.throws(() => encoding.decode(new Uint8Array()), { name: "RangeError" });
});

test("a codec must give a Uint8Array", () => {
  for (const result of ["text", undefined, [1], Promise.resolve(), new ArrayBuffer(1)]) {
    const codec = { encode: () => result as unknown as Uint8Array, decode: () => 0 };
    assert.throws(() => prepare(resolveKeyEncoding(codec), 1), invalid);
  }
});

test("what is no encoding is refused by name", () => {
  for (const option of ["utf-8", "json", null, 1, {}, { encode() {} }, { decode() {} }]) {
    assert.throws(() => resolveKeyEncoding(option as never), invalid);
  }
  assert.throws(() => resolveValueEncoding("tuple" as never), /valueEncoding "tuple"/);
});
