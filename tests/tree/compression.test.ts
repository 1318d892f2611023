/** Compressed tables: what is read is what was written, damage is found, and the sizes are what they are. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type OpenOptions, Varve } from "../../mod.ts";
import { coded, keyOf } from "../api/support.ts";
import { temporaryDirectory, test } from "../harness.ts";

const COUNT = 2_000;
const SETTINGS: [string, OpenOptions["compression"]][] = [
  ["none", "none"],
  ["zstd", "zstd"],
  ["level 1", { type: "zstd", level: 1 }],
  ["level 12", { type: "zstd", level: 12 }],
  ["none at the top, zstd below", ["none", "zstd"]],
];

/** Bytes from a seed: letters of a small alphabet, or anything. */
function valueOf(index: number, noise: boolean): Uint8Array {
  const bytes = new Uint8Array(200 + index % 300);
  let state = index * 2_654_435_761 + 1;
  for (let at = 0; at < bytes.length; at++) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9 | 0;
    bytes[at] = noise ? state >>> 24 : 97 + (state >>> 30);
  }
  return bytes;
}

function fill(directory: string, compression: OpenOptions["compression"], noise: boolean): Varve {
  const db = Varve.openSync(directory, { compression, durability: "buffered" });
  for (let index = 0; index < COUNT; index++) db.putSync(keyOf(index), valueOf(index, noise));
  for (let index = 0; index < COUNT; index += 7) db.deleteSync(keyOf(index));
  db.flushSync();
  return db;
}

function tableBytes(db: Varve): number {
  return db.stats().columnFamilies.default.levels.reduce((sum, { bytes }) => sum + bytes, 0);
}

async function checkReads(db: Varve, noise: boolean): Promise<void> {
  const expected = (index: number): Uint8Array | undefined =>
    index % 7 === 0 || index >= COUNT ? undefined : valueOf(index, noise);
  const indexes = Array.from({ length: 700 }, (_, step) => (step * 7919) % (COUNT + 50));
  const keys = indexes.map(keyOf);
  assert.deepEqual(await db.getMany(keys), indexes.map(expected));
  assert.deepEqual(db.getManySync(keys), indexes.map(expected));
  for (const index of indexes.slice(0, 100)) {
    assert.deepEqual(db.getSync(keyOf(index)), expected(index));
  }
  for (const reverse of [false, true]) {
    let index = reverse ? COUNT - 1 : 0;
    const step = reverse ? -1 : 1;
    for await (const [key, value] of db.entries({ reverse })) {
      if (index % 7 === 0) index += step;
      assert.equal(new TextDecoder().decode(key), keyOf(index));
      assert.deepEqual(value, expected(index));
      index += step;
    }
    assert.ok(reverse ? index <= 0 : index >= COUNT, `ended at ${index}`);
  }
}

for (const noise of [false, true]) {
  const what = noise ? "noise" : "text";
  test(`${what} reads the same under every compression, at once and after a reopen`, async () => {
    const sizes: Record<string, number> = {};
    for (const [name, compression] of SETTINGS) {
      const directory = temporaryDirectory();
      const written = fill(directory, compression, noise);
      sizes[name] = tableBytes(written);
      await checkReads(written, noise);
      await written.verify();
      await written.close();
      // A table says itself how it is compressed: the options of whoever reads it do not matter.
      const db = await Varve.open(directory, { blockCacheSize: 65_536, directIo: true });
      await checkReads(db, noise);
      await db.verify();
      await db.close();
    }
    if (noise) {
      for (const [name] of SETTINGS) assert.equal(sizes[name], sizes.none, name);
    } else {
      assert.equal(sizes["none at the top, zstd below"], sizes.none);
      for (const name of ["zstd", "level 1", "level 12"]) {
        assert.ok(sizes[name] < 0.5 * sizes.none, `${name}: ${sizes[name]} of ${sizes.none}`);
      }
      assert.ok(sizes["level 12"] <= sizes["level 1"]);
    }
  });
}

test("families of one store are compressed each in its own way", async () => {
  const db = await Varve.open(temporaryDirectory(), {
    durability: "buffered",
    compression: "zstd",
    columnFamilies: { plain: { compression: "none" } },
  });
  const plain = await db.columnFamily("plain");
  const plainer = await db.columnFamily("late", { compression: "none" });
  const squeezed = await db.columnFamily("squeezed");
  for (let index = 0; index < 1_000; index++) {
    for (const family of [db, plain, plainer, squeezed]) {
      await family.put(keyOf(index), valueOf(index, false));
    }
  }
  await db.flush();
  const bytes = Object.fromEntries(
    Object.entries(db.stats().columnFamilies).map(([name, { levels }]) => [name, levels[0].bytes]),
  );
  assert.equal(bytes.plain, bytes.late);
  assert.equal(bytes.default, bytes.squeezed);
  assert.ok(bytes.squeezed < 0.5 * bytes.plain);
  for (const family of [db, plain, plainer, squeezed]) {
    assert.deepEqual(await family.get(keyOf(77)), valueOf(77, false));
  }
  await db.close();
});

test("a compressed block that was damaged is ERR_CORRUPTION with file and offset, in reads and in verify()", async () => {
  const directory = temporaryDirectory();
  const written = fill(directory, "zstd", false);
  await written.close();
  const name = readdirSync(directory).find((file) => file.endsWith(".table"))!;
  const path = join(directory, name);
  const bytes = readFileSync(path);
  bytes[100] ^= 1;
  writeFileSync(path, bytes);
  const db = await Varve.open(directory);
  const damaged = (error: unknown): boolean => {
    const { code, path: where, offset } = error as { code: string; path: string; offset: number };
    assert.deepEqual([code, where, offset], ["ERR_CORRUPTION", path, 0]);
    return true;
  };
  await assert.rejects(db.verify(), damaged);
  await assert.rejects(db.get(keyOf(1)), damaged);
  assert.throws(() => db.getSync(keyOf(1)), damaged);
  assert.throws(() => [...db.entries()], damaged);
  await assert.rejects(db.getMany([keyOf(COUNT - 1), keyOf(1)]), coded("ERR_CORRUPTION"));
  assert.throws(() => db.getManySync([keyOf(COUNT - 1), keyOf(1)]), coded("ERR_CORRUPTION"));
  // The other blocks are as good as ever.
  assert.deepEqual(db.getSync(keyOf(COUNT - 1)), valueOf(COUNT - 1, false));
  assert.equal([...db.keys({ gte: keyOf(COUNT - 100) })].length > 80, true);
  await db.close();
});
