/** The memtable by itself: the point index as it grows, versions by sequence number, sizes at their limits. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { SEQUENCE_MAX } from "../../src/base/sequence.ts";
import { wordsOf } from "../../src/base/words.ts";
import { Memtable } from "../../src/memtable/memtable.ts";
import { hashWords, KeyProbe } from "../../src/memtable/key_probe.ts";
import { EntryType, MemtableHeader } from "../../src/native/layout.gen.ts";
import { type Region, releaseRegion, reserveRegion } from "../../src/native/region.ts";
import { Varve } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";

const VALUE_AT = 128 * 1024;

/** A memtable, and keys and values as strings. */
class Table {
  readonly memtable: Memtable;
  readonly #scratch: Region;
  readonly #probe: KeyProbe;

  constructor(budgetBytes = 1 << 20, keyBytes = 0, valueBytes = 0) {
    this.memtable = Memtable.create(3, budgetBytes, keyBytes, valueBytes);
    this.#scratch = reserveRegion(VALUE_AT + valueBytes + 65_536);
    this.#probe = new KeyProbe(this.#scratch, 0);
  }

  insert(key: Uint8Array | string, sequence: number, value: Uint8Array | null, segment = 9): void {
    const type = value === null ? EntryType.delete : EntryType.put;
    const bytes = value ?? new Uint8Array(0);
    this.#probe.set(key);
    this.#scratch.u8.set(bytes, VALUE_AT);
    this.#scratch.u8.fill(0, VALUE_AT + bytes.length, VALUE_AT + wordsOf(bytes.length) * 4);
    assert.ok(this.memtable.fits(this.#probe.bytes, bytes.length));
    this.memtable.insert(this.#probe, type, sequence, VALUE_AT >> 2, bytes.length, segment);
  }

  /** `undefined`: no entry; `null`: a delete. */
  find(key: Uint8Array | string, sequence = SEQUENCE_MAX): Uint8Array | null | undefined {
    this.#probe.set(key);
    const entry = this.memtable.find(this.#probe, sequence);
    if (entry === 0) return undefined;
    if (this.memtable.typeOf(entry) === EntryType.delete) return null;
    const start = this.memtable.valueStartOf(entry, this.#probe.bytes) * 4;
    return this.memtable.region.u8.slice(start, start + this.memtable.valueBytesOf(entry));
  }

  release(): void {
    this.memtable.release();
    releaseRegion(this.#scratch.id);
  }
}

function bytesOf(number: number): Uint8Array {
  return new TextEncoder().encode(String(number));
}

/** The only word whose hash as a key is this. */
function wordOfHash(hash: number): number {
  let word = unshifted(hash, 15);
  word = unshifted(Math.imul(word, inverseOf(0xc2b2ae35)), 16);
  word = Math.imul(word - 0xe6546b64, inverseOf(5));
  word = (word >>> 13) | (word << 19);
  word = Math.imul(word, inverseOf(0x85ebca6b)) ^ (4 ^ 0x9e3779b9);
  assert.equal(hashWords(Uint32Array.of(word), 0, 4), hash >>> 0);
  return word >>> 0;
}

/** Undoes `x ^ (x >>> bits)`, of at least 11 bits. */
function unshifted(mixed: number, bits: number): number {
  return mixed ^ (mixed >>> bits) ^ (bits < 16 ? mixed >>> (2 * bits) : 0);
}

/** Of an odd number, modulo 2^32. */
function inverseOf(factor: number): number {
  let inverse = factor;
  for (let round = 0; round < 5; round++) {
    inverse = Math.imul(inverse, 2 - Math.imul(factor, inverse));
  }
  return inverse;
}

test("the point index grows past every step, no step is large, and no key is lost or made up", () => {
  const table = new Table(16 << 20);
  const count = 120_000;
  const { u32 } = table.memtable.region;
  const steps = new Set<number>();
  for (let index = 0; index < count; index++) {
    const before = table.memtable.bytes;
    table.insert(`key ${index}`, index + 1, bytesOf(index));
    assert.ok(
      table.memtable.bytes - before < 68 * 1024,
      "two arrays of 4,096 slots, and a directory",
    );
    const slotCount = u32[MemtableHeader.slotCount >> 2];
    if (!steps.has(slotCount)) {
      steps.add(slotCount);
      for (let back = index; back >= 0; back -= 1 + (index >> 6)) {
        assert.deepEqual(table.find(`key ${back}`), bytesOf(back));
      }
    }
    assert.ok(slotCount * 3 >= (index + 1) * 4, "slots per key stay above 4/3");
  }
  assert.deepEqual([...steps].slice(0, 5), [256, 1024, 4096, 8192, 12_288]);
  assert.ok(steps.size > 30, `${steps.size} steps`);
  assert.equal(table.memtable.entryCount, count);
  assert.equal(table.memtable.lastSequence, count);
  for (let index = 0; index < count; index += 7) {
    assert.deepEqual(table.find(`key ${index}`), bytesOf(index));
    assert.equal(table.find(`kex ${index}`), undefined);
  }
  table.release();
});

test("keys whose hashes were made to collide take no more of the memtable than others", () => {
  const table = new Table(4 << 20);
  const key = new Uint8Array(4);
  const word = new Uint32Array(key.buffer);
  const count = 20_000;
  const keyOf = (index: number): Uint8Array => {
    word[0] = wordOfHash((0x1234 << 16) | index);
    return key;
  };
  for (let index = 0; index < count; index++) {
    table.insert(keyOf(index), index + 1, new Uint8Array(0));
  }
  for (let index = 0; index < count; index++) {
    assert.deepEqual(table.find(keyOf(index), SEQUENCE_MAX), new Uint8Array(0));
    assert.equal(table.find(keyOf(index), index), undefined);
  }
  assert.ok(table.memtable.bytes < 2 << 20, `${table.memtable.bytes} bytes`);
  table.release();
});

test("find() gives the newest version up to a sequence number", () => {
  const table = new Table();
  const versions = [3, 4, 10, 11, 500];
  for (const sequence of versions) {
    table.insert("key", sequence, sequence === 10 ? null : bytesOf(sequence));
  }
  for (let sequence = 0; sequence <= 501; sequence++) {
    const newest = versions.findLast((one) => one <= sequence);
    const expected = newest === undefined ? undefined : newest === 10 ? null : bytesOf(newest);
    assert.deepEqual(table.find("key", sequence), expected, String(sequence));
  }
  table.release();
});

test("sequence numbers on both sides of 2^32, 2^33 and near 2^53 are kept apart", () => {
  for (const middle of [2 ** 32, 2 ** 33, 2 ** 40 + 2 ** 32, Number.MAX_SAFE_INTEGER - 3]) {
    const table = new Table();
    const versions = [-3, -2, -1, 0, 1, 2].map((step) => middle + step);
    for (const sequence of versions) table.insert("key", sequence, bytesOf(sequence));
    for (const sequence of versions) {
      assert.deepEqual(table.find("key", sequence), bytesOf(sequence), String(sequence));
    }
    assert.equal(table.find("key", middle - 4), undefined);
    assert.deepEqual(table.find("key", SEQUENCE_MAX), bytesOf(middle + 2));
    assert.equal(table.memtable.lastSequence, middle + 2);
    // Deletes keep their type beside the high bits.
    table.insert("gone", middle + 3, null);
    assert.equal(table.find("gone"), null);
    assert.equal(table.find("gone", middle + 2), undefined);
    table.release();
  }
});

test("empty keys, the longest keys, and keys that differ in their padding only", () => {
  const table = new Table(4 << 20);
  const long = new Uint8Array(65_535).fill(0x61);
  const longer = long.slice();
  longer[65_534] = 0x62;
  const keys = [
    new Uint8Array(0),
    Uint8Array.of(0),
    Uint8Array.of(0, 0),
    Uint8Array.of(0, 0, 0),
    Uint8Array.of(0, 0, 0, 0),
    Uint8Array.of(0, 0, 0, 0, 0),
    long,
    longer,
    long.slice(0, 65_534),
  ];
  keys.forEach((key, index) => table.insert(key, index + 1, bytesOf(index)));
  keys.forEach((key, index) => assert.deepEqual(table.find(key), bytesOf(index), `key ${index}`));
  assert.equal(table.find(Uint8Array.of(0, 0, 0, 0, 0, 0)), undefined);
  assert.throws(() => table.find(new Uint8Array(65_536)), { code: "ERR_TOO_LARGE" });
  table.release();
});

test("an entry larger than the budget gets a memtable of its own, with room for its indexes", () => {
  const value = new Uint8Array(5_000_000).map((_, index) => index * 7);
  const table = new Table(65_536, 65_535, value.length);
  const key = new Uint8Array(65_535).fill(1);
  table.insert(key, 1, value);
  assert.deepEqual(table.find(key), value);
  assert.ok(!table.memtable.fits(100, 100), "and nothing else belongs in it");
  table.release();
});

test("values that shrink, grow and are deleted: each version keeps its own bytes", () => {
  const value = fc.option(fc.uint8Array({ maxLength: 300 }), { nil: null });
  const write = fc.record({ key: fc.nat(20), value });
  fc.assert(
    fc.property(fc.array(write, { maxLength: 200 }), fc.nat(), (writes, base) => {
      const table = new Table();
      const first = Math.floor((base / 2 ** 31) * 2 ** 52) + 1;
      const model: Map<number, Uint8Array | null>[] = [new Map()];
      writes.forEach(({ key, value }, index) => {
        table.insert(`key ${key}`, first + index, value);
        model.push(new Map(model[index]).set(key, value));
      });
      for (let index = 0; index < model.length; index += 13) {
        for (let key = 0; key <= 20; key++) {
          assert.deepEqual(table.find(`key ${key}`, first + index - 1), model[index].get(key));
        }
      }
      const { f64, u32 } = table.memtable.region;
      if (writes.length > 0) assert.equal(f64[MemtableHeader.firstSequence >> 3], first);
      const deletes = writes.filter(({ value }) => value === null).length;
      assert.equal(u32[MemtableHeader.deleteCount >> 2], deletes);
      table.release();
    }),
    { numRuns: 40 },
  );
});

test("the oldest segment that is needed, and entries that no log holds, are counted", () => {
  const table = new Table();
  assert.equal(table.memtable.firstSegment, 0);
  table.insert("volatile", 1, bytesOf(1), 0);
  assert.deepEqual([table.memtable.firstSegment, table.memtable.volatileCount], [0, 1]);
  table.insert("logged", 2, bytesOf(2), 12);
  table.insert("logged later", 3, bytesOf(3), 13);
  assert.deepEqual([table.memtable.firstSegment, table.memtable.volatileCount], [12, 1]);
  table.release();
});

test("filled to its budget with the smallest entries, a memtable's indexes still fit its reserve", () => {
  for (const budget of [65_536, 1 << 20]) {
    const table = new Table(budget);
    const key = new Uint8Array(4);
    const view = new DataView(key.buffer);
    let count = 0;
    while (table.memtable.fits(4, 0)) {
      view.setUint32(0, Math.imul(count, 0x9e3779b1));
      table.insert(key, ++count, new Uint8Array(0));
    }
    assert.ok(table.memtable.bytes <= table.memtable.region.bytes);
    table.release();
  }
});

test("a write buffer larger than any region is used as far as one goes", async () => {
  const path = temporaryDirectory();
  const sizes = { writeBufferSize: 2 ** 40, totalWriteBufferSize: 2 ** 41 };
  await using db = await Varve.open(path, sizes);
  await db.put("key", "value");
  assert.equal(db.getSync("key")!.length, 5);
});
