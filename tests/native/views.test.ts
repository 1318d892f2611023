/** The calls that take buffers, given every kind of view that a runtime may hand on (`runtimes.md`, 2.1 and hazard 1). */
import assert from "node:assert/strict";
import { native } from "../../src/native/library.ts";
import { releaseRegion, reserveRegion } from "../../src/native/region.ts";
import { KeyProbe } from "../../src/memtable/key_probe.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { Varve } from "../../mod.ts";

const { call } = native();

/** CRC-32C, a bit at a time: the definition, not our code. */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f6_3b78 : 0);
  }
  return ~crc >>> 0;
}

function checksum(bytes: Uint8Array): number {
  return call.varve_checksum(bytes, bytes.length) >>> 0;
}

function pattern(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + 7) & 0xff);
}

test("varve_checksum() is CRC-32C, for every length around the sizes that loops are unrolled by", () => {
  assert.equal(checksum(new TextEncoder().encode("123456789")), 0xe306_9283);
  const whole = pattern(1100);
  for (let length = 0; length <= 1100; length = length < 140 ? length + 1 : length + 61) {
    for (const start of [0, 1, 7]) {
      const part = whole.subarray(start, Math.min(whole.length, start + length));
      assert.equal(checksum(part), crc32c(part), `${part.length} bytes from ${start}`);
    }
  }
});

test("empty views of every origin are zero bytes", () => {
  const empties = [
    new Uint8Array(0),
    new Uint8Array(new ArrayBuffer(0)),
    pattern(8).subarray(3, 3),
    new Uint8Array(new SharedArrayBuffer(0)),
  ];
  for (const empty of empties) assert.equal(checksum(empty), 0);
});

test("a detached view is zero bytes, not a fault", () => {
  for (const length of [16, 1000, 100_000]) {
    const bytes = pattern(length);
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    assert.equal(checksum(bytes), 0);
    // A pointer that is null with a length that is not: the library believes the pointer.
    assert.equal(call.varve_checksum(bytes, length) >>> 0, 0);
    assert.equal(call.varve_errno_name(2, bytes, length), 0);
    assert.equal(call.varve_error_detail(bytes, length), 0);
    assert.ok(call.varve_store_open(0, bytes, length, 0, 1, 16) < 0);
    assert.ok(call.varve_store_remove(0, bytes, length) < 0);
  }
});

test("views of shared and of resizable memory are read and written", () => {
  const shared = new Uint8Array(new SharedArrayBuffer(300));
  shared.set(pattern(300));
  assert.equal(checksum(shared), crc32c(pattern(300)));
  const resizable = new Uint8Array(new ArrayBuffer(300, { maxByteLength: 1000 }));
  resizable.set(pattern(300));
  assert.equal(checksum(resizable), crc32c(pattern(300)));
  for (const into of [shared, resizable]) {
    const bytes = call.varve_errno_name(2, into, into.length);
    assert.equal(new TextDecoder().decode(into.slice(0, bytes)), "ENOENT");
  }
});

test("an out buffer is never written beyond the length that was stated", () => {
  for (const room of [0, 1, 3, 5, 6, 7]) {
    const into = new Uint8Array(new ArrayBuffer(16)).fill(0xee);
    const bytes = call.varve_errno_name(2, into.subarray(4), room);
    assert.equal(bytes, Math.min(room, "ENOENT".length));
    assert.ok(into.subarray(0, 4).every((byte) => byte === 0xee));
    assert.ok(into.subarray(4 + bytes).every((byte) => byte === 0xee));
  }
});

/**
 * Bun keeps arrays of up to 1,000 bytes where its collector may move them, and moves them when a function becomes hot:
 * a pointer that outlives the call then reads what was left behind. We hand over views, call by call.
 */
test("small and large arrays keep their content under a hot loop, as input and as output", () => {
  for (const length of [1, 16, 999, 1000, 1001, 5000]) {
    const bytes = new Uint8Array(length);
    const into = new Uint8Array(32);
    let wrong = 0;
    for (let round = 0; round < 30_000; round++) {
      bytes[0] = round;
      if ((round & 1023) === 0) void bytes.buffer; // moves a small array's data in Bun
      const first = checksum(bytes.length > 16 ? bytes.subarray(0, 16) : bytes);
      if ((round & 63) === 0 && first !== crc32c(bytes.subarray(0, 16))) wrong++;
      into[0] = 0;
      call.varve_errno_name(2, into, 32);
      if (into[0] !== 0x45) wrong++; // E
    }
    assert.equal(wrong, 0, `${length} bytes`);
  }
});

test("keys and values of every kind of view are stored as they are at the call", () => {
  using db = Varve.openSync(temporaryDirectory(), { durability: "buffered" });
  const whole = pattern(2000);
  const shared = new Uint8Array(new SharedArrayBuffer(100));
  shared.set(pattern(100));
  const views = [
    whole.subarray(1, 1),
    whole.subarray(3, 10),
    whole.subarray(500, 1499),
    whole,
    new Uint8Array(0),
  ];
  for (const [index, view] of views.entries()) {
    db.putSync(`key ${index}`, view);
    db.putSync(view, "by view");
    assert.deepEqual(db.getSync(`key ${index}`), view.slice());
    assert.deepEqual(db.getSync(view.slice()), new TextEncoder().encode("by view"));
  }
  db.putSync("shared", shared);
  const expected = shared.slice();
  shared.fill(0);
  assert.deepEqual(db.getSync("shared"), Uint8Array.from(expected));
});

test("buffers changed or transferred right after `put` returns do not change what was put", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const pending: Promise<void>[] = [];
  for (const length of [3, 900, 1001, 70_000]) {
    const value = pattern(length);
    const key = new TextEncoder().encode(`changed ${length}`);
    pending.push(db.put(key, value));
    value.fill(0);
    key.fill(0);
    const moved = pattern(length);
    pending.push(db.put(`moved ${length}`, moved));
    structuredClone(moved.buffer, { transfer: [moved.buffer] });
  }
  await Promise.all(pending);
  for (const length of [3, 900, 1001, 70_000]) {
    assert.deepEqual(db.getSync(`changed ${length}`), pattern(length));
    assert.deepEqual(await db.get(`moved ${length}`), pattern(length));
  }
});

test("a detached key or value is ERR_INVALID_ARGUMENT", () => {
  using db = Varve.openSync(temporaryDirectory(), { durability: "buffered" });
  const gone = pattern(100);
  structuredClone(gone.buffer, { transfer: [gone.buffer] });
  for (
    const attempt of [
      () => db.putSync(gone, "value"),
      () => db.putSync("key", gone),
      () => db.getSync(gone),
      () => db.deleteSync(gone),
    ]
  ) assert.throws(attempt, { code: "ERR_INVALID_ARGUMENT" });
});

test("a probe hashes a key alike wherever its bytes lie", () => {
  const region = reserveRegion(65_536);
  const probe = new KeyProbe(region, 0);
  for (const length of [0, 1, 3, 4, 5, 999, 1000, 1001]) {
    const bytes = pattern(length + 8);
    probe.set(bytes.slice(5, 5 + length));
    const { hash } = probe;
    for (let round = 0; round < 2000; round++) {
      probe.set(bytes.subarray(5, 5 + length));
      assert.equal(probe.hash, hash);
    }
  }
  releaseRegion(region.id);
});
