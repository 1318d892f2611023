/**
 * Sequence numbers: whole numbers to 2^53, kept as two words where bytes hold them, so that no BigInt is needed.
 * The high word has 21 bits; a memtable entry keeps its type in the bits above.
 */
const TWO_TO_32 = 0x1_0000_0000;

/** The largest sequence number; reading at it sees everything. */
export const SEQUENCE_MAX = Number.MAX_SAFE_INTEGER;

export function sequenceLow(sequence: number): number {
  return sequence >>> 0;
}

export function sequenceHigh(sequence: number): number {
  return Math.floor(sequence / TWO_TO_32);
}

export function sequenceOf(high: number, low: number): number {
  return high * TWO_TO_32 + (low >>> 0);
}
