/** `get`, `getMany`, `has`, `put`, `delete` and their blocking twins, in every encoding, from memory and from tables. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type ColumnFamily, Varve } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { bytes, coded, text } from "./support.ts";

const KEY_BYTES_MAX = 65_535;

/** Runs the body with what it wrote still in memory, in a table, and after a reopen. */
async function everywhere(
  write: (db: Varve) => Promise<void>,
  check: (db: Varve, where: string) => Promise<void>,
): Promise<void> {
  const path = temporaryDirectory();
  {
    await using db = await Varve.open(path, { durability: "buffered" });
    await write(db);
    await check(db, "memtable");
    await db.flush();
    await check(db, "table");
  }
  await using db = await Varve.open(path);
  await check(db, "reopened");
}

test("a missing key is undefined, and an empty value is not", async () => {
  await everywhere(
    (db) => db.put("empty", ""),
    async (db) => {
      assert.equal(await db.get("missing"), undefined);
      assert.equal(db.getSync("missing"), undefined);
      assert.equal(await db.has("missing"), false);
      assert.equal(db.hasSync("missing"), false);
      assert.deepEqual(await db.get("empty"), bytes());
      assert.deepEqual(db.getSync("empty"), bytes());
      assert.equal(await db.has("empty"), true);
      assert.equal(db.hasSync("empty"), true);
    },
  );
});

test("getMany answers in the order of its keys, duplicates and missing ones included", async () => {
  await everywhere(
    async (db) => {
      await db.put("a", "1");
      await db.put("b", "2");
    },
    async (db) => {
      const keys = ["b", "x", "a", "b"];
      assert.deepEqual((await db.getMany(keys)).map(text), ["2", undefined, "1", "2"]);
      assert.deepEqual(db.getManySync(keys).map(text), ["2", undefined, "1", "2"]);
      assert.deepEqual(await db.getMany([]), []);
    },
  );
});

test("the last put or delete wins, over tables too", async () => {
  await using db = await Varve.open(temporaryDirectory(), { durability: "buffered" });
  for (let round = 0; round < 4; round++) {
    await db.put("k", `v${round}`);
    await db.put("gone", "v");
    db.deleteSync("gone");
    if (round % 2 === 0) await db.flush();
    assert.equal(text(await db.get("k")), `v${round}`);
    assert.equal(db.hasSync("gone"), false);
  }
  await db.delete("k");
  assert.equal(await db.get("k"), undefined);
  await db.flush();
  assert.equal(await db.get("k"), undefined);
  await db.delete("never there");
});

test("every byte string is a key: empty, zeros, the longest, invalid UTF-8", async () => {
  const keys = [
    bytes(),
    bytes(0),
    bytes(0, 0),
    bytes(0xff),
    bytes(0xff, 0xfe, 0x80),
    new Uint8Array(KEY_BYTES_MAX),
    new Uint8Array(KEY_BYTES_MAX).fill(0xff),
    new Uint8Array(KEY_BYTES_MAX - 1).fill(0xff),
  ];
  await everywhere(
    async (db) => {
      for (const [index, key] of keys.entries()) await db.put(key, String(index));
    },
    async (db, where) => {
      for (const [index, key] of keys.entries()) {
        assert.equal(text(db.getSync(key)), String(index), where);
        assert.equal(text(await db.get(key)), String(index), where);
      }
      assert.equal(await db.count(), keys.length);
      const order = [...db.keys()];
      for (let index = 1; index < order.length; index++) {
        const [before, after] = [order[index - 1], order[index]].map((key) => key.toHex());
        assert.ok(before < after, where);
      }
    },
  );
});

test("keys above the limit are ERR_TOO_LARGE, and nothing is written", async () => {
  await using db = await Varve.open(temporaryDirectory());
  for (const key of [new Uint8Array(KEY_BYTES_MAX + 1), "x".repeat(KEY_BYTES_MAX + 1)]) {
    await assert.rejects(db.put(key, "v"), coded("ERR_TOO_LARGE"));
    assert.throws(() => db.putSync(key, "v"), coded("ERR_TOO_LARGE"));
    await assert.rejects(db.delete(key), coded("ERR_TOO_LARGE"));
    assert.throws(() => db.getSync(key), coded("ERR_TOO_LARGE"));
    await assert.rejects(db.get(key), coded("ERR_TOO_LARGE"));
    assert.throws(() => db.batch().put(key, "v"), coded("ERR_TOO_LARGE"));
    await assert.rejects(db.count({ gte: key }), coded("ERR_TOO_LARGE"));
  }
  // Three bytes a character: the count of characters is within the limit, that of bytes is not.
  await assert.rejects(db.put("€".repeat(30_000), "v"), coded("ERR_TOO_LARGE"));
  await db.put("€".repeat(21_845), "v");
  assert.equal(await db.count(), 1);
});

test("values around every border of the layout come back as they are", async () => {
  const sizes = [
    0,
    1,
    3,
    4,
    5,
    255,
    256,
    257,
    4_095,
    4_096,
    4_097,
    65_535,
    65_536,
    65_537,
    300_000,
  ];
  const valueOf = (size: number) =>
    new Uint8Array(size).map((_, index) => (index * 7 + size) & 255);
  await everywhere(
    async (db) => {
      for (const size of sizes) await db.put(`k${size}`, valueOf(size));
    },
    async (db, where) => {
      for (const size of sizes) {
        assert.deepEqual(db.getSync(`k${size}`), valueOf(size), `${size} ${where}`);
        assert.deepEqual(await db.get(`k${size}`), valueOf(size), `${size} ${where}`);
      }
      for (const [key, value] of db.entries()) {
        assert.deepEqual(value, valueOf(Number(text(key)!.slice(1))), where);
      }
    },
  );
});

test("a value larger than a log segment and a memtable is written, and survives", async () => {
  const path = temporaryDirectory();
  const large = new Uint8Array(10 << 20).fill(7);
  const options = { walSegmentSize: 64 * 1024, writeBufferSize: 64 * 1024 };
  {
    await using db = await Varve.open(path, options);
    db.putSync("sync", large);
    await db.put("buffered", large, { durability: "buffered" });
    await db.put("after", "v");
  }
  await using db = await Varve.open(path, options);
  assert.deepEqual(db.getSync("sync"), large);
  assert.deepEqual(await db.get("buffered"), large);
  assert.equal(text(db.getSync("after")), "v");
});

test("what is no key and no value of an encoding is ERR_INVALID_ARGUMENT, and nothing is written", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const wrong: unknown[] = [undefined, null, 1, 1n, true, {}, [1], new ArrayBuffer(4), Symbol("k")];
  for (const value of wrong) {
    await assert.rejects(db.put(value as never, "v"), coded("ERR_INVALID_ARGUMENT"));
    await assert.rejects(db.put("k", value as never), coded("ERR_INVALID_ARGUMENT"));
    assert.throws(() => db.putSync("k", value as never), coded("ERR_INVALID_ARGUMENT"));
    assert.throws(() => db.getSync(value as never), coded("ERR_INVALID_ARGUMENT"));
    assert.throws(() => db.batch().put("k", value as never), coded("ERR_INVALID_ARGUMENT"));
  }
  await assert.rejects(db.put("\ud800", "v"), coded("ERR_INVALID_ARGUMENT"));
  await assert.rejects(db.put("k", "a\udc00"), coded("ERR_INVALID_ARGUMENT"));
  assert.throws(() => db.getSync("\ud800"), coded("ERR_INVALID_ARGUMENT"));
  assert.throws(() => db.batch().put("k", "\ud800"), coded("ERR_INVALID_ARGUMENT"));
  const detached = new Uint8Array(8);
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  await assert.rejects(db.put(detached, "v"), coded("ERR_INVALID_ARGUMENT"));
  await assert.rejects(db.put("k", detached), coded("ERR_INVALID_ARGUMENT"));
  assert.equal(await db.count(), 0);
});

test("a refused put between accepted ones leaves those alone", async () => {
  const path = temporaryDirectory();
  {
    await using db = await Varve.open(path);
    const pending = [db.put("a", "1")];
    await Promise.all([
      assert.rejects(db.put("k", "\ud800"), coded("ERR_INVALID_ARGUMENT")),
      assert.rejects(db.put("x".repeat(70_000), "v"), coded("ERR_TOO_LARGE")),
    ]);
    pending.push(db.put("b", "2"));
    await Promise.all(pending);
  }
  await using db = await Varve.open(path);
  assert.deepEqual([...db.keys()].map(text), ["a", "b"]);
});

test("bad options of calls are ERR_INVALID_ARGUMENT", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const put = (options: unknown) => db.put("k", "v", options as never);
  for (const options of [7, "sync", [], { durability: "never" }, { signal: {} }, { ttl: -1 }]) {
    await assert.rejects(put(options), coded("ERR_INVALID_ARGUMENT"), JSON.stringify(options));
  }
  await assert.rejects(db.delete("k", { ttl: 5 } as never), coded("ERR_INVALID_ARGUMENT"));
  await assert.rejects(db.get("k", { snapshot: 7 } as never), coded("ERR_INVALID_ARGUMENT"));
  await assert.rejects(db.get("k", { snapshot: {} } as never), coded("ERR_INVALID_ARGUMENT"));
  assert.equal(await db.count(), 0);
});

/** Puts values of `samples`, and reads them back from memory and from tables, by every way of reading. */
async function roundTrips<K, V>(
  options: object,
  samples: readonly (readonly [K, V])[],
): Promise<void> {
  const path = temporaryDirectory();
  const check = async (family: ColumnFamily<K, V>) => {
    for (const [key, value] of samples) {
      assert.deepEqual(family.getSync(key), value);
      assert.deepEqual(await family.get(key), value);
      assert.equal(family.hasSync(key), true);
    }
    const keys = samples.map(([key]) => key);
    assert.deepEqual(await family.getMany(keys), samples.map(([, value]) => value));
    const expected = new Map(samples.map(([key, value]) => [JSON.stringify(key, replace), value]));
    const rows = [...family.entries()];
    assert.equal(rows.length, expected.size);
    for (const [key, value] of rows) {
      assert.deepEqual(value, expected.get(JSON.stringify(key, replace)));
    }
  };
  {
    await using db = await Varve.open(path, { durability: "buffered" });
    const family = await db.columnFamily("f", options) as unknown as ColumnFamily<K, V>;
    for (const [key, value] of samples) await family.put(key, value);
    await check(family);
    await db.flush();
    await check(family);
  }
  await using db = await Varve.open(path);
  await check(await db.columnFamily("f", options) as unknown as ColumnFamily<K, V>);
}

function replace(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? `${value}n` : value;
}

test("utf8 keys and json values", () =>
  roundTrips<string, unknown>({ keyEncoding: "utf8", valueEncoding: "json" }, [
    ["", null],
    ["a", { name: "Ada", tags: ["x", "€"], nested: { deep: [1, 2.5, true, null] } }],
    ["€", "text"],
    ["\u{1f600}", [1, 2, 3]],
    ["\uffff", 0],
  ]));

test("tuple keys and int64 values", () =>
  roundTrips({ keyEncoding: "tuple", valueEncoding: "int64" }, [
    [[], 0n],
    [[null], -1n],
    [["a", 1, true], 2n ** 63n - 1n],
    [["a", 1n, false], -(2n ** 63n)],
    [["a\0b", -1.5], 1n],
    [[10n ** 40n], 2n ** 53n + 1n],
  ]));

test("utf8 keys and values, and a store whose default family has encodings", async () => {
  await roundTrips({ keyEncoding: "utf8", valueEncoding: "utf8" }, [["k", ""], [
    "l",
    "€\u{1f600}",
  ]]);
  const path = temporaryDirectory();
  await using db = await Varve.open(path, { keyEncoding: "tuple", valueEncoding: "json" });
  await db.put(["user", 1], { name: "Ada" });
  assert.deepEqual(await db.get(["user", 1]), { name: "Ada" });
  assert.deepEqual([...db.entries({ prefix: ["user"] })], [[["user", 1], { name: "Ada" }]]);
});

test("a codec encodes and decodes each key and value once", async () => {
  let encodes = 0;
  let decodes = 0;
  const shared = new Uint8Array(4);
  const codec = {
    encode(value: number): Uint8Array {
      encodes++;
      new DataView(shared.buffer).setUint32(0, value);
      return shared;
    },
    decode(data: Uint8Array): number {
      decodes++;
      return new DataView(data.buffer, data.byteOffset).getUint32(0);
    },
  };
  await using db = await Varve.open(temporaryDirectory());
  const family = await db.columnFamily("f", { keyEncoding: codec, valueEncoding: "int64" });
  await Promise.all([family.put(3, 30n), family.put(1, 10n), family.put(2, 20n)]);
  assert.deepEqual([encodes, decodes], [3, 0]);
  assert.deepEqual([...family.keys()], [1, 2, 3]);
  assert.deepEqual([encodes, decodes], [3, 3]);
  assert.equal(await family.get(2), 20n);
  assert.deepEqual([encodes, decodes], [4, 3]);
});

test("a codec that throws fails that call alone, with what it threw", async () => {
  const thrown = new RangeError("not this one");
  const codec = {
    encode(value: string): Uint8Array {
      if (value === "bad") throw thrown;
      return new TextEncoder().encode(value);
    },
    decode(data: Uint8Array): string {
      const value = new TextDecoder().decode(data);
      if (value === "undecodable") throw thrown;
      return value;
    },
  };
  await using db = await Varve.open(temporaryDirectory());
  const family = await db.columnFamily("f", { keyEncoding: "utf8", valueEncoding: codec });
  const pending = [family.put("a", "1"), family.put("u", "undecodable")];
  await assert.rejects(family.put("b", "bad"), thrown);
  assert.throws(() => family.putSync("b", "bad"), thrown);
  assert.throws(() => db.batch().put(family, "b", "bad"), thrown);
  await Promise.all(pending);
  await assert.rejects(family.get("u"), thrown);
  assert.throws(() => family.getSync("u"), thrown);
  assert.throws(() => [...family.values()], thrown);
  assert.equal(await family.has("u"), true);
  assert.equal(await family.get("a"), "1");
  assert.equal(await family.count(), 2);
});

test("bytes that an encoding cannot have written are ERR_CORRUPTION for that read alone", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const raw = await db.columnFamily("f");
  await raw.put("k", bytes(1, 2, 3));
  const integers = await db.columnFamily("f", { valueEncoding: "int64" });
  assert.throws(() => integers.getSync("k"), coded("ERR_CORRUPTION"));
  await assert.rejects(integers.get("k"), coded("ERR_CORRUPTION"));
  const json = await db.columnFamily("f", { valueEncoding: "json" });
  assert.throws(() => json.getSync("k"), coded("ERR_CORRUPTION"));
  assert.deepEqual(raw.getSync("k"), bytes(1, 2, 3));
});

test("any bytes go in and come out, under any key", async () => {
  await using db = await Varve.open(temporaryDirectory(), {
    durability: "buffered",
    writeBufferSize: 64 * 1024,
    blockSize: 1024,
  });
  const data = fc.uint8Array({ maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(data, fc.uint8Array({ maxLength: 5_000 }), async (key, value) => {
      await db.put(key, value);
      assert.deepEqual(db.getSync(key), new Uint8Array(value));
      assert.deepEqual(await db.get(key), new Uint8Array(value));
      const [row] = db.entries({ gte: key, lte: key });
      assert.deepEqual(row, [new Uint8Array(key), new Uint8Array(value)]);
    }),
    { numRuns: 300 },
  );
});

test("an aborted call rejects with the signal's reason", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const reason = new Error("enough");
  const signal = AbortSignal.abort(reason);
  const calls = [
    db.get("k", { signal }),
    db.getMany(["k"], { signal }),
    db.has("k", { signal }),
    db.put("k", "v", { signal }),
    db.delete("k", { signal }),
    db.count({ signal }),
    db.batch().put("k", "v").write({ signal }),
    db.batch([{ type: "put", key: "k", value: "v" }], { signal }),
  ];
  for (const call of calls) await assert.rejects(call as Promise<unknown>, reason);
  const controller = new AbortController();
  const put = db.put("later", "v", { signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(put, reason);
  await db.put("next", "v", { signal: new AbortController().signal });
  assert.equal(db.hasSync("next"), true);
});
