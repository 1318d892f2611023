/**
 * A store of large values, a part of them overwritten, and how much space that takes once the store is quiet.
 *
 *     npm run soak:values -- [--gib 20] [--value-kib 1024] [--overwritten 0.3] [--rounds 1] [--directory DIR]
 *
 * `putSync` of aligned values, buffered, at default options. In each round that part of the keys, others each time, gets new values.
 * Ends with 1 if a value is wrong, or if the files then take more than 1.3 times what lives, closed or not.
 */
import { Buffer } from "node:buffer";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Varve } from "../../mod.ts";

const KIB = 1024;
const GIB = KIB ** 3;
const SPACE_MAX = 1.3;

const { values } = parseArgs({
  args: process.argv.slice(2).filter((argument) => argument !== "--"),
  options: {
    gib: { type: "string", default: "20" },
    "value-kib": { type: "string", default: "1024" },
    overwritten: { type: "string", default: "0.3" },
    rounds: { type: "string", default: "1" },
    directory: { type: "string", default: tmpdir() },
  },
});
const valueBytes = Number(values["value-kib"]) * KIB;
const count = Math.floor(Number(values.gib) * GIB / valueBytes);
const share = Number(values.overwritten);
const rounds = Number(values.rounds);

const path = join(mkdtempSync(join(values.directory, "varve-soak-")), "store");
/** Which version a key has. */
const versions = new Uint32Array(count);
const value = new Uint8Array(valueBytes);
const words = new Uint32Array(value.buffer);

function keyOf(index: number): string {
  return String(index).padStart(10, "0");
}

/** Each page begins with what it is; the rest is the same everywhere. */
function fill(index: number): void {
  for (let word = 0; word < words.length; word += KIB) {
    words[word] = index;
    words[word + 1] = versions[index];
    words[word + 2] = word;
  }
}

function isExpected(found: Uint8Array | undefined, index: number): boolean {
  fill(index);
  return found !== undefined && Buffer.compare(found, value) === 0;
}

/** Bytes on the disk, reserved space included. */
function spaceTaken(): number {
  let bytes = 0;
  for (const name of readdirSync(path)) {
    bytes += (statSync(join(path, name), { throwIfNoEntry: false })?.blocks ?? 0) * 512;
  }
  return bytes;
}

function report(name: string, start: number): number {
  const ratio = spaceTaken() / (count * valueBytes);
  const seconds = (performance.now() - start) / 1000;
  console.log(`${name}: ${seconds.toFixed(1)} s, ${ratio.toFixed(3)} times what lives`);
  return ratio;
}

async function putAll(db: Varve, isChosen: (index: number) => boolean): Promise<void> {
  for (let index = 0; index < count; index++) {
    if (!isChosen(index)) continue;
    versions[index]++;
    fill(index);
    db.putSync(keyOf(index), value, { durability: "buffered" });
    if (index % 16 === 0) await setTimeout(0);
  }
}

/** Until nothing has happened for a while: each step of collection begins the next one. */
async function quiet(db: Varve): Promise<void> {
  for (let before = "";; await setTimeout(500)) {
    const { compaction, blobs, flush } = db.stats();
    const now = JSON.stringify([compaction.count, compaction.moves, blobs.segments, flush.count]);
    if (compaction.running === 0 && now === before) return;
    before = now;
  }
}

let db = await Varve.open(path);
let start = performance.now();
await putAll(db, () => true);
report("puts", start);
for (let round = 0; round < rounds; round++) {
  start = performance.now();
  // The low bits of a product, so that the chosen ones lie anywhere.
  const chosen = (index: number) =>
    (Math.imul(index + round * 7919, 0x9e3779b1) >>> 0) < share * 2 ** 32;
  await putAll(db, chosen);
  report(`overwriting ${share}`, start);
}
start = performance.now();
await quiet(db);
const open = report("until quiet", start);
const { blobs, compaction } = db.stats();
console.log(JSON.stringify({ blobs, moved: compaction.blobBytes }));
await db.close();
const closed = report("closed", start);

start = performance.now();
db = await Varve.open(path);
let wrong = 0;
for (let index = 0; index < count; index++) {
  if (!isExpected(db.getSync(keyOf(index)), index)) wrong++;
}
report("gets", start);
await db.close();
rmSync(join(path, ".."), { recursive: true });
console.log(`${count} values, ${wrong} wrong, at most ${SPACE_MAX} times what lives`);
process.exitCode = wrong > 0 || open > SPACE_MAX || closed > SPACE_MAX ? 1 : 0;
