/** Whose memory it is: what goes in is taken at the call, what comes out is the caller's for ever. */
import assert from "node:assert/strict";
import { Varve } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { text } from "./support.ts";

const SHARED_BYTES_MAX = 4_096;

test("buffers may be reused as soon as put, delete or a batch's put has returned", async () => {
  const path = temporaryDirectory();
  const key = new Uint8Array(4);
  const value = new Uint8Array(100_000);
  {
    await using db = await Varve.open(path);
    const pending: Promise<void>[] = [];
    const batch = db.batch();
    for (let index = 1; index <= 50; index++) {
      key.fill(index);
      value.fill(index);
      pending.push(db.put(key, value));
      key.fill(index + 100);
      batch.put(key, value.subarray(0, 10));
    }
    key.fill(7);
    pending.push(db.delete(key), batch.write());
    key.fill(255);
    value.fill(255);
    await Promise.all(pending);
    for (let index = 1; index <= 50; index++) {
      const found = db.getSync(new Uint8Array(4).fill(index));
      if (index === 7) assert.equal(found, undefined);
      else assert.deepEqual(found, new Uint8Array(100_000).fill(index));
    }
  }
  await using db = await Varve.open(path);
  assert.equal(await db.count(), 99);
  const found = await db.get(new Uint8Array(4).fill(103));
  assert.deepEqual(found, new Uint8Array(10).fill(3));
});

test("a buffer may be transferred right after put returned", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const value = new Uint8Array(1_000).fill(5);
  const written = db.put("k", value);
  structuredClone(value.buffer, { transfer: [value.buffer] });
  assert.equal(value.length, 0);
  await written;
  assert.deepEqual(db.getSync("k"), new Uint8Array(1_000).fill(5));
});

test("a key's and a range's buffers may be reused while a read is pending", async () => {
  const path = temporaryDirectory();
  {
    await using db = await Varve.open(path);
    await db.put("abcd", "v");
    await db.flush();
  }
  await using db = await Varve.open(path);
  const key = new TextEncoder().encode("abcd");
  const reads = [db.get(key), db.getMany([key]).then(([value]) => value)];
  const range = { gte: key, lte: key };
  const rows = db.values(range);
  const count = db.count(range);
  key.fill(0);
  for (const read of reads) assert.equal(text(await read), "v");
  assert.equal(await count, 1);
  assert.deepEqual((await Array.fromAsync(rows)).map(text), ["v"]);
});

test("results are the caller's to change and to keep, whatever happens to the store", async () => {
  const db = await Varve.open(temporaryDirectory(), {
    durability: "buffered",
    writeBufferSize: 64 * 1024,
    blockCacheSize: 64 * 1024,
  });
  const valueOf = (index: number, size: number) => new Uint8Array(size).fill(index & 255);
  const sizes = [1, 100, 4_095, 4_096, 20_000];
  for (let index = 0; index < 100; index++) {
    await db.put(`k${index}`, valueOf(index, sizes[index % sizes.length]));
  }
  const kept: [number, Uint8Array][] = [];
  for (let round = 0; round < 3; round++) {
    for (let index = 0; index < 100; index++) {
      const key = `k${index}`;
      const results = [db.getSync(key)!, (await db.get(key))!, (await db.getMany([key]))[0]!];
      for (const result of results) {
        assert.deepEqual(result, valueOf(index, sizes[index % sizes.length]));
        result.fill(index + 1); // mine to change
        kept.push([index, result]);
      }
      assert.deepEqual(db.getSync(key), valueOf(index, sizes[index % sizes.length]));
    }
    for (const [key, value] of db.entries()) {
      const index = Number(text(key)!.slice(1));
      value.fill(index + 1);
      key.fill(0);
      kept.push([index, value]);
    }
    await db.flush();
  }
  for (let index = 0; index < 1_000; index++) {
    db.put(`other${index}`, new Uint8Array(1_000).fill(9));
  }
  await db.close();
  for (const [index, value] of kept) {
    assert.deepEqual(value, valueOf(index + 1, sizes[index % sizes.length]));
  }
});

test("results of 4 KiB and more own their buffer, and it can be transferred", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const sizes = [SHARED_BYTES_MAX, SHARED_BYTES_MAX + 1, 100_000];
  for (const size of sizes) await db.put(`k${size}`, new Uint8Array(size).fill(3));
  for (let round = 0; round < 2; round++) {
    for (const size of sizes) {
      const iterated = [...db.values()].find(({ length }) => length === size)!;
      for (const value of [db.getSync(`k${size}`)!, (await db.get(`k${size}`))!, iterated]) {
        assert.equal(value.byteOffset, 0);
        assert.equal(value.buffer.byteLength, size);
        const moved = structuredClone(value.buffer, { transfer: [value.buffer] });
        assert.equal(new Uint8Array(moved)[size - 1], 3);
      }
      assert.deepEqual(db.getSync(`k${size}`), new Uint8Array(size).fill(3));
    }
    await db.flush();
  }
});

test("small results never lie in the store's own memory: transferring their shared buffer harms no store", async () => {
  await using db = await Varve.open(temporaryDirectory());
  await db.put("k", "value");
  const value = db.getSync("k")!;
  structuredClone(value.buffer, { transfer: [value.buffer] });
  assert.equal(text(db.getSync("k")), "value");
  await db.put("l", "other");
  assert.equal(text(await db.get("l")), "other");
});
