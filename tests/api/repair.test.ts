/** `Varve.repair(path)`: what tables and logs still prove, after the manifest is damaged or gone. */
import assert from "node:assert/strict";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type RepairReport, Varve } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { coded, keyOf, text } from "./support.ts";

type Content = Record<string, Record<string, string | undefined>>;

/** Small buffers and segments: several of everything. */
const SMALL = { writeBufferSize: 64 * 1024, walSegmentSize: 64 * 1024 };

/** Several log segments, and no table. */
const LOGGED = { walSegmentSize: 64 * 1024 };

async function contentOf(path: string): Promise<Content> {
  await using db = await Varve.open(path, { ...SMALL, createIfMissing: false });
  await db.verify();
  const content: Content = {};
  for (const name of db.columnFamilies()) {
    const family = await db.columnFamily(name);
    const rows = [...family.entries()].map(([key, value]) => [text(key)!, text(value)!] as const);
    content[name] = Object.fromEntries(rows);
    for (const [key, value] of rows) assert.equal(text(family.getSync(key)), value, key);
  }
  return content;
}

/** Tables, a log, three families, one of them dropped. */
async function fill(path: string): Promise<Content> {
  {
    await using db = await Varve.open(path, { ...SMALL, durability: "buffered" });
    const [users, gone] = [await db.columnFamily("users"), await db.columnFamily("gone")];
    for (let index = 0; index < 300; index++) {
      void db.put(keyOf(index), `${index}`.padEnd(1_000, "."));
      void users.put(keyOf(index), `user ${index}`);
      void gone.put(keyOf(index), "gone");
    }
    await db.flush();
    await db.dropColumnFamily("gone");
    for (let index = 200; index < 400; index++) {
      void db.put(keyOf(index), `again ${index}`.padEnd(300, "."));
      if (index % 2 === 0) void users.delete(keyOf(index));
    }
    await users.put("volatile", "v", { durability: "volatile" });
    await db.flush();
    const logged = await db.columnFamily("only in the log");
    await logged.put("a", "1");
    await db.put("last", "one");
    await db.sync();
  }
  return await contentOf(path);
}

function named(path: string, pattern: RegExp): string[] {
  return readdirSync(path).filter((name) => pattern.test(name)).sort();
}

function lose(path: string, pattern: RegExp): void {
  for (const name of named(path, pattern)) rmSync(join(path, name));
}

function damage(file: string, offset: number): void {
  const bytes = readFileSync(file);
  bytes[offset] ^= 0x10;
  writeFileSync(file, bytes);
}

function kept({ lostTables, lostLogs }: RepairReport): void {
  assert.deepEqual(lostTables, []);
  assert.deepEqual(lostLogs, []);
}

test("manifest and pointer damaged or gone: everything comes back, in its families, and works", async () => {
  const origin = join(temporaryDirectory(), "store");
  const content = await fill(origin);
  assert.deepEqual(Object.keys(content).sort(), ["default", "only in the log", "users"]);
  const harms: Record<string, (path: string) => void> = {
    "both gone": (path) => lose(path, /^(MANIFEST|CURRENT)/),
    "the pointer gone": (path) => lose(path, /^CURRENT/),
    "the manifest gone": (path) => lose(path, /^MANIFEST/),
    "the pointer damaged": (path) => damage(join(path, "CURRENT"), 3),
    "the pointer empty": (path) => truncateSync(join(path, "CURRENT"), 0),
    "the manifest damaged": (path) => damage(join(path, named(path, /^MANIFEST/)[0]), 70),
    "the manifest empty": (path) => truncateSync(join(path, named(path, /^MANIFEST/)[0]), 0),
    "nothing": () => {},
  };
  for (const [name, harm] of Object.entries(harms)) {
    const path = join(temporaryDirectory(), "store");
    cpSync(origin, path, { recursive: true });
    harm(path);
    if (name !== "nothing") await assert.rejects(contentOf(path), coded("ERR_CORRUPTION"), name);
    const report = await Varve.repair(pathToFileURL(path));
    kept(report);
    assert.equal(report.tables, named(origin, /table$/).length, name);
    assert.ok(report.logs >= 1 && report.entries >= 2, name);
    assert.equal(report.columnFamilies[0], "default");
    assert.deepEqual(await contentOf(path), content, name);
    {
      await using db = await Varve.open(path);
      await db.columnFamily("gone");
      await db.put("more", "2");
      await db.flush();
    }
    const after = await contentOf(path);
    assert.deepEqual(after.gone, {});
    assert.deepEqual(after.default, { ...content.default, more: "2" });
  }
});

test("tables know their families by themselves; one that only the log has keeps its entries under a made-up name", async () => {
  const path = join(temporaryDirectory(), "store");
  const content = await fill(path);
  lose(path, /^(MANIFEST|CURRENT|FAMILIES|LOCK)/);
  kept(await Varve.repair(path));
  const found = await contentOf(path);
  const { "only in the log": logged, ...rest } = content;
  assert.deepEqual(found, { ...rest, "family-3": logged });
});

test("a damaged table is moved aside, and what the log has of it comes back", async () => {
  const path = join(temporaryDirectory(), "store");
  {
    // One segment holds everything.
    await using db = await Varve.open(path);
    const other = await db.columnFamily("other");
    for (const round of ["old", "new", "newest"]) {
      await db.put("a", round);
      await db.put(round, round);
      await other.put(round, round);
      await db.flush();
    }
    await db.delete("old");
  }
  const content = await contentOf(path);
  for (const victim of [0, 2, 4]) {
    const copy = join(temporaryDirectory(), "store");
    cpSync(path, copy, { recursive: true });
    const table = named(copy, /table$/)[victim];
    damage(join(copy, table), 20);
    const bytes = readFileSync(join(copy, table));
    lose(copy, /^(MANIFEST|CURRENT)/);
    const report = await Varve.repair(copy);
    assert.equal(report.tables, 5);
    assert.equal(report.lostTables.length, 1);
    assert.equal(report.lostTables[0].path, join(copy, "lost", table));
    assert.match(report.lostTables[0].reason, /damaged/);
    assert.deepEqual(readFileSync(join(copy, "lost", table)), bytes);
    assert.ok(!existsSync(join(copy, table)));
    assert.deepEqual(await contentOf(copy), content, table);
  }
});

test("without the log, what was in a damaged table is gone and nothing else is", async () => {
  const path = join(temporaryDirectory(), "store");
  {
    await using db = await Varve.open(path, SMALL);
    for (const name of ["a", "b", "c"]) {
      await db.put(name, name);
      await db.flush();
    }
  }
  lose(path, /(^MANIFEST|^CURRENT|log$)/);
  damage(join(path, named(path, /table$/)[1]), 4);
  const report = await Varve.repair(path);
  assert.deepEqual([report.tables, report.lostTables.length, report.logs, report.entries], [
    2,
    1,
    0,
    0,
  ]);
  assert.deepEqual((await contentOf(path)).default, { a: "a", c: "c" });
});

test("the log counts up to its first gap, over segments", async () => {
  const path = join(temporaryDirectory(), "store");
  {
    await using db = await Varve.open(path, LOGGED);
    await db.columnFamily("f");
    for (let index = 0; index < 60; index++) await db.put(keyOf(index), "v".repeat(3_000));
  }
  const logs = named(path, /log$/);
  assert.ok(logs.length >= 3);
  const harms: [string, (path: string) => void][] = [
    ["in a frame", (copy) => damage(join(copy, logs[1]), 30_000)],
    ["in the first frame", (copy) => damage(join(copy, logs[1]), 4_100)],
    ["in the header", (copy) => damage(join(copy, logs[1]), 20)],
    ["cut", (copy) => truncateSync(join(copy, logs[1]), 30_000)],
    ["cut at the header", (copy) => truncateSync(join(copy, logs[1]), 4_096)],
    ["emptied", (copy) => truncateSync(join(copy, logs[1]), 0)],
    ["gone", (copy) => rmSync(join(copy, logs[1]))],
    ["another one in its place", (copy) => copyFileSync(join(copy, logs[2]), join(copy, logs[1]))],
  ];
  for (const [name, harm] of harms) {
    const copy = join(temporaryDirectory(), "store");
    cpSync(path, copy, { recursive: true });
    harm(copy);
    lose(copy, /^(MANIFEST|CURRENT)/);
    const report = await Varve.repair(copy);
    assert.ok(report.lostLogs.length >= 1, name);
    for (const { path: file } of report.lostLogs) assert.ok(existsSync(file), `${name}: ${file}`);
    const keys = Object.keys((await contentOf(copy)).default);
    assert.equal(keys.length, report.entries, name);
    assert.ok(keys.length > 0 && keys.length < 60, name);
    assert.equal(keys.at(-1), keyOf(keys.length - 1), name);
    // Whatever is written now does not bring back what lay behind the gap.
    {
      await using db = await Varve.open(copy, SMALL);
      await db.put("later", "1");
    }
    assert.equal(Object.keys((await contentOf(copy)).default).length, keys.length + 1, name);
  }
});

test("a first segment that cannot be read ends the log at its start", async () => {
  const path = join(temporaryDirectory(), "store");
  {
    await using db = await Varve.open(path, LOGGED);
    for (let index = 0; index < 60; index++) await db.put(keyOf(index), "v".repeat(3_000));
  }
  damage(join(path, named(path, /log$/)[0]), 20);
  lose(path, /^(MANIFEST|CURRENT)/);
  const report = await Varve.repair(path);
  assert.deepEqual([report.logs, report.entries], [0, 0]);
  assert.equal(report.lostLogs.length, named(join(path, "lost"), /log$/).length);
  assert.deepEqual(await contentOf(path), { default: {} });
});

test("the log does not bring back what tables have newer: they reach beyond its gap", async () => {
  const path = join(temporaryDirectory(), "store");
  {
    await using db = await Varve.open(path);
    await db.put("k", "1");
    await db.put("k", "2");
    await db.put("gap", "x");
    await db.put("k", "3");
    await db.flush();
    await db.put("tail", "t");
  }
  // The log ends before the third put; the table has all four.
  damage(join(path, named(path, /log$/)[0]), 12_350);
  lose(path, /^(MANIFEST|CURRENT)/);
  const report = await Varve.repair(path);
  assert.equal(report.entries, 2);
  assert.deepEqual((await contentOf(path)).default, { gap: "x", k: "3" });
});

test("tables of any level go to level 0, and the newest of an overlapping lot counts", async () => {
  const path = join(temporaryDirectory(), "store");
  {
    await using db = await Varve.open(path);
    for (let round = 0; round < 5; round++) {
      for (let index = round; index < 50; index += round + 1) {
        await db.put(keyOf(index), `${round}`);
      }
      await db.flush();
    }
  }
  const content = await contentOf(path);
  lose(path, /^(MANIFEST|CURRENT)/);
  kept(await Varve.repair(path));
  assert.deepEqual(await contentOf(path), content);
});

test("repaired twice, and after a repair's own files are lost, too", async () => {
  const path = join(temporaryDirectory(), "store");
  const content = await fill(path);
  for (let round = 0; round < 3; round++) {
    lose(path, round === 1 ? /^MANIFEST/ : /^(MANIFEST|CURRENT)/);
    kept(await Varve.repair(path));
    assert.deepEqual(await contentOf(path), content);
  }
});

test("it is refused while the store is open, where there is none, and among other people's files", async () => {
  const path = join(temporaryDirectory(), "store");
  await assert.rejects(Varve.repair(path), coded("ERR_NOT_FOUND"));
  assert.ok(!existsSync(path));
  const empty = temporaryDirectory();
  await assert.rejects(Varve.repair(empty), coded("ERR_NOT_FOUND"));
  assert.deepEqual(readdirSync(empty), []);
  writeFileSync(join(empty, "notes.txt"), "mine");
  await assert.rejects(Varve.repair(empty), coded("ERR_INVALID_ARGUMENT"));
  assert.deepEqual(readdirSync(empty), ["notes.txt"]);
  await assert.rejects(Varve.repair(7 as never), coded("ERR_INVALID_ARGUMENT"));
  {
    await using db = await Varve.open(path);
    await db.put("a", "1");
    await assert.rejects(Varve.repair(path), coded("ERR_LOCKED"));
    assert.equal(text(db.getSync("a")), "1");
  }
  const repairing = Varve.repair(path);
  await assert.rejects(Varve.open(path), coded("ERR_LOCKED"));
  kept(await repairing);
  assert.deepEqual(await contentOf(path), { default: { a: "1" } });
});

test("files of a later version are refused, and nothing is touched", async () => {
  const path = join(temporaryDirectory(), "store");
  {
    await using db = await Varve.open(path);
    await db.put("a", "1");
    await db.flush();
    await db.put("b", "1");
  }
  const [table] = named(path, /table$/);
  lose(path, /^(MANIFEST|CURRENT)/);
  const origin = join(temporaryDirectory(), "store");
  cpSync(path, origin, { recursive: true });
  const bytes = readFileSync(join(path, table));
  const footer = bytes.length - 64;
  bytes[footer + 8] = 2;
  const covered = Uint8Array.from([
    ...bytes.subarray(footer, footer + 12),
    ...bytes.subarray(footer + 16),
  ]);
  bytes.writeUInt32LE(crc32c(covered), footer + 12);
  writeFileSync(join(path, table), bytes);
  const before = named(path, /./);
  await assert.rejects(Varve.repair(path), coded("ERR_UNSUPPORTED"));
  assert.deepEqual(named(path, /./), before);
  // The same store without that change comes back.
  kept(await Varve.repair(origin));
});

test("another store's segment and a stray file are not taken for ours", async () => {
  const [path, foreign] = [temporaryDirectory(), temporaryDirectory()].map((at) =>
    join(at, "store")
  );
  for (const each of [path, foreign]) {
    await using db = await Varve.open(each);
    await db.columnFamily("f");
    await db.put(each === path ? "ours" : "theirs", "1");
  }
  const [log] = named(foreign, /log$/);
  copyFileSync(join(foreign, log), join(path, "000900.log"));
  mkdirSync(join(path, "lost"));
  renameSync(join(path, "CURRENT"), join(path, "lost", "CURRENT"));
  const report = await Varve.repair(path);
  assert.equal(report.lostLogs.length, 1);
  assert.match(report.lostLogs[0].reason, /another segment/);
  assert.deepEqual((await contentOf(path)).default, { ours: "1" });
});

test("of a compaction's inputs and outputs side by side one or the other count: nothing twice, nothing deleted comes back", async () => {
  const options = { ...SMALL, columnFamilies: { default: { targetFileSize: 64 * 1024 } } };
  const [path, before] = [temporaryDirectory(), temporaryDirectory()].map((at) =>
    join(at, "store")
  );
  const sumsOf = async (at: string) => {
    await using db = await Varve.open(at, { ...options, createIfMissing: false });
    await db.verify();
    const sums = await db.columnFamily("sums", { keyEncoding: "utf8", mergeOperator: "add" });
    return { keys: [...db.keys()].map(text), sums: [...sums.entries()] };
  };
  {
    await using db = await Varve.open(path, options);
    const sums = await db.columnFamily("sums", { keyEncoding: "utf8", mergeOperator: "add" });
    for (let round = 0; round < 3; round++) {
      await db.put(`gone ${round}`, "1");
      for (let index = 0; index < 20; index++) {
        void db.put(keyOf(index + round), randomBytes(10_000));
        void sums.merge(`${index % 4}`, 1);
      }
      for (let gone = 0; gone < round; gone++) await db.delete(`gone ${gone}`);
      await sums.merge("0", 100);
      await db.flush();
    }
    await db.delete("gone 2");
    await db.flush();
  }
  cpSync(path, before, { recursive: true });
  {
    await using db = await Varve.open(path, options);
    await db.compact();
  }
  const content = await sumsOf(path);
  assert.deepEqual(content.sums.map(([, sum]) => sum), [315n, 15n, 15n, 15n]);
  const [inputs, outputs] = [named(before, /table$/), named(path, /table$/)];
  assert.ok(outputs.length >= 4, "several outputs of one compaction");
  assert.ok(inputs.every((name) => !outputs.includes(name)));
  const left: [string, string[], string[]][] = [
    ["all", inputs, outputs],
    ["outputs", [], outputs],
    ["inputs", inputs, []],
    ...inputs.map((
      name,
    ): [string, string[], string[]] => [`but input ${name}`, without(inputs, name), outputs]),
    ...outputs.map((
      name,
    ): [string, string[], string[]] => [`but output ${name}`, inputs, without(outputs, name)]),
  ];
  for (const [name, inputsLeft, outputsLeft] of left) {
    const copy = join(temporaryDirectory(), "store");
    cpSync(path, copy, { recursive: true });
    lose(copy, /^(MANIFEST|CURRENT)|table$|log$/);
    for (const file of inputsLeft) copyFileSync(join(before, file), join(copy, file));
    for (const file of outputsLeft) copyFileSync(join(path, file), join(copy, file));
    const report = await Varve.repair(copy);
    assert.equal(
      report.lostTables.length > 0,
      inputsLeft.length > 0 && outputsLeft.length > 0,
      name,
    );
    assert.deepEqual(await sumsOf(copy), content, name);
  }
});

test("large values come back with their records; one that is lost ends the log before its own", async () => {
  const options = { blobThreshold: 1024, ...SMALL };
  const origin = join(temporaryDirectory(), "store");
  const valueOf = (index: number) => `${index} `.repeat(2_000);
  {
    await using db = await Varve.open(origin, { ...options, durability: "buffered" });
    for (let index = 0; index < 6; index++) {
      await db.put(keyOf(index), valueOf(index));
      if (index === 2) await db.flush();
      if (index === 3) await db.sync();
    }
    // The process dies: nothing is known to be synced behind the fourth.
    cpSync(origin, `${origin}.copy`, { recursive: true });
  }
  const contentAfter = async (harm: (path: string) => void) => {
    const path = join(temporaryDirectory(), "store");
    cpSync(`${origin}.copy`, path, { recursive: true });
    lose(path, /^(MANIFEST|CURRENT)/);
    harm(path);
    const report = await Varve.repair(path);
    await using db = await Varve.open(path, { ...options, createIfMissing: false });
    await db.verify();
    const keys = [...db.keys()].map(text);
    const values = keys.map((key) => text(db.getSync(key!)));
    assert.deepEqual(values, keys.map((_, index) => valueOf(index)));
    return { report, count: keys.length };
  };
  const whole = await contentAfter(() => {});
  kept(whole.report);
  assert.ok(whole.report.blobs > 0);
  assert.deepEqual([whole.count, whole.report.lostBlobs], [6, []]);
  const spot = (path: string, index: number): [string, number] => {
    for (const name of named(path, /blob$/)) {
      const offset = readFileSync(join(path, name)).indexOf(valueOf(index));
      if (offset >= 0) return [join(path, name), offset];
    }
    throw new Error(`value ${index} is in no segment`);
  };
  assert.equal((await contentAfter((path) => damage(...spot(path, 5)))).count, 5);
  assert.equal((await contentAfter((path) => damage(...spot(path, 4)))).count, 4);
  const blobs = named(`${origin}.copy`, /blob$/);
  const path = join(temporaryDirectory(), "store");
  cpSync(`${origin}.copy`, path, { recursive: true });
  lose(path, /^(MANIFEST|CURRENT)/);
  for (const name of blobs) truncateSync(join(path, name), 100);
  const report = await Varve.repair(path);
  assert.deepEqual(
    report.lostBlobs.map(({ path }) => path),
    blobs.map((name) => join(path, "lost", name)),
  );
  await using db = await Varve.open(path, { ...options, createIfMissing: false });
  assert.deepEqual([...db.keys()].map(text), [0, 1, 2].map(keyOf));
  assert.throws(() => db.getSync(keyOf(0)), coded("ERR_CORRUPTION"));
  await db.put("more", valueOf(7));
});

test("a blob segment that a checkpoint shares is not written to: the store goes on with a copy of it", async () => {
  const options = { blobThreshold: 1024, durability: "buffered" } as const;
  const parent = temporaryDirectory();
  const path = join(parent, "store");
  const copy = join(parent, "checkpoint");
  const valueOf = (index: number) => `${index} `.repeat(2_000);
  {
    await using db = await Varve.open(path, options);
    for (let index = 0; index < 6; index++) await db.put(keyOf(index), valueOf(index));
    await db.checkpoint(copy);
  }
  const shared = named(path, /blob$/);
  assert.ok(shared.length > 0);
  const long = new Date("2001-02-03T04:05:06Z");
  for (const name of shared) {
    assert.equal(statSync(join(path, name)).nlink, 2, "the checkpoint has the same file");
    utimesSync(join(copy, name), long, long);
  }
  lose(path, /^(MANIFEST|CURRENT)/);
  kept(await Varve.repair(path));
  for (const name of shared) {
    assert.equal(statSync(join(copy, name)).mtimeMs, long.getTime(), "nobody wrote to it");
  }
  for (const each of [path, copy]) {
    await using db = await Varve.open(each, { ...options, createIfMissing: false });
    await db.verify();
    for (let index = 0; index < 6; index++) {
      assert.equal(text(db.getSync(keyOf(index))), valueOf(index));
    }
  }
});

test("entries whose large values were collected do not end the log", async () => {
  const path = join(temporaryDirectory(), "store");
  const options = { blobThreshold: 1024 };
  {
    await using db = await Varve.open(path, options);
    await db.put("a", "kept");
    await db.put("b", "gone ".repeat(1_000));
    await db.delete("b");
    await db.flush();
    await db.compact();
    await db.put("c", "logged");
  }
  // Whatever is left of the segment goes, as it does when it is collected.
  lose(path, /^(MANIFEST|CURRENT)|blob$/);
  assert.equal(named(path, /log$/).length > 0, true);
  const report = await Varve.repair(path);
  kept(report);
  assert.deepEqual((await contentOf(path)).default, { a: "kept", c: "logged" });
});

function without(names: string[], name: string): string[] {
  return names.filter((other) => other !== name);
}

/** CRC-32C, bit by bit. */
function crc32c(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}
