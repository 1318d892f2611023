/** `VarveError` and `quote()`: what a message may hold, whatever the value. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { closed, invalidArgument, quote, VarveError } from "../../src/base/errors.ts";
import { test } from "../harness.ts";

test("VarveError carries its code and what is known, and nothing else", () => {
  const cause = new Error("why");
  const error = new VarveError("ERR_IO", "Cannot read", { path: "/a", errno: 5, cause });
  assert.ok(error instanceof Error);
  assert.equal(error.name, "VarveError");
  assert.equal(String(error), "VarveError: Cannot read");
  assert.equal(error.code, "ERR_IO");
  assert.equal(error.cause, cause);
  assert.deepEqual([error.path, error.errno, error.offset], ["/a", 5, undefined]);
  assert.ok(!("offset" in error) && !("errnoName" in error));
  assert.ok(!("cause" in invalidArgument("Cannot")));
  assert.equal(closed("read", "the store").message, "Cannot read: the store is closed");
});

test("quote() shows values of every type", () => {
  const shown: [unknown, string][] = [
    ["a\n", '"a\\n"'],
    ["5", '"5" (a string)'],
    ["", '""'],
    [5, '"5"'],
    [-0, '"-0"'],
    [5n, '"5n"'],
    [2n ** 4000n, '"a bigint of more than 128 bits"'],
    [Symbol("x"), '"Symbol(x)"'],
    [null, '"null"'],
    [undefined, '"undefined"'],
    [new Uint8Array([1, 2]), '"Uint8Array(2) [1, 2]"'],
    [new Uint8Array(100), '"Uint8Array(100) [0, 0, 0, 0, 0, 0, 0, 0, …]"'],
    [[1, 2], '"Array(2)"'],
    [{}, '"Object"'],
    [new ArrayBuffer(2), '"ArrayBuffer"'],
  ];
  for (const [value, text] of shown) assert.equal(quote(value), text);
});

test("quote() survives hostile values, and stays short", () => {
  const cyclic: Record<string, unknown> = {};
  cyclic.self = cyclic;
  const hostile = new Proxy({}, {
    get() {
      throw new Error("get");
    },
    getPrototypeOf() {
      throw new Error("getPrototypeOf");
    },
  });
  const revoked = Proxy.revocable([], {});
  revoked.revoke();
  const tagged = { [Symbol.toStringTag]: "x\n".repeat(10_000) };
  const values = [cyclic, hostile, revoked.proxy, tagged, "a".repeat(1e6), Symbol("s".repeat(1e5))];
  for (const value of values) {
    assert.ok(quote(value).length < 300);
    assert.ok(!quote(value).includes("\n"));
  }
  fc.assert(fc.property(fc.anything({ withBigInt: true, withTypedArray: true }), (value) => {
    assert.ok(quote(value).length < 300);
  }));
});
