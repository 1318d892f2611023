/**
 * Fills a small file system with a store, reads it, opens it while full, and writes again when there is room. Whatever is not as
 * promised ends it with an error; says how many puts were acknowledged before, and in all.
 *
 * Environment: `FULL` (an empty directory of that file system).
 */
import assert from "node:assert/strict";
import { closeSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { Varve, VarveError } from "../../mod.ts";

const SMALL = { walSegmentSize: 256 * 1024, writeBufferSize: 128 * 1024 };
const directory = process.env.FULL ?? "";

/** To the last block, so that recovery finds nothing that it could take. */
function takeTheRest(): void {
  const file = openSync(join(directory, "rest"), "w");
  try {
    while (writeSync(file, new Uint8Array(4096)) > 0);
  } catch (error) {
    assert.equal((error as { code?: string }).code, "ENOSPC");
  } finally {
    closeSync(file);
  }
}

function valueOf(index: number): string {
  return `${index}:`.padEnd(10_000, "x");
}

/** Puts until one is refused; returns how many were acknowledged. */
async function fill(db: Varve, from: number): Promise<number> {
  for (let index = from;; index++) {
    try {
      await db.put(`k${index}`, valueOf(index), {
        durability: index % 3 === 0 ? "buffered" : "sync",
      });
    } catch (error) {
      assert.ok(error instanceof VarveError && error.code === "ERR_NO_SPACE", String(error));
      return index;
    }
  }
}

async function requireAll(db: Varve, count: number): Promise<void> {
  const text = new TextDecoder();
  for (let index = 0; index < count; index++) {
    assert.equal(text.decode(await db.get(`k${index}`)), valueOf(index), `put ${index}`);
  }
}

const path = join(directory, "store");
const ballast = join(directory, "ballast");
writeFileSync(ballast, new Uint8Array(2 << 20));
let db = await Varve.open(path, SMALL);
let count = await fill(db, 0);
assert.ok(count > 100, `${count} puts fit`);
await requireAll(db, count);
assert.equal(await db.get(`k${count}`), undefined, "what was refused is not there");
await db.close();

takeTheRest();
db = await Varve.open(path, SMALL);
await requireAll(db, count);
await db.verify();
// The log's last segment may have room.
count = await fill(db, count);
await requireAll(db, count);
rmSync(ballast);
rmSync(join(directory, "rest"), { force: true });

// The very next put, whatever earlier ones met. Larger ones may meet a compaction that has the room for a moment.
await db.put("small", "put");
let more = count;
for (let tries = 0; more < count + 50 && tries < 50; tries++) more = await fill(db, more);
assert.ok(more >= count + 50, `${more - count} more puts fit into two mebibytes`);
await requireAll(db, more);
await db.close();
db = await Varve.open(path, SMALL);
await requireAll(db, more);
await db.close();
console.log(JSON.stringify({ count, more }));
