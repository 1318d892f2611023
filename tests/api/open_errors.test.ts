/** Opens that are refused: with a code, at once, and with nothing touched. */
import assert from "node:assert/strict";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { Varve, type VarveError } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { coded, linesOf, listing, openDescriptors, soon, startChild, text } from "./support.ts";

const HOLDER = new URL("./holder_child.ts", import.meta.url);

/** What must not change: content, size, mode and time of change of every file but a store's own lock file. */
function state(directory: string, lockFile?: "but the lock file"): unknown {
  return listing(directory, (path) => {
    if (lockFile !== undefined && path.endsWith("/LOCK")) return undefined;
    const { size, mtimeMs, mode } = statSync(path);
    return [size, mtimeMs, mode, statSync(path).isFile() ? readFileSync(path, "hex") : ""];
  });
}

test("paths of the wrong kind are ERR_INVALID_ARGUMENT", async () => {
  const wrong = [
    undefined,
    null,
    7,
    "",
    "a\0b",
    {},
    ["a"],
    new URL("https://example.com/a"),
    "x".repeat(40_000),
  ];
  for (const path of wrong) {
    await assert.rejects(Varve.open(path as never), coded("ERR_INVALID_ARGUMENT"), String(path));
    assert.throws(() => Varve.openSync(path as never), coded("ERR_INVALID_ARGUMENT"));
    await assert.rejects(Varve.destroy(path as never), coded("ERR_INVALID_ARGUMENT"));
  }
});

test("options are checked before anything is made, and the message names the option and what it takes", async () => {
  const path = join(temporaryDirectory(), "store");
  const wrong: [string, unknown, RegExp][] = [
    ["writeBufferSize", 1_000, /from 65536/],
    ["maxWriteBuffers", 0, /from 1/],
    ["blockSize", 512, /from 1024/],
    ["ioThreads", 65, /1 to 64/],
    ["maxOpenFiles", 15, /from 16/],
    ["durability", "eventually", /"sync"/],
    ["readOnly", "yes", /true or false/],
    ["directIo", "maybe", /"auto"/],
    ["compression", "lz4", /"zstd"/],
    ["keyEncoding", "ascii", /"utf8"/],
    ["valueEncoding", "xml", /"json"/],
    ["columnFamilies", [], /by family name/],
  ];
  for (const [name, value, takes] of wrong) {
    const options = { [name]: value } as never;
    await assert.rejects(Varve.open(path, options), (error: VarveError) => {
      assert.equal(error.code, "ERR_INVALID_ARGUMENT");
      assert.match(error.message, new RegExp(name));
      assert.match(error.message, takes);
      return true;
    });
  }
  assert.equal(existsSync(path), false);
});

test("createIfMissing: false finds nothing and makes nothing", async () => {
  const parent = temporaryDirectory();
  const path = join(parent, "a", "store");
  await assert.rejects(Varve.open(path, { createIfMissing: false }), coded("ERR_NOT_FOUND"));
  assert.deepEqual(readdirSync(parent), []);
  assert.throws(
    () => Varve.openSync(parent, { createIfMissing: false }),
    coded("ERR_NOT_FOUND"),
  );
  assert.deepEqual(readdirSync(parent).filter((name) => name !== "LOCK"), []);
});

test("readOnly finds nothing and makes nothing", async () => {
  const parent = temporaryDirectory();
  await assert.rejects(
    Varve.open(join(parent, "store"), { readOnly: true }),
    coded("ERR_NOT_FOUND"),
  );
  await assert.rejects(Varve.open(parent, { readOnly: true }), coded("ERR_NOT_FOUND"));
  assert.deepEqual(readdirSync(parent), []);
});

test("errorIfExists refuses a store and leaves it as it was", async () => {
  const path = temporaryDirectory();
  {
    await using db = await Varve.open(path, { errorIfExists: true });
    await db.put("k", "v");
  }
  const before = state(path, "but the lock file");
  await assert.rejects(Varve.open(path, { errorIfExists: true }), coded("ERR_EXISTS"));
  assert.throws(() => Varve.openSync(path, { errorIfExists: true }), coded("ERR_EXISTS"));
  assert.deepEqual(state(path, "but the lock file"), before);
  await using db = await Varve.open(path, { createIfMissing: false });
  assert.equal(text(await db.get("k")), "v");
});

test("a path that is a file, or below one, is an error and stays as it is", async () => {
  const parent = temporaryDirectory();
  const file = join(parent, "file");
  writeFileSync(file, "mine");
  for (const path of [file, join(file, "store"), join(file, "a", "store")]) {
    for (const options of [{}, { readOnly: true }, { createIfMissing: false }]) {
      await assert.rejects(Varve.open(path, options), (error: VarveError) => {
        assert.equal(error.name, "VarveError");
        assert.ok(["ERR_IO", "ERR_NOT_FOUND"].includes(error.code), error.code);
        return true;
      });
    }
  }
  assert.equal(readFileSync(file, "utf8"), "mine");
});

test("a dangling symbolic link is an error, or makes a store where it points to, and nothing else", async () => {
  const parent = temporaryDirectory();
  symlinkSync(join(parent, "target"), join(parent, "link"));
  const opened = await Varve.open(join(parent, "link")).catch((error: VarveError) => error);
  if (opened instanceof Error) assert.equal(opened.name, "VarveError");
  else await opened.close();
  assert.deepEqual(readdirSync(parent).filter((name) => name !== "target"), ["link"]);
});

// "A directory that is not a store: a code, at once, nothing touched."
test("a directory with other files is no store: a code, at once, and nothing is touched", async () => {
  const contents: Record<string, string>[] = [
    { "notes.txt": "mine" },
    { "notes.txt": "mine", "data.bin": "\u0000\u0001" },
    { "000001.log": "a log of another program" },
    { "000004.table": "x" },
    { "MANIFEST-000001": "LevelDB's", "000003.log": "", "LOG": "" },
    { "CURRENT": "MANIFEST-000002\n", "MANIFEST-000002": "LevelDB's" },
    { "LOCK": "", "notes.txt": "mine" },
  ];
  for (const files of contents) {
    for (const options of [{}, { createIfMissing: false }, { readOnly: true }]) {
      const path = temporaryDirectory();
      for (const [name, content] of Object.entries(files)) writeFileSync(join(path, name), content);
      const before = state(path);
      await assert.rejects(Varve.open(path, options), (error: VarveError) => {
        assert.equal(error.name, "VarveError");
        assert.match(error.code, /^ERR_(CORRUPTION|EXISTS|INVALID_ARGUMENT|NOT_FOUND)$/);
        return true;
      }, `${Object.keys(files)} ${JSON.stringify(options)}`);
      assert.deepEqual(state(path), before, `${Object.keys(files)} ${JSON.stringify(options)}`);
    }
  }
});

test("destroy does not touch a directory that is not a store", async () => {
  const path = temporaryDirectory();
  writeFileSync(join(path, "notes.txt"), "mine");
  mkdirSync(join(path, "000001.log"));
  const before = state(path);
  await Varve.destroy(path).catch((error: VarveError) => assert.equal(error.name, "VarveError"));
  assert.deepEqual(state(path), before);
});

test("a store whose pointer file is gone is an error, never a new store", async () => {
  const path = temporaryDirectory();
  {
    await using db = await Varve.open(path);
    await db.put("k", "v");
  }
  rmSync(join(path, "CURRENT"));
  const before = state(path, "but the lock file");
  await assert.rejects(Varve.open(path), coded("ERR_CORRUPTION"));
  assert.deepEqual(state(path, "but the lock file"), before);
});

test("a failed open lets go of the directory: the next one gets its own answer", async () => {
  const path = temporaryDirectory();
  {
    await using db = await Varve.open(path);
    await db.put("k", "v");
  }
  const pointer = join(path, "CURRENT");
  const content = readFileSync(pointer);
  writeFileSync(pointer, "nonsense");
  const before = openDescriptors();
  for (let round = 0; round < 20; round++) {
    await assert.rejects(Varve.open(path), coded("ERR_CORRUPTION"));
    assert.throws(() => Varve.openSync(path), coded("ERR_CORRUPTION"));
  }
  if (before !== undefined) {
    assert.ok(openDescriptors()! <= before + 1, "descriptors are given back");
  }
  writeFileSync(pointer, content);
  await using db = await Varve.open(path);
  assert.equal(text(await db.get("k")), "v");
});

test("several opens of a damaged store at once all fail, and none hangs", async () => {
  const path = temporaryDirectory();
  (await Varve.open(path)).closeSync();
  writeFileSync(join(path, "CURRENT"), "nonsense");
  const opens = Array.from(
    { length: 8 },
    () => assert.rejects(Varve.open(path), coded("ERR_CORRUPTION")),
  );
  await soon(Promise.all(opens), "the opens");
});

test("a directory that may not be written is ERR_IO for a writer", async () => {
  if (process.getuid?.() === 0) return; // root may write everywhere
  const parent = temporaryDirectory();
  chmodSync(parent, 0o500);
  await assert.rejects(Varve.open(join(parent, "store")), coded("ERR_IO"));
  chmodSync(parent, 0o700);
});

test("a store that another process holds is ERR_LOCKED at once, and the message names the process", async () => {
  const path = temporaryDirectory();
  const link = join(temporaryDirectory(), "link");
  symlinkSync(path, link);
  const child = startChild(HOLDER, path);
  const ended = once(child, "close");
  const lines = linesOf(child);
  assert.equal((await soon(lines.next(), "the child's open")).value, "open");
  for (const options of [{}, { readOnly: true }, { createIfMissing: false }]) {
    for (const spelling of [path, link]) {
      const started = performance.now();
      await assert.rejects(Varve.open(spelling, options), (error: VarveError) => {
        assert.equal(error.code, "ERR_LOCKED");
        assert.ok(error.message.includes(String(child.pid)), error.message);
        return true;
      });
      assert.ok(performance.now() - started < 1_000);
      assert.throws(() => Varve.openSync(spelling, options), coded("ERR_LOCKED"));
    }
  }
  await assert.rejects(Varve.destroy(path), coded("ERR_LOCKED"));
  child.stdin.end();
  await ended;
  await using db = await Varve.open(path);
  await db.put("k", "v");
});

test("a killed process leaves no lock behind", async () => {
  const path = temporaryDirectory();
  const child = startChild(HOLDER, path);
  const ended = once(child, "close");
  assert.equal((await soon(linesOf(child).next(), "the child's open")).value, "open");
  child.kill("SIGKILL");
  await ended;
  await using db = await Varve.open(path);
  await db.put("k", "v");
});

test("readers of two processes share a store, and keep a writer out", async () => {
  const path = temporaryDirectory();
  (await Varve.open(path)).closeSync();
  await using reader = await Varve.open(path, { readOnly: true });
  const other = startChild(HOLDER, path, "readOnly");
  const ended = once(other, "close");
  assert.equal((await soon(linesOf(other).next(), "the other reader")).value, "open");
  const writer = startChild(HOLDER, path);
  assert.equal((await soon(linesOf(writer).next(), "the writer")).value, "ERR_LOCKED");
  other.stdin.end();
  await ended;
  assert.equal(await reader.count(), 0);
});
