/**
 * Ten million random puts under small budgets, then everything read back, and how much memory that took.
 *
 *     npm run soak:puts -- [--count 10000000] [--families 1] [--directory DIR]
 *
 * 16-byte keys, 100-byte values, `putSync`, buffered; `totalWriteBufferSize` and cache 64 MiB each. Ends with 1 if a value is
 * wrong, or if more than 300 MiB above the size before `open` were ever resident.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { type ColumnFamily, Varve } from "../../mod.ts";

const MIB = 1 << 20;
const RESIDENT_MAX_MIB = 300;
const VALUE_BYTES = 100;

const { values } = parseArgs({
  args: process.argv.slice(2).filter((argument) => argument !== "--"),
  options: {
    count: { type: "string", default: "10000000" },
    families: { type: "string", default: "1" },
    directory: { type: "string", default: tmpdir() },
  },
});
const count = Number(values.count);
const familyCount = Number(values.families);

/** From the kernel: `process.memoryUsage` in Bun has been seen to leave out what threads map. */
function residentMiB(): number {
  const status = readFileSync("/proc/self/status", "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024;
}

const key = new Uint8Array(16);
const keyWords = new Uint32Array(key.buffer);
const value = new Uint8Array(VALUE_BYTES);
const valueWords = new Uint32Array(value.buffer);

/** Keys are a permutation of the indices, so that they are all different and come in no order. */
function fillKey(index: number): void {
  const mixed = Math.imul(index, 0x9e3779b1) >>> 0;
  keyWords[0] = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  keyWords[1] = index;
  keyWords[2] = mixed;
  keyWords[3] = 0;
}

function fillValue(index: number): void {
  for (let word = 0; word < valueWords.length; word++) {
    valueWords[word] = Math.imul(index + word, 0x9e3779b1);
  }
}

function isExpected(found: Uint8Array | undefined, index: number): boolean {
  if (found?.length !== VALUE_BYTES) return false;
  fillValue(index);
  return found.every((byte, at) => byte === value[at]);
}

const path = join(mkdtempSync(join(values.directory, "varve-soak-")), "store");
const residentBefore = residentMiB();
let residentPeak = 0;
const watch = (): void => {
  residentPeak = Math.max(residentPeak, residentMiB() - residentBefore);
};

/** Lets the event loop turn, as a program would that does anything else. */
async function turn(): Promise<void> {
  watch();
  await new Promise((resolve) => setImmediate(resolve));
}

const db = await Varve.open(path, {
  durability: "buffered",
  totalWriteBufferSize: 64 * MIB,
  blockCacheSize: 64 * MIB,
});
const families: ColumnFamily<Uint8Array, Uint8Array>[] = [];
for (let index = 0; index < familyCount; index++) {
  families.push(familyCount === 1 ? db : await db.columnFamily(`family ${index}`));
}
const lap = (name: string, start: number, operations: number): void => {
  const seconds = (performance.now() - start) / 1000;
  console.log(
    `${name}: ${seconds.toFixed(1)} s, ${(operations / seconds / 1000).toFixed(0)} k/s; ` +
      `${residentMiB().toFixed(0)} MiB resident, at most ${
        residentPeak.toFixed(0)
      } above the start`,
  );
};

let start = performance.now();
for (let index = 0; index < count; index++) {
  fillKey(index);
  fillValue(index);
  families[index % familyCount].putSync(key, value);
  if (index % 10_000 === 0) await turn();
}
lap("puts", start, count);

start = performance.now();
await db.flush();
while (db.stats().compaction.running > 0 || db.stats().compaction.debt > 0) {
  await new Promise((resolve) => setTimeout(resolve, 50));
  watch();
}
lap("until quiet", start, 0);

start = performance.now();
let wrong = 0;
for (let index = 0; index < count; index++) {
  fillKey(index);
  if (!isExpected(families[index % familyCount].getSync(key), index)) wrong++;
  if (index % 10_000 === 0) await turn();
}
lap("gets", start, count);

start = performance.now();
let scanned = 0;
for (const family of families) {
  for (const [found, content] of family.entries()) {
    const index = found[4] | found[5] << 8 | found[6] << 16 | found[7] << 24;
    if (!isExpected(content, index)) wrong++;
    if (++scanned % 10_000 === 0) await turn();
  }
}
lap("scan", start, scanned);
if (scanned !== count) wrong++;

const { compaction, stall, write } = db.stats();
console.log(JSON.stringify({ compaction, stall, write }));
await db.close();
rmSync(join(path, ".."), { recursive: true });
console.log(
  `${count} puts, ${scanned} scanned, ${wrong} wrong, at most ${
    residentPeak.toFixed(0)
  } MiB of ${RESIDENT_MAX_MIB} MiB`,
);
process.exitCode = wrong > 0 || residentPeak > RESIDENT_MAX_MIB ? 1 : 0;
