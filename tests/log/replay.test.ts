/** Replay of damaged logs: never a wrong value, never a synced write gone in silence. */
import assert from "node:assert/strict";
import { BLOCK_BYTES, LogSegmentHeader } from "../../src/native/layout.gen.ts";
import { test } from "../harness.ts";
import { Varve } from "../../mod.ts";
import {
  cut,
  flipped,
  imageOf,
  logNames,
  reopen,
  TEXT,
  unwritten,
  usedBytes,
  withFile,
  write,
} from "./images.ts";
import { checkClosed, checkDamage, checkKilled, history, prefixOf, run } from "./histories.ts";

const WAYS = [
  { way: "bytes", writes: history(30, 13), options: { durability: "buffered" as const } },
  {
    way: "blocks",
    writes: [{ key: "first", value: "v", sync: true }, ...history(4, 2)],
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
      if (bytes < BLOCK_BYTES || bytes % 1024 !== 0) continue;
      // What was never written is no damage: whoever knew that it had been synced is gone with it.
      const torn = reopen(withFile(killed, name, unwritten(content, bytes)));
      assert.equal(
        torn.error,
        undefined,
        `${way}, unwritten from ${bytes}: ${torn.error?.message}`,
      );
      prefixOf(writes, torn, `${way}, unwritten from ${bytes} of ${used}`);
    }
    const places = [
      ...Array.from({ length: LogSegmentHeader.BYTES }, (_, index) => index),
      ...Array.from(
        { length: 40 },
        (_, index) => BLOCK_BYTES + Math.floor(index * (used + 64 - BLOCK_BYTES) / 40),
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
      for (let step = 0; step <= 12; step++) {
        const bytes = Math.floor(used * step / 12);
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
  for (let offset = BLOCK_BYTES; offset < usedBytes(content); offset += 500) {
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
  // The last frames above all: no later one knows that they were synced.
  const used = usedBytes(content);
  for (let offset = BLOCK_BYTES; offset < used; offset += used - offset < 500 ? 29 : 491) {
    checkClosed(
      writes,
      reopen(withFile(again, name, flipped(content, offset))),
      `flipped at ${offset}`,
    );
  }
});
