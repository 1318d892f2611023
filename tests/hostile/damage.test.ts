/**
 * Files that something else has written to: every bit turned over, every length cut, files missing, emptied, swapped or made of
 * anything. What is read is right, or there is an error with a code. A quick run takes a sample, with its seed printed.
 */
import assert from "node:assert/strict";
import { test } from "../harness.ts";
import { seed } from "../crash/support.ts";
import { below, chanceOf, isWhole, randomBytes } from "./chance.ts";
import { closedStore, type Found, killedStore, look, type Specimen, withFile } from "./specimen.ts";

const FLIPS_PER_FILE = 150;
const CUTS_PER_FILE = 80;

const ALLOWED: readonly Found[] = ["intact", "ERR_CORRUPTION"];

/** Looks at a damaged store; returns whether it was found to be damaged. */
async function isRefused(
  { files, states }: Specimen,
  name: string,
  content: Uint8Array | undefined,
  what: string,
  allowed = ALLOWED,
): Promise<boolean> {
  let found: Found;
  try {
    found = await look(withFile(files, name, content), states);
  } catch (error) {
    throw new Error(`${name}, ${what}, VARVE_SEED=${seed}: ${error}`, { cause: error });
  }
  assert.ok(allowed.includes(found), `${name}, ${what}: ${found}`);
  return found !== "intact";
}

/** Files are mostly reserved space. Of a line with anything in it everything is tried, of the others one place. */
const LINE_BYTES = 64;

/** Places in a file, each with a chance to be tried: all that there are, or so many, half of them where something was written. */
function* placesOf(
  content: Uint8Array,
  perByte: number,
  count: number,
  chance: () => number,
): Generator<number> {
  const isWritten = (line: number) =>
    content.subarray(line * LINE_BYTES, (line + 1) * LINE_BYTES).some((byte) => byte !== 0);
  const lines = Array.from({ length: Math.ceil(content.length / LINE_BYTES) }, (_, line) => line);
  const written = lines.filter(isWritten);
  const bytesOf = (line: number) => Math.min(LINE_BYTES, content.length - line * LINE_BYTES);
  const anyOf = (line: number) =>
    perByte * LINE_BYTES * line + below(chance, perByte * bytesOf(line));
  if (!isWhole) {
    for (let index = 0; index < count; index++) {
      const from = index % 2 === 0 ? written : lines;
      yield anyOf(from[below(chance, from.length)]);
    }
    return;
  }
  for (const line of lines) {
    if (!isWritten(line)) {
      yield anyOf(line);
      continue;
    }
    for (let at = 0; at < perByte * bytesOf(line); at++) yield perByte * LINE_BYTES * line + at;
  }
}

for (const make of [closedStore, killedStore]) {
  const name = make.name;

  test(`${name}: a bit turned over in any file is an error, or nothing (VARVE_SEED=${seed})`, async () => {
    const specimen = await make();
    const chance = chanceOf(`flips of ${name}`);
    for (const [file, content] of specimen.files) {
      let refused = 0;
      for (const bit of placesOf(content, 8, FLIPS_PER_FILE, chance)) {
        const turned = content.slice();
        turned[bit >> 3] ^= 1 << (bit & 7);
        const what = `bit ${bit & 7} of byte ${bit >> 3}`;
        if (await isRefused(specimen, file, turned, what)) refused++;
      }
      assert.ok(refused > 0, `${file}: nothing was found`);
    }
  });

  test(`${name}: a file cut at any length is an error, or nothing (VARVE_SEED=${seed})`, async () => {
    const specimen = await make();
    const chance = chanceOf(`cuts of ${name}`);
    for (const [file, content] of specimen.files) {
      for (const length of placesOf(content, 1, CUTS_PER_FILE, chance)) {
        await isRefused(specimen, file, content.slice(0, length), `cut to ${length} bytes`);
      }
    }
  });

  test(`${name}: a file that is missing, emptied, extended, zeros, random, or another one is an error, or nothing (VARVE_SEED=${seed})`, async () => {
    const specimen = await make();
    const chance = chanceOf(`files of ${name}`);
    for (const [file, content] of specimen.files) {
      const refuse = (other: Uint8Array | undefined, what: string) =>
        isRefused(specimen, file, other, what);
      // It tells a repair what the manifest tells everybody else, and is nobody else's concern.
      const isSpare = file === "FAMILIES";
      assert.ok(await refuse(undefined, "missing") || isSpare);
      assert.ok(await refuse(new Uint8Array(), "emptied"));
      assert.ok(await refuse(new Uint8Array(content.length), "zeros"));
      assert.ok(await refuse(randomBytes(chance, content.length), "random"));
      for (const tail of [new Uint8Array(4096), randomBytes(chance, 1 + below(chance, 9000))]) {
        const longer = new Uint8Array(content.length + tail.length);
        longer.set(content);
        longer.set(tail, content.length);
        await refuse(longer, "extended");
      }
      for (const [other, otherContent] of specimen.files) {
        if (other !== file) assert.ok(await refuse(otherContent, `in fact ${other}`) || isSpare);
      }
    }
  });
}

test("files of another store are refused, though they have the same names", async () => {
  const { files, states } = await closedStore();
  const other = await closedStore(2);
  const names = [...files.keys()];
  assert.deepEqual([...other.files.keys()], names);
  for (const name of names) {
    // One has a name in it, which is the same; one is a repair's.
    if (name === "CURRENT" || name === "FAMILIES") continue;
    const mixed = withFile(files, name, other.files.get(name));
    // Tables have no store's number: with the same content they are the same. A blob segment's values are known by where they are
    // and by their checksums.
    if (name.endsWith(".table")) assert.deepEqual(other.files.get(name), files.get(name));
    else if (name.endsWith(".blob")) assert.ok(ALLOWED.includes(await look(mixed, states)));
    else assert.equal(await look(mixed, states), "ERR_CORRUPTION", name);
  }
});
