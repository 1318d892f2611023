/** Log entries: what is encoded is what a walk over the run finds, whatever lay there before. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { encodeEntry, entryBytesMax } from "../../src/format/log_entry.ts";
import { EntryType, LogEntry } from "../../src/native/layout.gen.ts";
import { test } from "../harness.ts";

const data = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc.string({ unit: "grapheme", maxLength: 60 }),
  fc.constantFrom("", "ä", "𝒳", "a".repeat(48), "a".repeat(49), "ä".repeat(48)),
);

interface Decoded {
  readonly type: number;
  readonly family: number;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** An independent walk, by the picture in `docs/format.md`. */
function decode(u8: Uint8Array, end: number): Decoded[] {
  const view = new DataView(u8.buffer);
  const entries: Decoded[] = [];
  for (let at = 0; at < end;) {
    const typeAndKeyBytes = view.getUint32(at, true);
    const keyBytes = typeAndKeyBytes >>> 16;
    const valueBytes = view.getUint32(at + 4, true);
    const keyStart = at + 12;
    const valueStart = keyStart + Math.ceil(keyBytes / 4) * 4;
    entries.push({
      type: typeAndKeyBytes & 0xff,
      family: view.getUint32(at + 8, true),
      key: u8.slice(keyStart, keyStart + keyBytes),
      value: u8.slice(valueStart, valueStart + valueBytes),
    });
    at = valueStart + Math.ceil(valueBytes / 4) * 4;
    assert.ok(u8.slice(keyStart + keyBytes, valueStart).every((byte) => byte === 0), "key padding");
    assert.ok(u8.slice(valueStart + valueBytes, at).every((byte) => byte === 0), "value padding");
  }
  return entries;
}

function bytesOf(one: Uint8Array | string): Uint8Array {
  return typeof one === "string" ? new TextEncoder().encode(one) : one.slice();
}

test("a run of entries is read again, and stays within what was announced", () => {
  const entry = fc.record({
    type: fc.constantFrom(EntryType.put, EntryType.delete),
    family: fc.nat(2 ** 32 - 1),
    key: data,
    value: data,
  });
  fc.assert(fc.property(fc.array(entry, { minLength: 1, maxLength: 10 }), (entries) => {
    const u8 = new Uint8Array(new ArrayBuffer(64 * 1024)).fill(0xee);
    const u32 = new Uint32Array(u8.buffer);
    let end = 0;
    for (const { type, family, key, value } of entries) {
      const announced = end + entryBytesMax(key, value);
      end = encodeEntry(u8, u32, end, type, family, key, value);
      assert.ok(end <= announced);
      assert.equal(end % 4, 0);
    }
    assert.ok(u8.subarray(end).every((byte) => byte === 0xee), "nothing behind is touched");
    assert.deepEqual(
      decode(u8, end),
      entries.map(({ type, family, key, value }) => ({
        ...{ type, family },
        ...{ key: bytesOf(key), value: bytesOf(value) },
      })),
    );
  }));
});

test("keys of 65,535 bytes fit, one more does not, in every spelling", () => {
  const u8 = new Uint8Array(new ArrayBuffer(1 << 20));
  const u32 = new Uint32Array(u8.buffer);
  for (
    const key of [new Uint8Array(65_535).fill(7), "k".repeat(65_535), "ä".repeat(32_767) + "k"]
  ) {
    const end = encodeEntry(u8, u32, 0, EntryType.put, 1, key, "value");
    assert.deepEqual(decode(u8, end)[0].key, bytesOf(key));
  }
  for (const key of [new Uint8Array(65_536), "k".repeat(65_536), "ä".repeat(32_768)]) {
    assert.throws(() => encodeEntry(u8, u32, 0, EntryType.put, 1, key, ""), {
      code: "ERR_TOO_LARGE",
    });
  }
});

test("half a surrogate pair is refused in key and value", () => {
  const u8 = new Uint8Array(new ArrayBuffer(4096));
  const u32 = new Uint32Array(u8.buffer);
  for (const [key, value] of [["\ud800", ""], ["", "x\udc00"], ["x".repeat(100) + "\ud800", ""]]) {
    assert.throws(() => encodeEntry(u8, u32, 0, EntryType.put, 0, key, value), {
      code: "ERR_INVALID_ARGUMENT",
    });
  }
});

test("the header is the three words that the picture shows", () => {
  assert.equal(LogEntry.BYTES, 12);
  const u8 = new Uint8Array(new ArrayBuffer(64));
  const end = encodeEntry(u8, new Uint32Array(u8.buffer), 0, EntryType.put, 3, "ab", "xyz");
  assert.deepEqual([...u8.subarray(0, end)], [
    ...[1, 0, 2, 0],
    ...[3, 0, 0, 0],
    ...[3, 0, 0, 0],
    ...[0x61, 0x62, 0, 0],
    ...[0x78, 0x79, 0x7a, 0],
  ]);
});
