/** Replay of damaged logs: never a wrong value, never a synced write gone in silence. */
import assert from "node:assert/strict";
import { BLOCK_BYTES, LogSegmentHeader } from "../../src/native/layout.gen.ts";
import { test } from "../harness.ts";
import { Varve } from "../../mod.ts";
import {
  cut,
  flipped,
  freshDirectory,
  imageOf,
  logNames,
  manifestName,
  reopen,
  reopenDirectory,
  TEXT,
  withFile,
  write,
} from "./images.ts";
import { checkClosed, checkDamage, checkKilled, history, prefixOf, run } from "./histories.ts";

/** The last byte that is not zero, plus one. */
function usedBytes(content: Uint8Array): number {
  return content.findLastIndex((byte) => byte !== 0) + 1;
}

const WAYS = [
  { way: "bytes", writes: history(60, 13), options: { durability: "buffered" as const } },
  {
    way: "blocks",
    writes: [{ key: "first", value: "v", sync: true }, ...history(12, 3)],
    options: {},
  },
];

for (const { way, writes, options } of WAYS) {
  test(`${way}: a killed store's log cut at every 512 bytes, and flipped here and there`, () => {
    const { killed } = run(writes, options);
    assert.equal(prefixOf(writes, reopen(killed), "undamaged"), writes.length);
    const [name] = logNames(killed);
    const content = killed.get(name)!;
    const used = usedBytes(content);
    for (let bytes = 0; bytes <= used + 512; bytes += 512) {
      const found = reopen(withFile(killed, name, cut(content, bytes)));
      checkKilled(writes, found, `${way}, cut to ${bytes} of ${used}`);
    }
    const places = [
      ...Array.from({ length: LogSegmentHeader.BYTES }, (_, index) => index),
      ...Array.from(
        { length: 150 },
        (_, index) => BLOCK_BYTES + Math.floor(index * (used + 64 - BLOCK_BYTES) / 150),
      ),
    ];
    for (const offset of places) {
      const found = reopen(withFile(killed, name, flipped(content, offset)));
      checkKilled(writes, found, `${way}, flipped at ${offset} of ${used}`);
      if (found.error !== undefined) assert.equal(typeof found.error.offset, "number");
    }
  });

  test(`${way}: after a clean close any damage to any file is an error, or harmless`, () => {
    const { closed } = run(writes, options);
    assert.equal(prefixOf(writes, reopen(closed), "undamaged"), writes.length);
    for (const [name, content] of closed) {
      if (name === "LOCK") continue;
      checkDamage(reopen(withFile(closed, name, undefined)), `${way}, ${name} is missing`);
      const used = usedBytes(content);
      for (let step = 0; step <= 24; step++) {
        const bytes = Math.floor(used * step / 24);
        const found = reopen(withFile(closed, name, cut(content, bytes)));
        checkClosed(writes, found, `${way}, ${name} cut to ${bytes} of ${used}`);
        const zeros = content.slice().fill(0, bytes);
        checkClosed(
          writes,
          reopen(withFile(closed, name, zeros)),
          `${way}, ${name} zero from ${bytes}`,
        );
        if (bytes === used) continue;
        const damaged = reopen(withFile(closed, name, flipped(content, bytes, 1 << (step % 8))));
        checkClosed(writes, damaged, `${way}, ${name} flipped at ${bytes} of ${used}`);
      }
    }
  });
}

test("what recovery found is on record: damage to it afterwards is ERR_CORRUPTION, not a shorter log", () => {
  const writes = history(30, 100);
  const { killed } = run(writes);
  const directory = write(killed);
  const db = Varve.openSync(directory, TEXT);
  db.columnFamilySync("an edit"); // goes out with the log's end, synced; no record is written
  const again = imageOf(directory);
  db.closeSync();
  const [name] = logNames(again);
  const content = again.get(name)!;
  assert.equal(prefixOf(writes, reopen(again), "undamaged"), writes.length);
  for (let offset = BLOCK_BYTES; offset < usedBytes(content); offset += 100) {
    checkClosed(
      writes,
      reopen(withFile(again, name, flipped(content, offset))),
      `flipped at ${offset}`,
    );
  }
});

test("a clean close keeps its promise after a reopen that wrote nothing but an edit", () => {
  const writes = history(30, 7);
  const { closed } = run(writes);
  const directory = write(closed);
  const db = Varve.openSync(directory, TEXT);
  db.columnFamilySync("an edit");
  const again = imageOf(directory);
  db.closeSync();
  const [name] = logNames(again);
  const content = again.get(name)!;
  for (let offset = BLOCK_BYTES; offset < usedBytes(content); offset += 97) {
    checkClosed(
      writes,
      reopen(withFile(again, name, flipped(content, offset))),
      `flipped at ${offset}`,
    );
  }
});

test("recovery twice, and recovery of a recovery, give the same", () => {
  const writes = history(40, 11);
  const { killed } = run(writes);
  const [name] = logNames(killed);
  const content = killed.get(name)!;
  for (const bytes of [usedBytes(content) - 3, usedBytes(content) - 200]) {
    const damaged = withFile(killed, name, cut(content, bytes));
    const first = reopen(damaged);
    const directory = write(damaged);
    const once = Varve.openSync(directory, TEXT);
    const killedAgain = imageOf(directory); // recovered, and killed before it wrote anything
    once.closeSync();
    assert.deepEqual(reopen(killedAgain), first);
    for (let round = 0; round < 3; round++) assert.deepEqual(reopenDirectory(directory), first);
  }
});

test("writes after a recovery that cut the log off are found by the next, and the cut ones are not", () => {
  const writes = history(40, 100);
  const { killed } = run(writes);
  const [name] = logNames(killed);
  const content = killed.get(name)!;
  const torn = withFile(killed, name, flipped(content, usedBytes(content) - 700));
  const kept = prefixOf(writes, reopen(torn), "torn");
  assert.ok(kept < writes.length);
  const directory = write(torn);
  const db = Varve.openSync(directory, TEXT);
  db.putSync("new", "value");
  const image = imageOf(directory);
  db.closeSync();
  // The old segment's tail made whole again: what lay behind the end never comes back.
  const healed = withFile(image, name, content);
  for (const { entries, error } of [reopen(image), reopen(healed)]) {
    assert.equal(error, undefined);
    assert.equal(entries.get("default/new"), "value");
    const old = new Map([...entries].filter(([key]) => key !== "default/new"));
    assert.equal(prefixOf(writes, { entries: old }, "after"), kept);
  }
});

test("logs of two stores, or two segments of one, exchanged: ERR_CORRUPTION", () => {
  const one = run(history(20, 5)).closed;
  const other = run(history(20, 5)).closed;
  const [name] = logNames(one);
  checkDamage(reopen(withFile(one, name, other.get(name))), "another store's log");
  const many = run(history(300, 50, 1500), { walSegmentSize: 65_536 }).closed;
  const [first, second] = logNames(many);
  const swapped = withFile(withFile(many, first, many.get(second)), second, many.get(first));
  checkDamage(reopen(swapped), "exchanged segments");
});

test("a stale copy of a segment, put in its place: an error, or harmless", () => {
  const directory = freshDirectory();
  const db = Varve.openSync(directory, TEXT);
  const writes = history(30, 1);
  for (const { key, value } of writes.slice(0, 10)) db.putSync(key, value);
  const stale = imageOf(directory);
  for (const { key, value } of writes.slice(10)) db.putSync(key, value);
  db.closeSync();
  const closed = imageOf(directory);
  const [name] = logNames(closed);
  checkClosed(writes, reopen(withFile(closed, name, stale.get(name))), "stale log");
  const manifest = manifestName(closed);
  checkClosed(writes, reopen(withFile(closed, manifest, stale.get(manifest))), "stale manifest");
});

test("a reader without the right to write recovers too, and changes no file", () => {
  const writes = history(40, 100);
  const { killed } = run(writes);
  const [name] = logNames(killed);
  const content = killed.get(name)!;
  const directory = write(withFile(killed, name, cut(content, usedBytes(content) - 100)));
  const before = imageOf(directory);
  const db = Varve.openSync(directory, { ...TEXT, readOnly: true });
  const entries = new Map(Array.from(db.entries(), ([key, value]) => [`default/${key}`, value]));
  db.closeSync();
  assert.ok(prefixOf(writes, { entries }, "read-only") < writes.length);
  assert.deepEqual(imageOf(directory), before);
});

test("random bytes, and zeros, in place of any file: an error, in bounded time", () => {
  const writes = history(30, 7);
  const { closed } = run(writes);
  let state = 12345;
  for (const [name, content] of closed) {
    if (name === "LOCK") continue;
    const noise = content.map(() => (state = Math.imul(state, 1103515245) + 12345 >>> 0) >>> 24);
    checkDamage(reopen(withFile(closed, name, noise)), `${name} is noise`);
    checkDamage(reopen(withFile(closed, name, new Uint8Array(content.length))), `${name} is zeros`);
    const longer = new Uint8Array(content.length + 5000);
    longer.set(content);
    longer.fill(0xa5, content.length);
    checkClosed(writes, reopen(withFile(closed, name, longer)), `${name} is longer`);
  }
});
