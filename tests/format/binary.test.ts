/** The binary reader and writer: a round trip for everything, and an error with a place for every other byte string. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { BinaryReader, BinaryWriter } from "../../src/format/binary.ts";
import { VarveError } from "../../src/base/errors.ts";
import { test } from "../harness.ts";

const number = fc.oneof(
  fc.maxSafeNat(),
  fc.nat(300),
  fc.constantFrom(0, 127, 128, 16_383, 16_384, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER),
);

function reader(bytes: Uint8Array): BinaryReader {
  return new BinaryReader(bytes, "file", 1000);
}

test("what is written is read again", () => {
  const part = fc.oneof(
    fc.record({ kind: fc.constant("varint" as const), value: number }),
    fc.record({ kind: fc.constant("bytes" as const), value: fc.uint8Array({ maxLength: 700 }) }),
    fc.record({ kind: fc.constant("text" as const), value: fc.string({ unit: "grapheme" }) }),
    fc.record({ kind: fc.constant("float" as const), value: fc.double() }),
  );
  fc.assert(fc.property(fc.array(part), (parts) => {
    const writer = new BinaryWriter();
    for (const { kind, value } of parts) writer[kind](value as never);
    const from = reader(writer.finish());
    for (const { kind, value } of parts) assert.deepEqual(from[kind](), value);
    assert.ok(from.done);
  }));
});

test("a number takes a byte for each seven bits", () => {
  for (const [value, bytes] of [[0, 1], [127, 1], [128, 2], [2 ** 49 - 1, 7], [2 ** 53 - 1, 8]]) {
    assert.equal(new BinaryWriter().varint(value).finish().length, bytes, String(value));
  }
});

test("any bytes are read, or are ERR_CORRUPTION with path and offset", () => {
  const method = fc.constantFrom("varint", "bytes", "text", "float");
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), fc.array(method), (bytes, methods) => {
    const from = reader(bytes);
    try {
      for (const name of methods) from[name as "varint"]();
    } catch (error) {
      if (!(error instanceof VarveError)) throw error;
      assert.equal(error.code, "ERR_CORRUPTION");
      assert.equal(error.path, "file");
      assert.ok(
        error.offset! >= 1000 && error.offset! <= 1000 + bytes.length,
        String(error.offset),
      );
    }
  }));
});

test("a length is compared with what remains before memory is taken", () => {
  const huge = new BinaryWriter().varint(2 ** 53 - 1).finish();
  assert.throws(() => reader(huge).bytes(), { code: "ERR_CORRUPTION", path: "file", offset: 1008 });
  const one = new BinaryWriter().varint(3).varint(0).varint(0).finish();
  assert.throws(() => reader(one).bytes(), { code: "ERR_CORRUPTION" });
});

test("a number of nine groups, or beyond 2^53, does not end", () => {
  for (
    const bytes of [
      new Array(8).fill(0xff),
      [...new Array(8).fill(0x80), 1],
      new Array(100).fill(0x80),
    ]
  ) {
    assert.throws(() => reader(Uint8Array.from(bytes)).varint(), { code: "ERR_CORRUPTION" });
  }
  assert.throws(() => reader(Uint8Array.from([0x80])).varint(), {
    code: "ERR_CORRUPTION",
    offset: 1001,
  });
});

test("text that is not UTF-8 names its file and offset", () => {
  const bytes = new BinaryWriter().bytes(Uint8Array.of(0xff, 0xfe)).finish();
  assert.throws(() => reader(bytes).text(), { code: "ERR_CORRUPTION", path: "file" });
});

test("bytes that were read do not change with their source", () => {
  const source = new BinaryWriter().bytes(Uint8Array.of(1, 2, 3)).finish().slice();
  const read = reader(source).bytes();
  source.fill(9);
  assert.deepEqual(read, Uint8Array.of(1, 2, 3));
});
