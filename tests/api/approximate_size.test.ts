/** `approximateSize(range)`: near the truth for tables and for memory, and cheap. */
import assert from "node:assert/strict";
import { Varve } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { coded, keyOf } from "./support.ts";

const COUNT = 20_000;
const VALUE_BYTES = 100;
const ROW_BYTES = 8 + VALUE_BYTES;

async function fill(db: Varve): Promise<void> {
  for (let index = 0; index < COUNT; index++) void db.put(keyOf(index), "v".repeat(VALUE_BYTES));
  await db.sync();
}

/** Parts of the keys, and the share of all that they are. */
const PARTS = [
  [{}, 1],
  [{ gte: keyOf(0), lt: keyOf(COUNT) }, 1],
  [{ lt: keyOf(COUNT / 2) }, 0.5],
  [{ gt: keyOf(COUNT / 4), lte: keyOf(COUNT / 2) }, 0.25],
  [{ gte: keyOf(COUNT * 0.9) }, 0.1],
  [{ gte: keyOf(COUNT) }, 0],
  [{ lt: "0" }, 0],
  [{ gte: keyOf(5), lt: keyOf(5) }, 0],
] as const;

test("a share of the table files, to whole blocks; all of them for the whole family", async () => {
  await using db = await Varve.open(temporaryDirectory(), { durability: "buffered" });
  assert.equal(await db.approximateSize(), 0);
  await fill(db);
  await db.flush();
  const all = db.stats().columnFamilies.default.levels[0].bytes;
  assert.equal(await db.approximateSize(), all);
  for (const [range, share] of PARTS) {
    const size = await db.approximateSize(range);
    assert.ok(Math.abs(size - share * all) < 16_384, `${JSON.stringify(range)}: ${size} of ${all}`);
  }
  const { calls } = db.stats().read;
  await db.approximateSize({ gte: keyOf(7) });
  assert.equal(db.stats().read.calls, calls, "something was read");
});

test("memory counts too: exactly when it holds little, and about right when it holds much", async () => {
  await using db = await Varve.open(temporaryDirectory(), { durability: "buffered" });
  for (let index = 0; index < 100; index++) await db.put(keyOf(index), "v".repeat(VALUE_BYTES));
  assert.equal(await db.approximateSize(), 100 * ROW_BYTES);
  assert.equal(await db.approximateSize({ lt: keyOf(30) }), 30 * ROW_BYTES);
  await fill(db);
  for (const [range, share] of PARTS) {
    const size = await db.approximateSize(range);
    const truth = share * COUNT * ROW_BYTES;
    const off = Math.abs(size - truth) / (COUNT * ROW_BYTES);
    assert.ok(
      off < (share === 0 || share === 1 ? 0.001 : 0.12),
      `${JSON.stringify(range)}: ${size}`,
    );
  }
  const before = await db.approximateSize();
  await db.flush();
  for (let index = 0; index < 100; index++) await db.put(`z${index}`, "v".repeat(VALUE_BYTES));
  const both = await db.approximateSize();
  assert.ok(Math.abs(both - before) < 0.2 * before, `${before} became ${both}`);
});

test("a bad range, a dropped family and a closed store are refused", async () => {
  const db = await Varve.open(temporaryDirectory());
  const family = await db.columnFamily("f");
  await assert.rejects(db.approximateSize({ gte: 7 as never }), coded("ERR_INVALID_ARGUMENT"));
  await assert.rejects(db.approximateSize({ lt: "k".repeat(70_000) }), coded("ERR_TOO_LARGE"));
  await db.dropColumnFamily("f");
  await assert.rejects(family.approximateSize(), coded("ERR_COLUMN_FAMILY_DROPPED"));
  await db.close();
  await assert.rejects(db.approximateSize(), coded("ERR_CLOSED"));
});
