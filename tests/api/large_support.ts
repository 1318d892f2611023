/** What tests of large values share: values that tell whose they are, and how they are compared. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";

const KIB = 1024;

/** Bytes that depend on the seed and on every place, so that a shifted or swapped block shows. */
export function valueOf(seed: number, bytes: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(bytes / 4));
  let state = (seed * 2654435761 + bytes) >>> 0;
  for (let index = 0; index < words.length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    words[index] = state;
  }
  return new Uint8Array(words.buffer, 0, bytes);
}

/** `assert.deepEqual` of megabytes takes seconds. */
export function assertBytes(
  actual: Uint8Array | undefined,
  expected: Uint8Array,
  what: string,
): void {
  assert(actual !== undefined, `${what}: there is no value`);
  assert.equal(actual.length, expected.length, `${what}: length`);
  if (Buffer.compare(actual, expected) === 0) return;
  const at = actual.findIndex((byte, index) => byte !== expected[index]);
  assert.fail(`${what}: differs at byte ${at}`);
}

/** Around the threshold of 64 KiB, around whole blocks, and far beyond both. */
export const SIZES: readonly number[] = [
  64 * KIB - 1,
  64 * KIB,
  64 * KIB + 1,
  68 * KIB - 1,
  68 * KIB,
  100_000,
  1024 * KIB - 1,
  1024 * KIB,
  1024 * KIB + 1,
  20 * 1024 * KIB,
];
