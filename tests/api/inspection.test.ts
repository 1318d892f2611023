/** `inspectFile`: what is in a file of a store, whatever its bytes are. */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { type FilePart, inspectFile, Varve, VarveError } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { coded, text } from "./support.ts";

const NOW_MS = 1_000;

interface Seen {
  readonly parts: FilePart[];
  readonly error: VarveError | undefined;
}

async function see(path: string | URL): Promise<Seen> {
  const parts: FilePart[] = [];
  try {
    for await (const part of inspectFile(path)) parts.push(part);
  } catch (error) {
    if (!(error instanceof VarveError)) throw error;
    return { parts, error };
  }
  return { parts, error: undefined };
}

function kinds(parts: readonly FilePart[]): string {
  return parts.map(({ kind }) => kind).join(" ");
}

/** A store with a log, tables of all sorts, and a manifest with several records. */
async function fill(): Promise<string> {
  const path = join(temporaryDirectory(), "store");
  const compression = { type: "zstd", level: 3 } as const;
  await using db = await Varve.open(path, {
    durability: "buffered",
    walSegmentSize: 64 * 1024,
    columnFamilies: { packed: { compression } },
  });
  const sums = await db.columnFamily("sums", { keyEncoding: "utf8", mergeOperator: "add" });
  const packed = await db.columnFamily("packed");
  await db.put("a", "1");
  await db.put("b", "2", { ttl: NOW_MS });
  for (let index = 0; index < 40; index++) await packed.put(`key ${index}`, "v".repeat(500));
  await sums.merge("n", 5);
  await db.delete("a");
  await db.deleteRange({ gte: "x", lt: "z" });
  await db.deleteRange({ gte: "y" });
  await db.flush();
  await db.batch().put("c", "3").put(sums, "n", 7n).write();
  return path;
}

function files(store: string, pattern: RegExp): string[] {
  return readdirSync(store).filter((name) => pattern.test(name)).sort()
    .map((name) => join(store, name));
}

function flipped(file: string, offset: number, bit = 0): string {
  const copy = join(temporaryDirectory(), basename(file));
  const bytes = readFileSync(file);
  bytes[offset] ^= 1 << bit;
  writeFileSync(copy, bytes);
  return copy;
}

test("a log segment: header, frames, runs, entries, and the space behind", async () => {
  const [log] = files(await fill(), /log$/);
  const { parts, error } = await see(log);
  assert.equal(error, undefined);
  assert.match(kinds(parts), /^header( frame( run( entry)+)*)+ rest$/);
  const frames = parts.filter(({ kind }) => kind === "frame");
  assert.equal(frames[0].offset, 4096);
  for (const [index, { fields }] of frames.entries()) {
    assert.equal(fields.chain, index === 0 ? 0 : frames[index - 1].checksum);
  }
  const entries = parts.filter(({ kind }) => kind === "entry").map(({ fields }) => fields);
  assert.deepEqual(entries.map(({ sequence }) => sequence), entries.map((_, index) => index + 1));
  assert.deepEqual([entries[0].type, text(entries[0].key as Uint8Array)], ["put", "a"]);
  assert.equal(entries[1].type, "putExpiring");
  assert.equal(text(entries[1].value as Uint8Array), "2");
  const types = new Set(entries.map(({ type }) => type));
  assert.deepEqual([...types].sort(), ["delete", "deleteRange", "merge", "put", "putExpiring"]);
  const [bound] = entries.filter(({ type }) => type === "deleteRange");
  assert.equal(text(bound.upper as Uint8Array), "z");
  const batch = parts.filter(({ kind }) => kind === "run").at(-1)!;
  assert.equal(batch.fields.entryCount, 2);
  const last = parts.at(-1)!;
  assert.equal(last.offset + last.bytes, readFileSync(log).length);
});

test("tables: blocks and their entries, ranges, filter, index, properties, footer, back to back", async () => {
  const tables = files(await fill(), /table$/);
  assert.equal(tables.length, 3);
  const families = new Map<string, FilePart[]>();
  for (const table of tables) {
    const { parts, error } = await see(pathToFileURL(table));
    assert.equal(error, undefined);
    assert.match(
      kinds(parts),
      /^(block( entry)+ ?)+(ranges( piece)+ )?filter index properties footer$/,
    );
    const outer = parts.filter(({ kind }) => kind !== "entry" && kind !== "piece");
    for (let index = 1; index < outer.length - 1; index++) {
      assert.equal(outer[index].offset, outer[index - 1].offset + outer[index - 1].bytes);
    }
    for (const { checksum } of outer) assert.equal(typeof checksum, "number");
    const { fields } = outer.at(-2)!;
    const entries = parts.filter(({ kind }) => kind === "entry");
    assert.equal(entries.length, fields.entryCount);
    assert.equal(outer.filter(({ kind }) => kind === "block").length, fields.blockCount);
    families.set(fields.familyName as string, parts);
  }
  assert.deepEqual([...families.keys()].sort(), ["default", "packed", "sums"]);
  const pieces = families.get("default")!.filter(({ kind }) => kind === "piece");
  assert.deepEqual(
    pieces.map(({ fields }) => [fields.lower, fields.upper].map((key) => text(key as Uint8Array))),
    [["x", "y"], ["y", undefined]],
  );
  const packed = families.get("packed")!;
  assert.ok(packed.some(({ fields }) => fields.compression === "zstd"));
  const keys = packed.filter(({ kind }) => kind === "entry").map(({ fields }) => fields.key);
  assert.deepEqual(
    keys.map((key) => text(key as Uint8Array)),
    [
      ...Array.from({ length: 40 }, (_, index) => `key ${index}`),
    ].sort(),
  );
});

test("a manifest, the families and the pointer; a checkpointed copy under other names, too", async () => {
  const store = await fill();
  const [manifest] = files(store, /^MANIFEST/);
  const { parts, error } = await see(manifest);
  assert.equal(error, undefined);
  assert.match(kinds(parts), /^header( record)+ rest$/);
  const edits = parts.filter(({ kind }) => kind === "record").map(({ fields }) => fields);
  assert.ok(edits.some(({ addedTables }) => (addedTables as unknown[] | undefined)?.length === 1));
  assert.ok(edits.at(-1)!.cleanClose);
  assert.match(kinds((await see(join(store, "FAMILIES"))).parts), /^header( record)+$/);
  const pointer = await see(join(store, "CURRENT"));
  assert.deepEqual(pointer.parts.map(({ fields }) => fields), [{ manifest: 1 }]);
  const elsewhere = temporaryDirectory();
  for (const file of [manifest, files(store, /log$/)[0], files(store, /table$/)[0]]) {
    copyFileSync(file, join(elsewhere, "copy"));
    assert.deepEqual((await see(join(elsewhere, "copy"))).parts, (await see(file)).parts);
  }
});

test("a blob segment: the values that tables and log segments beside it point to, and what none does", async () => {
  const store = join(temporaryDirectory(), "store");
  {
    await using db = await Varve.open(store, { blobThreshold: 1024, walSegmentSize: 64 * 1024 });
    await db.put("table", "t".repeat(5_000));
    await db.flush();
    await db.put("log", "l".repeat(2_000), { ttl: NOW_MS });
  }
  const [blob] = files(store, /blob$/);
  const { parts, error } = await see(blob);
  assert.equal(error, undefined);
  const values = parts.filter(({ kind }) => kind === "value");
  assert.deepEqual(values.map(({ offset, bytes }) => [offset, bytes]), [[4096, 5_000], [
    12_288,
    2_000,
  ]]);
  assert.deepEqual(new Set(kinds(parts).split(" ")), new Set(["header", "value"]));
  const bytes = readFileSync(blob);
  bytes[12_300] ^= 1;
  writeFileSync(blob, bytes);
  const damaged = await see(blob);
  assert.deepEqual([damaged.error?.code, damaged.error?.offset], ["ERR_CORRUPTION", 12_288]);
  assert.equal(damaged.parts.filter(({ kind }) => kind === "value").length, 1);
  const alone = join(temporaryDirectory(), "a segment");
  copyFileSync(blob, alone);
  assert.match(kinds((await see(alone)).parts), /^header unknown( rest)?$/);
});

test("any flipped bit is ERR_CORRUPTION with file and offset, behind everything that is sound", async () => {
  const store = await fill();
  for (const file of files(store, /log$|table$|^MANIFEST|^FAMILIES|^CURRENT/)) {
    const whole = (await see(file)).parts;
    const bytes = readFileSync(file).length;
    const step = Math.max(1, Math.floor(bytes / 60));
    for (let offset = 0, bit = 0; offset < bytes; offset += step, bit = (bit + 3) % 8) {
      const copy = flipped(file, offset, bit);
      const { parts, error } = await see(copy);
      const where = `${basename(file)} at ${offset}`;
      assert.equal(error?.code, "ERR_CORRUPTION", where);
      assert.equal(error.path, copy, where);
      assert.ok(Number.isInteger(error.offset) && error.offset! <= bytes, where);
      assert.ok(parts.length <= whole.length + 1, where);
    }
  }
});

test("damage in the middle: what lies on both sides of it is shown", async () => {
  const store = await fill();
  const [log] = files(store, /log$/);
  const whole = (await see(log)).parts;
  const frames = whole.filter(({ kind }) => kind === "frame");
  // Its length is sound, so the frames behind it can be found.
  const { parts, error } = await see(flipped(log, frames[0].offset + 44));
  assert.equal(error?.offset, frames[0].offset);
  assert.equal(parts.filter(({ kind }) => kind === "frame").length, frames.length - 1);
  const tables = await Promise.all(
    files(store, /table$/).map(async (file) => {
      const { parts } = await see(file);
      return { file, blocks: parts.filter(({ kind }) => kind === "block") };
    }),
  );
  const { file: table, blocks } = tables.find(({ blocks }) => blocks.length > 2)!;
  const seen = await see(flipped(table, blocks[1].offset + 2));
  assert.equal(seen.error?.offset, blocks[1].offset);
  assert.deepEqual(
    seen.parts.filter(({ kind }) => kind === "block").map(({ offset }) => offset),
    blocks.filter((_, index) => index !== 1).map(({ offset }) => offset),
  );
  assert.match(kinds(seen.parts), /filter index properties footer$/);
});

test("a file that was cut off, and one under another's name", async () => {
  const store = await fill();
  const directory = temporaryDirectory();
  for (const file of files(store, /log$|table$|^MANIFEST|^FAMILIES|^CURRENT/)) {
    const bytes = readFileSync(file);
    const parts = (await see(file)).parts;
    const end = parts.filter(({ kind }) => kind !== "rest").at(-1)!;
    for (const length of [0, 1, 63, 64, 4095, 4096, end.offset + end.bytes - 1]) {
      if (length >= end.offset + end.bytes) continue;
      const copy = join(directory, basename(file));
      writeFileSync(copy, bytes.subarray(0, length));
      const { error } = await see(copy);
      assert.equal(error?.code, "ERR_CORRUPTION", `${basename(file)}: ${length} bytes`);
      assert.ok(error.offset! <= length);
    }
  }
  for (const [pattern, name] of [[/log$/, "000999.log"], [/table$/, "000999.table"]] as const) {
    const copy = join(directory, name);
    copyFileSync(files(store, pattern)[0], copy);
    const { parts, error } = await see(copy);
    assert.equal(error?.code, "ERR_CORRUPTION");
    assert.match(error.message, /under another's name/);
    assert.ok(parts.length > 3);
  }
});

test("content that makes no sense under a right checksum does no harm", async () => {
  const store = await fill();
  let refused = 0;
  let state = 12345;
  const random = (below: number) => (state = (state * 1103515245 + 12345) % 2 ** 31) % below;
  for (const file of files(store, /log$|table$|^MANIFEST/)) {
    const { parts } = await see(file);
    const targets = parts.filter(({ kind, checksum }) => checksum !== undefined && kind !== "rest");
    for (let round = 0; round < 60; round++) {
      const bytes = readFileSync(file);
      const { kind, offset, bytes: length } = targets[random(targets.length)];
      const place = offset + random(Math.min(length, 64));
      bytes[place] = random(2) === 0 ? 0xff : random(256);
      seal(bytes, file, kind, offset, length);
      const copy = join(temporaryDirectory(), basename(file));
      writeFileSync(copy, bytes);
      const { error } = await see(copy);
      if (error === undefined) continue;
      refused++;
      assert.ok(["ERR_CORRUPTION", "ERR_UNSUPPORTED"].includes(error.code), error.code);
      assert.ok(Number.isInteger(error.offset));
    }
  }
  assert.ok(refused > 50, `${refused} were refused`);
});

test("what is no file of a store, no file, or not there", async () => {
  const directory = temporaryDirectory();
  const stray = join(directory, "notes.txt");
  writeFileSync(stray, "mine, and of no store");
  await assert.rejects(see(stray).then(thrown), coded("ERR_INVALID_ARGUMENT"));
  await assert.rejects(see(directory).then(thrown), coded("ERR_INVALID_ARGUMENT"));
  mkdirSync(join(directory, "000001.log"));
  await assert.rejects(
    see(join(directory, "000001.log")).then(thrown),
    coded("ERR_INVALID_ARGUMENT"),
  );
  await assert.rejects(see(join(directory, "000002.log")).then(thrown), coded("ERR_NOT_FOUND"));
  await assert.rejects(see(7 as never).then(thrown), coded("ERR_INVALID_ARGUMENT"));
});

test("a store that is in use may be looked at, and a look may end early", async () => {
  const path = join(temporaryDirectory(), "store");
  await using db = await Varve.open(path);
  await db.put("a", "1");
  const [log] = files(path, /log$/);
  for await (const { kind } of inspectFile(log)) {
    if (kind === "entry") break;
  }
  await db.put("b", "2");
  const entries = (await see(log)).parts.filter(({ kind }) => kind === "entry");
  assert.equal(entries.length, 2);
});

function thrown({ error }: Seen): void {
  if (error !== undefined) throw error;
}

/** Writes the checksum that a part ought to have. */
function seal(bytes: Buffer, file: string, kind: string, offset: number, length: number): void {
  if (kind === "footer") {
    const covered = Buffer.concat([
      bytes.subarray(offset, offset + 12),
      bytes.subarray(offset + 16, offset + length),
    ]);
    bytes.writeUInt32LE(crc32c(covered), offset + 12);
  } else if (file.endsWith(".table")) {
    const place = Buffer.alloc(16);
    place.writeBigUInt64LE(BigInt(parseInt(basename(file), 10)), 0);
    place.writeBigUInt64LE(BigInt(offset), 8);
    const covered = Buffer.concat([bytes.subarray(offset, offset + length - 4), place]);
    bytes.writeUInt32LE(crc32c(covered), offset + length - 4);
  } else {
    const end = kind === "header" ? file.endsWith(".log") ? 56 : 64 : length;
    bytes.writeUInt32LE(crc32c(bytes.subarray(offset + 4, offset + end)), offset);
  }
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
