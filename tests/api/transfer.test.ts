/** `allocate`, `release` and `put` with `transfer`: who owns the memory at every moment. */
import assert from "node:assert/strict";
import { Varve } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { assertBytes, valueOf } from "./large_support.ts";
import { coded } from "./support.ts";

const MIB = 1024 * 1024;

/** An allocated array with this content. */
function filled(db: Varve, seed: number, bytes: number): Uint8Array<ArrayBuffer> {
  const array = db.allocate(bytes);
  array.set(valueOf(seed, bytes));
  return array;
}

test("an array that is handed over is detached, and its content is the value", async () => {
  await using db = await Varve.open(temporaryDirectory());
  for (const [seed, bytes] of [0, 1, 100, 65_535, 65_536, 100_000, MIB, 5 * MIB].entries()) {
    const array = filled(db, seed, bytes);
    assert.equal(array.length, bytes);
    const writing = db.put(`async ${bytes}`, array, { transfer: true });
    assert.equal(array.length, 0, "detached at the call");
    assert(array.buffer.detached);
    await writing;
    const other = filled(db, seed, bytes);
    db.putSync(`sync ${bytes}`, other, { transfer: true });
    assert(other.buffer.detached);
    assertBytes(db.getSync(`async ${bytes}`), valueOf(seed, bytes), `async, ${bytes}`);
    assertBytes(await db.get(`sync ${bytes}`), valueOf(seed, bytes), `sync, ${bytes}`);
  }
  const { blobs } = db.stats();
  assert.equal(blobs.transferred, 8);
  assert.equal(blobs.copiedBytes, 0, "no large value was copied");
});

test("a view from the start of an array is a value, the rest is not", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const array = filled(db, 1, 200_000);
  await db.put("k", array.subarray(0, 150_000), { transfer: true });
  assert.equal(array.length, 0);
  assertBytes(db.getSync("k"), valueOf(1, 200_000).subarray(0, 150_000), "the front");
});

test("a call that is refused for its arguments leaves the array alone", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const names = await db.columnFamily("names", { valueEncoding: "utf8" });
  const array = filled(db, 2, 100_000);
  const put = (value: Uint8Array, key: string | Uint8Array = "k") =>
    db.put(key, value, { transfer: true });
  const invalid = coded("ERR_INVALID_ARGUMENT");
  await assert.rejects(put(array.subarray(1)), invalid, "not from the start");
  await assert.rejects(put(new Uint8Array(100_000)), invalid, "not ours");
  await assert.rejects(put(new Uint8Array(0)), invalid, "not ours, and empty");
  await assert.rejects(put("text" as never), invalid);
  await assert.rejects(put(array, new Uint8Array(70_000)), coded("ERR_TOO_LARGE"));
  await assert.rejects(put(array, "\ud800"), invalid);
  await assert.rejects(names.put("k", array as never, { transfer: true }), invalid);
  await assert.rejects(db.put("k", array, { transfer: true, ttl: -1 }), invalid);
  assert.throws(() => db.putSync("k", array.subarray(1), { transfer: true }), invalid);
  const aborted = AbortSignal.abort(new Error("stop"));
  await assert.rejects(db.put("k", array, { transfer: true, signal: aborted }), /stop/);
  assertBytes(array, valueOf(2, 100_000), "still the caller's");
  await put(array);
  assertBytes(db.getSync("k"), valueOf(2, 100_000), "k");
});

test("an array that was handed over or given back is nobody's: every use of it is refused", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const invalid = coded("ERR_INVALID_ARGUMENT");
  const handed = filled(db, 3, 100_000);
  await db.put("k", handed, { transfer: true });
  await assert.rejects(db.put("k", handed, { transfer: true }), invalid);
  await assert.rejects(db.put("k", handed), invalid, "a detached array is no value");
  assert.throws(() => db.release(handed), invalid);
  const released = db.allocate(100_000);
  db.release(released);
  assert.equal(released.length, 0);
  assert.throws(() => db.release(released), invalid);
  await assert.rejects(db.put("k", released, { transfer: true }), invalid);
  assert.throws(() => db.release(new Uint8Array(10)), invalid);
  const empty = db.allocate(0);
  db.release(empty);
  assert.throws(() => db.release(empty), invalid);
  assertBytes(db.getSync("k"), valueOf(3, 100_000), "k");
});

test("memory that its user transferred elsewhere is never used again", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const array = filled(db, 4, 100_000);
  const elsewhere = new Uint8Array(array.buffer.transfer());
  await assert.rejects(
    db.put("k", array, { transfer: true }),
    coded("ERR_INVALID_ARGUMENT"),
  );
  assert.throws(() => db.release(array), coded("ERR_INVALID_ARGUMENT"));
  await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      db.put(`k${index}`, filled(db, index, 100_000), {
        transfer: true,
      })),
  );
  assertBytes(elsewhere, valueOf(4, 100_000), "as it was");
});

test("memory goes round: what is handed over serves the next allocation", async () => {
  await using db = await Varve.open(temporaryDirectory(), { durability: "buffered" });
  for (let round = 0; round < 200; round++) {
    const array = db.allocate(MIB);
    array.fill(round & 0xff);
    await db.put("k", array, { transfer: true });
  }
  assertBytes(db.getSync("k"), new Uint8Array(MIB).fill(199), "the last one");
  const arrays = Array.from({ length: 8 }, (_, index) => filled(db, index, MIB));
  arrays.forEach((array, index) => assertBytes(array, valueOf(index, MIB), "no two share memory"));
  await Promise.all(arrays.map((array, index) => db.put(`k${index}`, array, { transfer: true })));
  for (let index = 0; index < 8; index++) {
    assertBytes(db.getSync(`k${index}`), valueOf(index, MIB), `k${index}`);
  }
});

test("closing a handle takes back what is out, of that handle alone", async () => {
  const path = temporaryDirectory();
  await using first = await Varve.open(path);
  const second = await Varve.open(path);
  const [kept, lost] = [filled(first, 5, 100_000), filled(second, 6, 100_000)];
  await assert.rejects(
    first.put("k", lost, { transfer: true }),
    coded("ERR_INVALID_ARGUMENT"),
    "another handle's",
  );
  await second.close();
  assert.equal(lost.length, 0);
  assert.throws(() => second.allocate(8), coded("ERR_CLOSED"));
  assert.throws(() => second.release(lost), coded("ERR_CLOSED"));
  await first.put("k", kept, { transfer: true });
  assertBytes(first.getSync("k"), valueOf(5, 100_000), "k");
});

test("an allocation takes a whole number of bytes up to 1 GiB", async () => {
  await using db = await Varve.open(temporaryDirectory());
  for (const bytes of [-1, 0.5, NaN, Infinity, "8" as never, undefined as never]) {
    assert.throws(() => db.allocate(bytes), coded("ERR_INVALID_ARGUMENT"), String(bytes));
  }
  assert.throws(() => db.allocate(2 ** 30 + 1), coded("ERR_TOO_LARGE"));
});
