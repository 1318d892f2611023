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

/** Bits to turn over: all, or so many, every other one in a byte that was written. */
function* bitsOf(content: Uint8Array, chance: () => number): Generator<number> {
  if (isWhole) {
    for (let bit = 0; bit < 8 * content.length; bit++) yield bit;
    return;
  }
  const written = [...content.keys()].filter((offset) => content[offset] !== 0);
  for (let count = 0; count < FLIPS_PER_FILE; count++) {
    const offset = count % 2 === 0
      ? written[below(chance, written.length)]
      : below(chance, content.length);
    yield 8 * offset + below(chance, 8);
  }
}

function* lengthsOf(content: Uint8Array, chance: () => number): Generator<number> {
  if (isWhole || content.length < CUTS_PER_FILE) {
    for (let length = 0; length < content.length; length++) yield length;
    return;
  }
  for (const length of [0, 1, 64, content.length - 1]) yield length;
  // Most of a file of reserved space is zeros: half of the lengths are where something was written.
  const end = 1 + content.findLastIndex((byte) => byte !== 0);
  for (let count = 0; count < CUTS_PER_FILE; count++) {
    yield below(chance, count % 2 === 0 ? end : content.length);
  }
}

for (const make of [closedStore, killedStore]) {
  const name = make.name;

  test(`${name}: a bit turned over in any file is an error, or nothing (VARVE_SEED=${seed})`, async () => {
    const specimen = await make();
    const chance = chanceOf(`flips of ${name}`);
    for (const [file, content] of specimen.files) {
      let refused = 0;
      for (const bit of bitsOf(content, chance)) {
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
      for (const length of lengthsOf(content, chance)) {
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
