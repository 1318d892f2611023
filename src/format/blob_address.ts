/** Where a large value lies, as log entries, memtables and tables hold it. Layout: `BlobAddress` in `abi.zig`. */
import { BlobAddress } from "../native/layout.gen.ts";

export interface ValueAddress {
  /** The segment's number. */
  readonly number: number;
  readonly offset: number;
  readonly bytes: number;
  readonly checksum: number;
}

/** Words: an address may start at any of them, and its doubles then at half of one. */
const scratch = new Uint32Array(BlobAddress.BYTES >> 2);
const doubles = new Float64Array(scratch.buffer);
const WORDS = scratch.length;

export function writeAddress(u32: Uint32Array, word: number, address: ValueAddress): void {
  doubles[BlobAddress.number >> 3] = address.number;
  doubles[BlobAddress.offset >> 3] = address.offset;
  scratch[BlobAddress.bytes >> 2] = address.bytes;
  scratch[BlobAddress.checksum >> 2] = address.checksum;
  for (let index = 0; index < WORDS; index++) u32[word + index] = scratch[index];
}

export function readAddress(u32: Uint32Array, word: number): ValueAddress {
  for (let index = 0; index < WORDS; index++) scratch[index] = u32[word + index];
  return {
    number: doubles[BlobAddress.number >> 3],
    offset: doubles[BlobAddress.offset >> 3],
    bytes: scratch[BlobAddress.bytes >> 2],
    checksum: scratch[BlobAddress.checksum >> 2],
  };
}
