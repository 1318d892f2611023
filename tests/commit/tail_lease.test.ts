/** Plain writes by blocking calls, which commit at the log's tail while it is lent: `docs/architecture.md`. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { SimulatedDisk } from "../../testing.ts";
import { Varve } from "../../mod.ts";
import { TAIL_ENTRY_BYTES_MAX } from "../../src/native/layout.gen.ts";
import { temporaryDirectory, test } from "../harness.ts";

const TEXT = { keyEncoding: "utf8", valueEncoding: "utf8" } as const;
const BUFFERED = { ...TEXT, durability: "buffered" } as const;

test("keys of every length are the same keys, however their entries came into memory", async () => {
  await using db = await Varve.open(temporaryDirectory(), BUFFERED);
  const expected = new Map<string, string>();
  for (let round = 0; round < 3; round++) {
    for (let length = 0; length <= 80; length++) {
      for (const letter of ["a", "é", "日"]) {
        const key = letter.repeat(length);
        const value = `${round} ${key}`;
        if ((round + length) % 2 === 0) db.putSync(key, value);
        else await db.put(key, value);
        expected.set(key, value);
        if (length % 7 === round) {
          db.deleteSync(key);
          expected.delete(key);
        }
      }
    }
  }
  for (const [key, value] of expected) assert.equal(db.getSync(key), value, `key ${key}`);
  assert.deepEqual(new Map(db.entries()), expected);
  assert.equal(await db.count(), expected.size);
});

test("binary keys and values of every length and kind of memory are what they were when the call was made", async () => {
  const path = temporaryDirectory();
  const options = { durability: "buffered", mergeOperator: "append" } as const;
  const expected = new Map<string, string>();
  const backing = [new Uint8Array(4096), new Uint8Array(new SharedArrayBuffer(4096))];
  for (const memory of backing) for (let at = 0; at < memory.length; at++) memory[at] = at * 31;
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
  {
    await using db = await Varve.open(path, options);
    db.putSync(new Uint8Array([255]), new Uint8Array(1)); // makes the segment
    db.deleteSync(new Uint8Array([255]));
    for (let length = 0; length < 2100; length += length < 40 ? 1 : 97) {
      const memory = backing[length % 2];
      const key = memory.subarray(length % 7, length % 7 + (length >> 1));
      const value = memory.subarray(1 + length % 5, 1 + length % 5 + length);
      db.putSync(key, value, { durability: length % 3 === 0 ? "volatile" : "buffered" });
      expected.set(hex(key), hex(value));
      if (length % 4 === 1) {
        db.mergeSync(key, value);
        expected.set(hex(key), hex(value).repeat(2));
      } else if (length % 4 === 3) {
        db.deleteSync(key);
        expected.delete(hex(key));
      }
      memory.fill(length); // what the caller does with its memory afterwards is nobody's business
    }
    for (const [key, value] of db.entries()) {
      assert.equal(hex(value), expected.get(hex(key)), hex(key));
    }
    assert.equal(await db.count(), expected.size);
  }
  await using db = await Varve.open(path, options);
  const found = new Map([...db.entries()].map(([key, value]) => [hex(key), hex(value)]));
  assert.deepEqual(found, expected);
});

test("text around the longest entry of one call is what it was; half a pair is refused, and nothing is written", async () => {
  const path = temporaryDirectory();
  const expected = new Map<string, string>();
  {
    await using db = await Varve.open(path, BUFFERED);
    for (const letter of ["a", "é", "日", "🌊"]) {
      for (const bytes of [1, 47, 49, TAIL_ENTRY_BYTES_MAX - 8, TAIL_ENTRY_BYTES_MAX, 4000]) {
        const text = letter.repeat(bytes / Buffer.byteLength(letter));
        for (const [key, value] of [[`k${text}`, "short"], ["short" + text, text], [text, ""]]) {
          db.putSync(key, value);
          expected.set(key, value);
        }
      }
    }
    for (
      const half of [
        "\ud800",
        "long enough for the runtime's own encoder, and then half a pair \ud800",
      ]
    ) {
      assert.throws(() => db.putSync(half, "value"), { code: "ERR_INVALID_ARGUMENT" });
      assert.throws(() => db.putSync("key", half), { code: "ERR_INVALID_ARGUMENT" });
      assert.throws(() => db.deleteSync(half), { code: "ERR_INVALID_ARGUMENT" });
    }
    assert.throws(() => db.putSync("k".repeat(65_536), ""), { code: "ERR_TOO_LARGE" });
    assert.ok(areAlike(new Map(db.entries()), expected));
  }
  await using db = await Varve.open(path, BUFFERED);
  assert.ok(areAlike(new Map(db.entries()), expected));
});

/** Without printing kilobytes where they differ. */
function areAlike(
  found: ReadonlyMap<string, string>,
  expected: ReadonlyMap<string, string>,
): boolean {
  return found.size === expected.size &&
    [...expected].every(([key, value]) => found.get(key) === value);
}

test("blocking writes count as what they are, each in a group and a call of its own", async () => {
  await using db = await Varve.open(temporaryDirectory(), { ...BUFFERED, mergeOperator: "append" });
  db.putSync("first", "makes the segment");
  const before = db.stats().write;
  for (let index = 0; index < 100; index++) {
    db.putSync(`key ${index}`, "value");
    db.deleteSync(`key ${index}`);
    db.mergeSync("merged", "x");
  }
  const after = db.stats().write;
  assert.equal(after.puts - before.puts, 100);
  assert.equal(after.deletes - before.deletes, 100);
  assert.equal(after.merges - before.merges, 100);
  assert.equal(after.batches - before.batches, 300);
  assert.equal(after.groups - before.groups, 300);
  assert.equal(after.writesIn - before.writesIn, 300);
  assert.equal(after.callsOut - before.callsOut, 300);
  assert.equal(after.syncs - before.syncs, 0);
});

test("a sync, a flush and a close cover what was committed at the tail before them", async () => {
  for (const settle of ["sync", "flush", "close"] as const) {
    for (let seed = 0; seed < 20; seed++) {
      using disk = new SimulatedDisk({ seed });
      const db = await Varve.open("/data", { ...BUFFERED, disk });
      for (let index = 0; index < 30; index++) db.putSync(`key ${index}`, "value");
      await db[settle]();
      disk.crash();
      await using again = await Varve.open("/data", { ...BUFFERED, disk });
      assert.equal(await again.count(), 30, `after a ${settle}, seed ${seed}`);
    }
  }
});

test("a blocking put follows what its caller has not awaited", async () => {
  await using db = await Varve.open(temporaryDirectory(), BUFFERED);
  for (let index = 0; index < 200; index++) {
    const pending = db.put("key", `pending ${index}`, {
      durability: index % 3 ? "buffered" : "sync",
    });
    db.putSync("key", `blocking ${index}`);
    await pending;
    assert.equal(db.getSync("key"), `blocking ${index}`);
  }
});

test("a write that fails at the tail ends writing, and its key is not seen", async () => {
  using disk = new SimulatedDisk({ seed: 3 });
  const db = await Varve.open("/data", { ...BUFFERED, disk });
  db.putSync("before", "value");
  db.putSync("at the tail", "value");
  disk.failNext("write");
  assert.throws(() => db.putSync("failing", "value"), { code: "ERR_IO", errnoName: "EIO" });
  assert.equal(db.getSync("failing"), undefined);
  assert.throws(() => db.putSync("later", "value"), { code: "ERR_IO" });
  await assert.rejects(db.put("later", "value"), { code: "ERR_IO" });
  assert.equal(db.getSync("at the tail"), "value");
  assert.notEqual(db.stats().failure, null);
  await db.close().catch((error) => assert.equal(error.code, "ERR_IO"));
});

test("checkpoints between blocking puts hold exactly those before them", async () => {
  await using db = await Varve.open(temporaryDirectory(), BUFFERED);
  for (let round = 0; round < 4; round++) {
    for (let index = 0; index < 25; index++) db.putSync(`key ${round} ${index}`, "value");
    const directory = `${temporaryDirectory()}/copy`;
    await db.checkpoint(directory);
    db.putSync("after", "the checkpoint");
    await using copy = await Varve.open(directory, BUFFERED);
    assert.equal(await copy.count(), 25 * (round + 1) + (round > 0 ? 1 : 0));
  }
});

test("a loop of blocking puts moves a flush on, long before its lease is used up", async () => {
  const path = temporaryDirectory();
  await using db = await Varve.open(path, BUFFERED);
  const manifest = join(path, readdirSync(path).find((name) => name.startsWith("MANIFEST"))!);
  for (let index = 0; index < 100; index++) db.putSync(`key ${index}`, "value");
  const flushed = db.flush();
  // It asks for its turn among the writes, and then for one I/O after another.
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  db.putSync("key", "value");
  const before = readFileSync(manifest);
  const nobody = new Int32Array(new SharedArrayBuffer(4));
  let puts = 0;
  while (before.equals(readFileSync(manifest)) && puts < 3000) {
    for (let each = 0; each < 3; each++, puts++) db.putSync("key", "value");
    Atomics.wait(nobody, 0, 0, 1);
  }
  assert.ok(
    puts < 3000,
    "the flush's edit of the manifest waits for another turn of the event loop",
  );
  await flushed;
});
