/**
 * An assertion means that *our* code is wrong. Bytes from disk and users' arguments are never asserted on:
 * they are checked, and reported with a code.
 */
export function assert(condition: boolean, fact: string): asserts condition {
  if (!condition) throw new Error(`Varve's own code is wrong; this must hold: ${fact}`);
}
