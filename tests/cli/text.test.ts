import assert from "node:assert/strict";
import { safePath } from "../../src/cli/directory/target.ts";
import { formatBytes } from "../../src/cli/progress.ts";
import { decodeText, printable } from "../../src/cli/text.ts";
import { test } from "../harness.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

test("printable() keeps one row on one line, and never moves the cursor", () => {
  assert.equal(printable(bytes("a\tb\nc\\d\x1b[2J ü")), "a\\tb\\nc\\\\d\\x1b[2J ü");
  assert.equal(printable(bytes("\u0085")), "\\xc2\\x85");
  assert.equal(printable(Uint8Array.of(0xff, 0x41, 0x5c)), "\\xffA\\\\");
  assert.equal(printable(Uint8Array.of(0xff), "hex"), "ff");
});

test("decodeText() refuses what its format does not spell", () => {
  assert.equal(decodeText("abc", "hex"), undefined);
  assert.equal(decodeText("0g", "hex"), undefined);
  assert.equal(decodeText("AA=A", "base64"), undefined);
  assert.equal(decodeText("\ud800", "utf8"), undefined);
  assert.deepEqual([...decodeText("0aFF", "hex") ?? []], [0x0a, 0xff]);
});

test("safePath() refuses every way out of the directory", () => {
  for (const key of ["", "/etc/passwd", "..", "a/../../b", "a/..", "./a", "a//b", "a/", "a\0b"]) {
    assert.throws(() => safePath(bytes(key)), { code: "ERR_INVALID_ARGUMENT" }, key);
  }
  assert.throws(() => safePath(Uint8Array.of(0xff)), /not UTF-8/);
  for (const key of ["a", "..a/b..", "a\nb", "...", "-rf"]) assert.equal(safePath(bytes(key)), key);
});

test("formatBytes() uses powers of 1,000 and never shows 1000 of a unit", () => {
  assert.deepEqual([0, 999, 1000, 999_949, 999_950, 6e8].map(formatBytes), [
    "0 B",
    "999 B",
    "1.0 kB",
    "999.9 kB",
    "1.0 MB",
    "600.0 MB",
  ]);
});
