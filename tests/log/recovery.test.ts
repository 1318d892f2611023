/** Recovery again and again: the same each time, and what it cut off stays cut off. */
import assert from "node:assert/strict";
import { BLOCK_BYTES } from "../../src/native/layout.gen.ts";
import { test } from "../harness.ts";
import { Varve } from "../../mod.ts";
import {
  flipped,
  freshDirectory,
  imageOf,
  logNames,
  manifestName,
  reopen,
  reopenDirectory,
  TEXT,
  unwritten,
  usedBytes,
  withFile,
  write,
} from "./images.ts";
import { checkClosed, checkDamage, history, prefixOf, run } from "./histories.ts";

test("recovery twice, and recovery of a recovery, give the same", () => {
  const writes = history(40, 11);
  const { killed } = run(writes);
  const [name] = logNames(killed);
  const content = killed.get(name)!;
  for (const bytes of [usedBytes(content) - 3, usedBytes(content) - 200]) {
    const damaged = withFile(killed, name, unwritten(content, bytes));
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
  const directory = write(withFile(killed, name, unwritten(content, usedBytes(content) - 100)));
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

test("a replay in pieces: frames on both sides of a piece's end, and larger than one, are all there; damage far behind is noticed", async () => {
  const directory = freshDirectory();
  const db = await Varve.open(directory, {
    ...TEXT,
    durability: "buffered",
    blobThreshold: Infinity,
  });
  const expected = new Map<string, string>();
  const put = async (index: number, count: number): Promise<void> => {
    const value = `${index} `.repeat(count);
    await db.put(`key ${index}`, value);
    expected.set(`default/key ${index}`, value);
  };
  for (let index = 0; index < 60; index++) {
    // One and a half mebibytes on average, and now and then more than any piece.
    await put(index, index % 10 === 9 ? 2_000_000 : 10_000 + 7_919 * index);
  }
  // The newest: what older ones hold may be in tables.
  const newestOf = (image: ReturnType<typeof imageOf>): string =>
    logNames(image).findLast((name) => usedBytes(image.get(name)!) > BLOCK_BYTES)!;
  let killed = imageOf(directory);
  for (let index = 60; usedBytes(killed.get(newestOf(killed))!) < 7 << 20; index++) {
    await put(index, 400_000);
    killed = imageOf(directory);
  }
  await db.sync();
  await db.put("known", "by this frame, what was before is synced");
  const synced = imageOf(directory);
  await db.close();
  assert.deepEqual(reopen(killed).entries, expected);

  const name = newestOf(synced);
  const content = synced.get(name)!;
  for (const offset of [BLOCK_BYTES + 1, 3 << 20]) {
    assert.ok(offset < usedBytes(content) - (3 << 20), "more than a piece lies behind");
    const damaged = withFile(synced, name, flipped(content, offset));
    checkDamage(reopen(damaged), `a flipped bit at ${offset}`);
  }
});
