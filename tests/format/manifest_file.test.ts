/** The framing of manifests and pointer files: each byte counts. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  checksumOfRecord,
  decodeManifest,
  decodePointer,
  encodeManifestHeader,
  encodeManifestRecord,
  encodePointer,
  MANIFEST_HEADER_BYTES,
} from "../../src/format/manifest_file.ts";
import { native } from "../../src/native/library.ts";
import { VarveError } from "../../src/base/errors.ts";
import { test } from "../harness.ts";

const STORE = { low: 0x89abcdef, high: 0x01234567 };
const PADDING = 4096;

function manifest(payloads: readonly Uint8Array[], padding = PADDING): Uint8Array {
  const header = encodeManifestHeader(7, STORE);
  let chain = checksumOfRecord(header);
  const parts = [header];
  for (const payload of payloads) {
    const record = encodeManifestRecord(payload, chain);
    chain = checksumOfRecord(record);
    parts.push(record);
  }
  const file = new Uint8Array(parts.reduce((sum, { length }) => sum + length, padding));
  let at = 0;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  return file;
}

const PAYLOADS = [5, 0, 8, 31, 16].map((length, index) => new Uint8Array(length).fill(index + 1));

function payloadsOf(file: Uint8Array): Uint8Array[] {
  return decodeManifest(file, "file").records.map(({ payload }) => payload);
}

test("records of any length are read again, with or without reserved space behind them", () => {
  fc.assert(fc.property(
    fc.array(fc.uint8Array({ maxLength: 200 }), { minLength: 1 }),
    fc.constantFrom(0, 8, 4096),
    (payloads, padding) => {
      const file = manifest(payloads, padding);
      const content = decodeManifest(file, "file");
      assert.deepEqual(content.records.map(({ payload }) => payload), payloads);
      assert.deepEqual(content.header, {
        number: 7,
        storeId: STORE,
        checksum: content.header.checksum,
      });
      assert.equal(content.end, file.length - padding);
      assert.equal(content.torn, false);
    },
  ));
});

test("each byte of a small manifest flipped: an error, or all but the last record intact", () => {
  const file = manifest(PAYLOADS);
  const { records } = decodeManifest(file, "file");
  const last = records.at(-1)!.offset;
  for (let offset = 0; offset < file.length; offset++) {
    for (const mask of [0x01, 0x80, 0xff]) {
      const damaged = file.slice();
      damaged[offset] ^= mask;
      try {
        const found = decodeManifest(damaged, "file");
        assert.deepEqual(
          found.records.map(({ payload }) => payload),
          offset < file.length - PADDING ? PAYLOADS.slice(0, -1) : PAYLOADS,
        );
        assert.ok(offset >= last, `byte ${offset} was believed`);
        assert.ok(found.torn, "what cannot be read is told from reserved space");
      } catch (error) {
        if (!(error instanceof VarveError)) throw error;
        assert.equal(error.code, "ERR_CORRUPTION");
        assert.equal(error.path, "file");
        assert.equal(typeof error.offset, "number");
        assert.ok(offset < last, `byte ${offset} of a torn append is no error`);
      }
    }
  }
});

test("a manifest cut anywhere holds whole records only; cut in its header or first record, it is damaged", () => {
  const file = manifest(PAYLOADS, 0);
  const { records } = decodeManifest(file, "file");
  for (let bytes = 0; bytes <= file.length; bytes++) {
    for (const restored of [0, PADDING]) {
      const part = new Uint8Array(bytes + restored);
      part.set(file.subarray(0, bytes));
      // A record may end in zeros, which reserved space gives back.
      const whole = records.filter(({ offset, payload }) => {
        const end = offset + Math.ceil((16 + payload.length) / 8) * 8;
        return end <= part.length &&
          part.slice(offset, end).every((byte, at) => byte === file[offset + at]);
      });
      if (whole.length === 0) {
        assert.throws(() => decodeManifest(part, "file"), { code: "ERR_CORRUPTION", path: "file" });
        continue;
      }
      assert.deepEqual(payloadsOf(part), whole.map(({ payload }) => payload));
    }
  }
});

test("damage before a sound record is ERR_CORRUPTION at the damage, however far behind the sound one is", () => {
  const file = manifest([...PAYLOADS, new Uint8Array(10_000), Uint8Array.of(9)]);
  const { records } = decodeManifest(file, "file");
  for (const { offset } of records.slice(0, -1)) {
    const damaged = file.slice();
    damaged[offset + 9] ^= 0x10; // its length
    assert.throws(() => decodeManifest(damaged, "file"), { code: "ERR_CORRUPTION", offset });
  }
});

test("a sound record out of its place is not believed", () => {
  const file = manifest(PAYLOADS);
  const { records } = decodeManifest(file, "file");
  const [first, second, third] = records.map(({ offset }) => offset);
  const repeated = file.slice();
  repeated.set(file.subarray(first, second), third); // 24 bytes over 24
  assert.throws(() => decodeManifest(repeated, "file"), { code: "ERR_CORRUPTION", offset: third });
  // In the last place too: an append that was cut off leaves no sound record.
  const atEnd = manifest(PAYLOADS.slice(0, 3));
  const end = decodeManifest(atEnd, "file").end;
  atEnd.set(file.subarray(first, second), end);
  assert.throws(() => decodeManifest(atEnd, "file"), { code: "ERR_CORRUPTION", offset: end });
});

test("a newer version is refused by its number; another file, and another number, are named", () => {
  const newer = manifest(PAYLOADS);
  const view = new DataView(newer.buffer);
  view.setUint32(8, 2, true);
  const covered = newer.slice(4, MANIFEST_HEADER_BYTES);
  view.setUint32(0, native().call.varve_checksum(covered, covered.length) >>> 0, true);
  assert.throws(() => decodeManifest(newer, "file"), {
    message: /format version 2, this library knows 1/,
  });
  assert.throws(() => decodeManifest(new Uint8Array(100), "file"), { message: /not a manifest/ });
});

test("lengths that lie are bounded by what remains", () => {
  const file = manifest(PAYLOADS);
  for (const length of [0xffff_ffff, 0xffff_fff0, 0x7fff_ffff, file.length]) {
    const damaged = file.slice();
    new DataView(damaged.buffer).setUint32(MANIFEST_HEADER_BYTES + 8, length, true);
    assert.throws(() => decodeManifest(damaged, "file"), { code: "ERR_CORRUPTION" });
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
    assert.throws(() => decodeManifest(bytes, "file"), { code: "ERR_CORRUPTION" });
  }));
});

test("a pointer file names its manifest; each byte of it counts", () => {
  for (const number of [1, 42, 999_999, 1_000_000, 2 ** 53 - 1]) {
    assert.equal(decodePointer(encodePointer(number), "CURRENT"), number, String(number));
  }
  const pointer = encodePointer(42);
  for (let offset = 0; offset < pointer.length; offset++) {
    for (let bit = 0; bit < 8; bit++) {
      const damaged = pointer.slice();
      damaged[offset] ^= 1 << bit;
      assert.throws(() => decodePointer(damaged, "CURRENT"), {
        code: "ERR_CORRUPTION",
        path: "CURRENT",
      });
    }
    assert.throws(() => decodePointer(pointer.subarray(0, offset), "CURRENT"), {
      code: "ERR_CORRUPTION",
    });
  }
  const longer = new Uint8Array([...pointer, 10]);
  assert.throws(() => decodePointer(longer, "CURRENT"), { code: "ERR_CORRUPTION" });
});
