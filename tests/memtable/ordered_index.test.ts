/** The ordered index is extended when somebody asks for order: a put does not pay, an iterator pays for what is new. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { temporaryDirectory, test } from "../harness.ts";
import { Varve } from "../../mod.ts";

const OPTIONS = {
  durability: "buffered",
  keyEncoding: "utf8",
  valueEncoding: "utf8",
  writeBufferSize: 256 << 20,
} as const;

test("a put and an iteration by turns cost the same on a large memtable as on a small one", () => {
  const entryCount = 500_000;
  const pairCount = 2_000;
  const db = Varve.openSync(temporaryDirectory(), { ...OPTIONS, totalWriteBufferSize: 512 << 20 });
  const batchSize = 50_000;
  for (let start = 0; start < entryCount; start += batchSize) {
    const batch = db.batch();
    for (let index = start; index < start + batchSize; index++) {
      batch.put(`key ${Math.imul(index, 0x9e3779b1) >>> 0}`, "value");
    }
    batch.writeSync({ durability: "volatile" });
  }
  assert.equal([...db.entries({ limit: 1 })].length, 1); // the first one orders all
  const pair = (index: number): void => {
    db.putSync(`new ${index * 7919 % pairCount}`, "value", { durability: "volatile" });
    for (const [key] of db.entries({ gte: `new ${index * 7919 % pairCount}`, limit: 1 })) {
      assert.equal(key, `new ${index * 7919 % pairCount}`);
    }
  };
  for (let index = 0; index < 300; index++) pair(index); // warms up
  const started = performance.now();
  for (let index = 300; index < pairCount; index++) pair(index);
  const microseconds = (performance.now() - started) * 1000 / (pairCount - 300);
  console.log(
    `a put and entries({ limit: 1 }) on ${entryCount} entries: ${microseconds.toFixed(1)} µs`,
  );
  assert.ok(microseconds < 200, `${microseconds} µs a pair`);
  assert.equal(db.stats().columnFamilies.default.frozenMemtables, 0, "all of it was one memtable");
  db.closeSync();
});

test("iteration between any writes shows each key once, newest version, in order", () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ put: fc.string({ maxLength: 6 }) }) },
    { weight: 2, arbitrary: fc.record({ delete: fc.string({ maxLength: 6 }) }) },
    { weight: 2, arbitrary: fc.record({ iterate: fc.boolean() }) },
  );
  const db = Varve.openSync(temporaryDirectory(), OPTIONS);
  let round = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const family = db.columnFamilySync(`round ${round++}`, {
        keyEncoding: "binary",
        valueEncoding: "utf8",
        writeBufferSize: 65_536,
      });
      const model = new Map<string, string>();
      const check = (reverse: boolean): void => {
        const keys = [...model.keys()].map((key) => new TextEncoder().encode(key));
        keys.sort((a, b) => compare(a, b) * (reverse ? -1 : 1));
        const rows = [...family.entries({ reverse })];
        assert.deepEqual(rows.map(([key]) => key.slice()), keys);
        for (const [key, value] of rows) {
          assert.equal(value, model.get(new TextDecoder().decode(key)));
        }
      };
      steps.forEach((one, index) => {
        if ("put" in one) {
          family.putSync(one.put, String(index));
          model.set(one.put, String(index));
        } else if ("delete" in one) {
          family.deleteSync(one.delete);
          model.delete(one.delete);
        } else check(one.iterate);
      });
      check(false);
      db.dropColumnFamilySync(family.name);
    }),
    { numRuns: 60 },
  );
  db.closeSync();
});

test("an iterator that is open does not see what is put while it runs", () => {
  const db = Varve.openSync(temporaryDirectory(), OPTIONS);
  for (let index = 0; index < 3000; index++) {
    db.putSync(`key ${String(index).padStart(5, "0")}`, "old");
  }
  let seen = 0;
  for (const [key, value] of db.entries()) {
    assert.equal(value, "old", key);
    seen++;
    db.putSync(key, "new");
    db.putSync(`${key} more`, "new");
    if (seen % 100 === 0) db.deleteSync(`key ${String(seen + 50).padStart(5, "0")}`);
  }
  assert.equal(seen, 3000);
  db.closeSync();
});

test("keys of every length order by their bytes, prefixes first", () => {
  const db = Varve.openSync(temporaryDirectory(), { durability: "buffered" });
  const keys: Uint8Array[] = [new Uint8Array(0)];
  for (const length of [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 65_535]) {
    for (const last of [0x00, 0x01, 0x7f, 0x80, 0xff]) {
      keys.push(new Uint8Array(length).fill(0x80).fill(last, length - 1));
    }
  }
  for (let index = keys.length - 1; index >= 0; index -= 2) db.putSync(keys[index], "value");
  assert.equal([...db.keys()].length, Math.ceil(keys.length / 2));
  for (const key of keys) db.putSync(key, "value");
  const sorted = keys.toSorted(compare);
  assert.deepEqual(Array.from(db.keys(), (key) => key.slice()), sorted);
  assert.deepEqual(
    Array.from(db.keys({ reverse: true }), (key) => key.slice()),
    sorted.toReversed(),
  );
  db.closeSync();
});

function compare(a: Uint8Array, b: Uint8Array): number {
  for (let index = 0; index < Math.min(a.length, b.length); index++) {
    if (a[index] !== b[index]) return a[index] - b[index];
  }
  return a.length - b.length;
}
