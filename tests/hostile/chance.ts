/** The seed of these tests, choices that follow from it, and how much of the work is done. */
import process from "node:process";
import { seed } from "../crash/support.ts";

/** `VARVE_HOSTILE=all`: every bit and every length of what was written, and many more made-up files. */
export const isWhole = process.env.VARVE_HOSTILE === "all";

/** Numbers from 0 to below 1, the same ones for the same name and seed. */
export function chanceOf(name: string): () => number {
  let state = seed;
  for (const character of name) state = Math.imul(state ^ character.charCodeAt(0), 0x01000193);
  return () => {
    // Xorshift, for the spread; what it draws need only be the same again.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

export function below(chance: () => number, limit: number): number {
  return Math.floor(chance() * limit);
}

export function randomBytes(chance: () => number, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, () => below(chance, 256));
}
