/** The manifest on disk: what a store says of itself survives, or is refused by name. */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { test } from "../harness.ts";
import { Varve } from "../../mod.ts";
import { encodeEdit, type ManifestEdit } from "../../src/format/manifest_edit.ts";
import {
  decodeManifest,
  encodeManifestRecord,
  encodePointer,
  MANIFEST_HEADER_BYTES,
} from "../../src/format/manifest_file.ts";
import { native } from "../../src/native/library.ts";
import {
  cut,
  flipped,
  freshDirectory,
  type Image,
  imageOf,
  logNames,
  manifestName,
  reopen,
  reopenDirectory,
  TEXT,
  withFile,
  write,
} from "../log/images.ts";
import { checkClosed, checkDamage, history, prefixOf, run } from "../log/histories.ts";

const WRITES = history(20, 5);

test("a missing or damaged pointer file, manifest, table or log is ERR_CORRUPTION with its path, never a new store", async () => {
  const directory = freshDirectory();
  const db = await Varve.open(directory, TEXT);
  for (const { key, value } of WRITES) await db.put(key, value);
  await db.flush();
  await db.put("more", "value");
  await db.close();
  const image = imageOf(directory);
  assert.ok([...image.keys()].some((name) => name.endsWith(".table")));
  for (const name of image.keys()) {
    if (name === "LOCK") continue;
    const found = reopen(withFile(image, name, undefined));
    checkDamage(found, `${name} is missing`);
    assert.ok(
      found.error!.path!.endsWith(name),
      `${found.error!.path} is named, ${name} is missing`,
    );
    checkDamage(reopen(withFile(image, name, new Uint8Array(0))), `${name} is empty`);
  }
});

test("a pointer file that names another manifest, or an older one, is refused", () => {
  const { closed } = run(WRITES);
  for (const number of [2, 99]) {
    checkDamage(reopen(withFile(closed, "CURRENT", encodePointer(number))), `names ${number}`);
  }
  const copied = withFile(closed, "MANIFEST-000099", closed.get(manifestName(closed)));
  checkDamage(
    reopen(withFile(copied, "CURRENT", encodePointer(99))),
    "a copy under another number",
  );
});

test("a newer manifest is refused by its version, and no file is touched", () => {
  const { closed } = run(WRITES);
  const name = manifestName(closed);
  const content = closed.get(name)!.slice();
  new DataView(content.buffer).setUint32(8, 2, true);
  const image = withFile(closed, name, withHeaderChecksum(content));
  const directory = write(image);
  const { error } = reopenDirectory(directory);
  assert.match(error!.message, /format version 2, this library knows 1/);
  assert.deepEqual(
    withFile(imageOf(directory), "LOCK", undefined),
    withFile(image, "LOCK", undefined),
  );
});

test("after a clean close a manifest cut at any record's end is an error, or loses nothing", async () => {
  const directory = freshDirectory();
  const db = await Varve.open(directory, { ...TEXT, walSegmentSize: 65_536 });
  const other = await db.columnFamily("other", TEXT);
  const values = new Map<string, string>();
  const put = async (key: string): Promise<void> => {
    await other.put(key, key.padEnd(5000));
    values.set(`other/${key}`, key.padEnd(5000));
  };
  for (let index = 0; index < 30; index++) await put(`key ${index}`);
  await db.flush();
  for (let index = 30; index < 50; index++) await put(`key ${index}`);
  await db.close();
  const image = imageOf(directory);
  const name = manifestName(image);
  const content = image.get(name)!;
  const { records, end } = decodeManifest(content, name);
  assert.ok(records.length > 4);
  for (const { offset } of records) {
    for (const damaged of [cut(content, offset), content.slice().fill(0, offset, end)]) {
      const found = reopen(withFile(image, name, damaged));
      if (found.error !== undefined) checkDamage(found, `cut at ${offset}`);
      else {
        const kept = [...values].filter(([key, value]) => found.entries.get(key) === value).length;
        assert.equal(kept, values.size, `cut at ${offset} of ${end}: entries vanished in silence`);
      }
    }
  }
});

test("bytes of a closed store's manifest and pointer flipped, every third: an error, or everything", () => {
  const { closed } = run(WRITES);
  const name = manifestName(closed);
  const { end } = decodeManifest(closed.get(name)!, name);
  for (const [file, bytes] of [[name, end], ["CURRENT", closed.get("CURRENT")!.length]] as const) {
    for (let offset = 0; offset < bytes; offset += 3) {
      const found = reopen(withFile(closed, file, flipped(closed.get(file)!, offset)));
      checkClosed(WRITES, found, `${file} flipped at ${offset}`);
      if (found.error !== undefined) assert.equal(typeof found.error.offset, "number");
    }
  }
});

test("a torn append is cut off, and the next edit begins a new manifest that is whole", () => {
  const { killed } = run(WRITES);
  const name = manifestName(killed);
  const content = killed.get(name)!.slice();
  const { end } = decodeManifest(content, name);
  content.set([1, 2, 3, 4, 5], end + 6);
  const directory = write(withFile(killed, name, content));
  const first = reopenDirectory(directory);
  assert.equal(prefixOf(WRITES, first, "torn"), WRITES.length);
  const manifests = readdirSync(directory).filter((file) => file.startsWith("MANIFEST-"));
  assert.equal(manifests.length, 1, String(manifests));
  assert.notEqual(manifests[0], name);
  assert.equal(prefixOf(WRITES, reopenDirectory(directory), "again"), WRITES.length);
});

test("edits that no version wrote, with their checksums right: an error in bounded time and memory", () => {
  const { closed } = run(WRITES);
  const big = Number.MAX_SAFE_INTEGER;
  const table = {
    ...{ family: 0, level: 0, number: 77, fileBytes: 4096, entryCount: 1, deleteCount: 0 },
    ...{ smallestSequence: 1, largestSequence: 1 },
    ...{ smallestKey: new Uint8Array(1), largestKey: new Uint8Array(1), largestKind: 0 },
    ...{ rangeCount: 0, blobs: [] },
  };
  const hostile: ManifestEdit[] = [
    { addedTables: [table] },
    { addedTables: [{ ...table, level: 2 ** 32 - 2 }] },
    { addedTables: [{ ...table, level: big }] },
    { addedTables: [{ ...table, fileBytes: big, number: big }] },
    { addedTables: [{ ...table, smallestKey: new Uint8Array(100_000) }] },
    { addedTables: [{ ...table, rangeCount: big, largestKind: 2 }] },
    { addedTables: [{ ...table, blobs: [{ number: big, bytes: big }] }] },
    { operators: [{ family: 9, kind: 1, name: "add" }] },
    { operators: [{ family: 0, kind: 5, name: "" }] },
    { time: Number.MAX_VALUE },
    { addedLogs: [big] },
    { addedLogs: Array.from({ length: 100_000 }, (_, index) => 1000 + index) },
    { addedLogs: [1, 1, 2] },
    { cleanClose: { segment: big, offset: big } },
    { logEnds: [{ segment: 4, offset: 4097 }], cleanClose: { segment: 4, offset: big } },
    { removedLogs: [4], cleanClose: { segment: 4, offset: 5000 } },
    { droppedFamilies: [0] },
    { createdFamilies: [{ id: 1, name: "default" }] },
    { createdFamilies: [{ id: 2 ** 32, name: "wide" }] },
  ];
  for (const edit of hostile) {
    const started = performance.now();
    const found = reopen(withEdit(closed, edit));
    const what = JSON.stringify(edit).slice(0, 90);
    assert.ok(performance.now() - started < 5000, what);
    if (found.error !== undefined) checkDamage(found, what);
    else checkClosed(WRITES, found, what);
  }
});

test("hostile tables at absurd levels are refused", () => {
  const directory = freshDirectory();
  const db = Varve.openSync(directory, TEXT);
  db.putSync("key", "value");
  db.flushSync();
  db.closeSync();
  const image = imageOf(directory);
  const name = manifestName(image);
  const { records } = decodeManifest(image.get(name)!, name);
  assert.ok(records.length > 0);
  const number = Number([...image.keys()].find((file) => file.endsWith(".table"))!.slice(0, -6));
  const record = image.get(`${String(number).padStart(6, "0")}.table`)!;
  for (const level of [7, 1000, 40_000, 10_000_000]) {
    const found = reopen(withEdit(image, {
      removedTables: [{ family: 0, number }],
      addedTables: [{
        ...{ family: 0, level, number, fileBytes: record.length, entryCount: 1, deleteCount: 0 },
        ...{ smallestSequence: 1, largestSequence: 1, largestKind: 0, rangeCount: 0, blobs: [] },
        ...{
          smallestKey: new TextEncoder().encode("key"),
          largestKey: new TextEncoder().encode("key"),
        },
      }],
    }));
    if (level > 64) checkDamage(found, `level ${level}`);
    else if (found.error === undefined) assert.equal(found.entries.get("default/key"), "value");
  }
});

test("many edits make the manifest roll over, and the old one goes", () => {
  const directory = freshDirectory();
  const db = Varve.openSync(directory, TEXT);
  const name = "n".repeat(255);
  for (let round = 0; existsSync(`${directory}/MANIFEST-000001`); round++) {
    assert.ok(round < 5000, "a mebibyte of edits was written");
    db.columnFamilySync(name, { writeBufferSize: 65_536 });
    db.dropColumnFamilySync(name);
  }
  db.putSync("key", "value");
  db.closeSync();
  const manifests = readdirSync(directory).filter((file) => file.startsWith("MANIFEST-"));
  assert.deepEqual(manifests.length, 1);
  assert.deepEqual([...reopenDirectory(directory).entries], [["default/key", "value"]]);
});

test("files that no edit names are swept at the next open; others are not touched", () => {
  const { closed } = run(WRITES);
  const [log] = logNames(closed);
  let image = closed;
  const strangers = ["000900.table", "000901.temporary", "MANIFEST-000902"];
  for (const stranger of strangers) image = withFile(image, stranger, new Uint8Array(100));
  for (const own of ["notes.txt", "42.log", "000042.log.bak"]) {
    image = withFile(image, own, new Uint8Array(3));
  }
  const directory = write(image);
  assert.equal(prefixOf(WRITES, reopenDirectory(directory), "strangers"), WRITES.length);
  const left = readdirSync(directory);
  for (const stranger of strangers) assert.ok(!left.includes(stranger), stranger);
  for (const own of ["notes.txt", "42.log", "000042.log.bak", log]) {
    assert.ok(left.includes(own), own);
  }
});

test("creation cut off at any point is made good; a store that lost its pointer is not created anew", () => {
  const { closed } = run(WRITES);
  const whole = closed.get(manifestName(closed))!;
  const unfinished: Image[] = [
    new Map(),
    new Map([["LOCK", new Uint8Array(0)]]),
    new Map([["000002.temporary", whole]]),
    new Map([["000002.temporary", whole], ["000003.temporary", encodePointer(1)]]),
    new Map([["MANIFEST-000001", whole], ["000003.temporary", encodePointer(1)]]),
  ];
  for (const image of unfinished) {
    const { error, entries } = reopen(image);
    assert.equal(error, undefined, String(error));
    assert.equal(entries.size, 0);
  }
  for (
    const kept of [[manifestName(closed)], logNames(closed), [
      "MANIFEST-000001",
      ...logNames(closed),
      "000003.temporary",
    ]]
  ) {
    const image = new Map(kept.map((name) => [name, closed.get(name) ?? new Uint8Array(1)]));
    checkDamage(reopen(image), kept.join(" "));
  }
});

function withEdit(image: Image, edit: ManifestEdit): Image {
  const name = manifestName(image);
  const content = image.get(name)!;
  const { end, chain } = decodeManifest(content, name);
  const record = encodeManifestRecord(encodeEdit(edit), chain);
  const changed = new Uint8Array(Math.max(content.length, end + record.length));
  changed.set(content);
  changed.set(record, end);
  return withFile(image, name, changed);
}

/** The header's own checksum made right. */
function withHeaderChecksum(content: Uint8Array): Uint8Array {
  const covered = content.slice(4, MANIFEST_HEADER_BYTES);
  const checksum = native().call.varve_checksum(covered, covered.length) >>> 0;
  new DataView(content.buffer).setUint32(0, checksum, true);
  return content;
}
