/**
 * Values of 1 MiB, 30 % of them written over: the store must shrink back to what is live.
 *
 *     npm run soak:values -- [--gib 20] [--directory DIR]
 *
 * Ends with 1 if a value is wrong, or if more than 1.3 times the live bytes are on the disk when the store is quiet.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Buffer } from "node:buffer";
import process from "node:process";
import { parseArgs } from "node:util";
import { Varve } from "../../mod.ts";

const MIB = 1 << 20;
const OVERWRITTEN = 0.3;
const SPACE_MAX = 1.3;
/** Puts under way at once. */
const WINDOW = 32;

const { values } = parseArgs({
  args: process.argv.slice(2).filter((argument) => argument !== "--"),
  options: {
    gib: { type: "string", default: "20" },
    directory: { type: "string", default: tmpdir() },
  },
});
const count = Math.round(Number(values.gib) * 1024);
const path = join(mkdtempSync(join(values.directory, "varve-soak-")), "store");

/** Blocks that the files take, in bytes: what was reserved and not written counts. */
function bytesOnDisk(): number {
  return readdirSync(path).reduce((sum, name) => {
    const status = statSync(join(path, name), { throwIfNoEntry: false });
    return sum + (status === undefined ? 0 : status.blocks * 512);
  }, 0);
}

const value = new Uint8Array(MIB);
for (let at = 0; at < MIB; at += 4) value[at] = at >> 8;
const words = new Uint32Array(value.buffer);

function fillValue(index: number, round: number): void {
  words[0] = index;
  words[MIB / 4 - 1] = round;
}

function lap(name: string, start: number, valueCount: number): void {
  const seconds = (performance.now() - start) / 1000;
  const live = count * MIB;
  console.log(
    `${name}: ${seconds.toFixed(1)} s, ${(valueCount / seconds).toFixed(0)} MiB/s; ` +
      `${(bytesOnDisk() / live).toFixed(3)} times the live bytes on the disk`,
  );
}

const db = await Varve.open(path, { keyEncoding: "utf8", durability: "buffered" });
const keyOf = (index: number) => `value ${String(index).padStart(8, "0")}`;

/** Copies are taken at the call: one array serves all. */
async function write(indexes: readonly number[], round: number): Promise<void> {
  const pending: Promise<void>[] = [];
  for (const index of indexes) {
    fillValue(index, round);
    pending.push(db.put(keyOf(index), value));
    if (pending.length === WINDOW) await Promise.all(pending.splice(0));
  }
  await Promise.all(pending);
}

let start = performance.now();
const all = Array.from({ length: count }, (_, index) => index);
await write(all, 0);
lap("written", start, count);

start = performance.now();
// Spread over all segments, in no order.
const again = all.filter((index) => (Math.imul(index, 0x9e3779b1) >>> 0) / 2 ** 32 < OVERWRITTEN);
await write(again, 1);
lap(`${again.length} written over`, start, again.length);

start = performance.now();
await db.flush();
await db.compact();
lap("compacted", start, 0);

start = performance.now();
const rounds = new Set(again);
let wrong = 0;
for (const index of all) {
  const found = await db.get(keyOf(index));
  fillValue(index, rounds.has(index) ? 1 : 0);
  const isRight = found?.length === MIB && Buffer.compare(found, value) === 0;
  if (!isRight) wrong++;
}
lap("read", start, count);
const { blobs } = db.stats();
console.log(JSON.stringify(blobs));
await db.close();
const space = bytesOnDisk() / (count * MIB);
rmSync(join(path, ".."), { recursive: true });
console.log(`${count} values, ${wrong} wrong, ${space.toFixed(3)} times the live bytes`);
process.exitCode = wrong > 0 || space > SPACE_MAX ? 1 : 0;
