/** `varve stats`: the tree of a store, drawn; of one that is in use, too; again and again. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { type Stats, Varve } from "../../mod.ts";
import { picture, spellBytes } from "../../src/cli/stats/picture.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { runVarve, startVarve, varve } from "./command.ts";

const VALUE = "v".repeat(1_000);

async function fill(db: Varve, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    void db.put(String(index).padStart(6, "0"), VALUE, { durability: "buffered" });
  }
  await db.flush();
}

test("stats draws levels, tables and bytes, and names no control character of a family", async () => {
  const store = join(temporaryDirectory(), "store");
  {
    await using db = await Varve.open(store);
    await fill(db, 200);
    await db.columnFamily("b\u001b[2J");
    await db.put("logged", "1");
  }
  const text = await varve("stats", store);
  assert.match(text, /^log {5}\d segments?, ends in \d+ at \d+$/m);
  assert.match(text, /^default {2}\d+ KiB in 1 table, a get looks into 1 at most, space × 1\.00$/m);
  assert.match(text, /^ {2}memory {2}1 entry, /m);
  assert.match(text, /^ {2}level +files +bytes$/m);
  assert.match(text, /^ {6}0 +1 +\d+ KiB {2}█{20}$/m);
  assert.ok(text.includes(String.raw`b\x1b[2J`));
  assert.ok(!text.includes("\u001b"));
  const json = JSON.parse(await varve("stats", store, "--json")) as Stats;
  assert.equal(json.columnFamilies.default.levels[0].files, 1);
});

test("stats of a store that another process writes to comes from its manifest", async () => {
  const store = join(temporaryDirectory(), "store");
  await using db = await Varve.open(store, { blobThreshold: 2_000 });
  await fill(db, 10);
  await db.put("large", VALUE.repeat(10));
  await db.columnFamily("gone");
  await db.columnFamily("there");
  await db.dropColumnFamily("gone");
  await db.flush();
  const shape = JSON.parse(await varve("stats", store, "--json"));
  assert.equal(shape.inUse, true);
  const { columnFamilies, blobs, log } = db.stats();
  assert.deepEqual(Object.keys(shape.columnFamilies), ["default", "there"]);
  const { levels } = columnFamilies.default;
  assert.equal(levels[0].files, 2);
  assert.deepEqual(
    shape.columnFamilies.default.levels,
    levels.map(({ files, bytes }) => ({ files, bytes })),
  );
  assert.deepEqual([shape.blobs.segments, shape.log.segments], [blobs.segments, log.segments]);
  const text = await varve("stats", store);
  assert.match(text, /it is in use: this is what its manifest says/);
  assert.match(text, /^ {6}0 +2 /m);
});

test("stats --watch looks again, sees what changed, and ends with SIGINT", async () => {
  const store = join(temporaryDirectory(), "store");
  await using db = await Varve.open(store);
  await fill(db, 10);
  const child = startVarve("stats", store, "--json", "--watch", "0.1");
  const closed = once(child, "close");
  let seen = 0;
  let stopped = false;
  for await (const line of createInterface({ input: child.stdout })) {
    const { files } = JSON.parse(line).columnFamilies.default.levels[0];
    seen++;
    if (seen === 1) {
      assert.equal(files, 1);
      await fill(db, 10);
    }
    // By its pid, and once: a second one ends the process at once.
    if (files === 2 && !stopped) {
      stopped = true;
      process.kill(child.pid!, "SIGINT");
    }
  }
  const [code, ended] = await closed;
  assert.deepEqual([code, ended], [130, null]);
  assert.ok(seen >= 2);
  const wrong = await runVarve(["stats", store, "--watch", "0"]);
  assert.equal(wrong.code, 2);
});

test("the picture of a store at work has traffic, hits and latencies", async () => {
  await using db = await Varve.open(join(temporaryDirectory(), "store"));
  await fill(db, 100);
  await fill(db, 200);
  await db.compact();
  await db.put("large", VALUE.repeat(100));
  for (let index = 0; index < 100; index++) db.getSync(String(index).padStart(6, "0"));
  const text = picture(db.stats()).join("\n");
  assert.match(text, /^ {2}level +files +bytes +came in +written +amp$/m);
  assert.match(text, /^ {6}\d +1 +\d+ KiB {2}█{20} +\d+ KiB +\d+ KiB +\d\.\d$/m);
  assert.match(text, /^blobs {3}1 segment, \d\.\d MiB, 100\.0 % of the values alive$/m);
  assert.match(text, /^writes {2}301 entries in \d+ groups of \d+\.\d, /m);
  assert.match(
    text,
    /^reads {3}100 gets: memtable 0\.0 %; 100 went on: found 100\.0 % \(level \d: 100\), 1\.00 tables each; cache /m,
  );
  assert.match(text, /^flushes 2, \d+ KiB$/m);
  assert.match(text, /^compactions 1, /m);
  assert.match(text, /^µs +samples +p50 +p90 +p99 +p99\.9 +max$/m);
  assert.match(text, /^get +2 +\d+\.\d +/m);
});

test("bytes have four digits at most", () => {
  const spelled = [0, 1, 999, 1000, 1024, 1536, 102_400, 1_023_999, 1_048_576, 2 ** 40, 2 ** 53];
  assert.deepEqual(spelled.map(spellBytes), [
    "0 B",
    "1 B",
    "999 B",
    "1.0 KiB",
    "1.0 KiB",
    "1.5 KiB",
    "100 KiB",
    "1000 KiB",
    "1.0 MiB",
    "1.0 TiB",
    "8.0 PiB",
  ]);
});
