/**
 * A blob segment in parts. It holds no addresses of its own: which values are in it is told by the tables and log segments that lie
 * beside it. Bytes that none of those points to are garbage, or values whose records are elsewhere.
 */
import { BLOB_SEGMENT_START, decodeBlobHeader } from "../blob/segment.ts";
import type { ValueAddress } from "../format/blob_address.ts";
import { BLOCK_BYTES } from "../native/layout.gen.ts";
import { native } from "../native/library.ts";
import { releaseRegion, reserveRegion } from "../native/region.ts";
import { type FilePart, type Findings, type ReadableFile, zerosFrom } from "./part.ts";

const PIECE_BYTES = 1 << 20;

/** `number`: what the file's name says, if it says anything. `addresses`: those in this segment, in any order. */
export async function* blobParts(
  file: ReadableFile,
  number: number | undefined,
  addresses: (number: number) => Promise<ValueAddress[]>,
  findings: Findings,
): AsyncGenerator<FilePart> {
  if (file.bytes < BLOCK_BYTES) return findings.damage(file.bytes, "its header is cut off");
  const header = await readHeader(file);
  if (typeof header === "string") return findings.damage(0, header);
  const { checksum, ...fields } = header;
  yield { kind: "header", offset: 0, bytes: BLOCK_BYTES, checksum, fields };
  if (number !== undefined && number !== header.number) {
    findings.damage(0, `it is segment ${header.number} under another's name`);
  }
  let end = BLOB_SEGMENT_START;
  const sorted = (await addresses(header.number)).filter(({ offset }) =>
    Number.isSafeInteger(offset)
  )
    .sort((a, b) => a.offset - b.offset);
  for (const [index, address] of sorted.entries()) {
    const before = sorted[index - 1];
    if (before !== undefined && isSame(before, address)) continue; // in the log and in a table, say
    yield* unknown(file, end, address.offset);
    const { offset, bytes } = address;
    if (await checksOut(file, address)) {
      yield { kind: "value", offset, bytes, checksum: address.checksum, fields: {} };
    } else {
      findings.damage(offset, `no value of ${bytes} bytes is here, and a record points to one`);
    }
    end = Math.max(end, Math.ceil((offset + bytes) / BLOCK_BYTES) * BLOCK_BYTES);
  }
  yield* unknown(file, end, file.bytes);
}

async function readHeader(file: ReadableFile) {
  const region = reserveRegion(BLOCK_BYTES);
  try {
    region.u8.set(await file.read(0, BLOCK_BYTES));
    return decodeBlobHeader(region);
  } finally {
    releaseRegion(region.id);
  }
}

function isSame(a: ValueAddress, b: ValueAddress): boolean {
  return a.offset === b.offset && a.bytes === b.bytes && a.checksum === b.checksum;
}

/** Over the bytes, the segment's number and the offset. */
async function checksOut(
  file: ReadableFile,
  { number, offset, bytes, checksum }: ValueAddress,
): Promise<boolean> {
  if (offset < 0 || offset + bytes > file.bytes) return false;
  const covered = new Uint8Array(new ArrayBuffer(bytes + 16));
  covered.set(await file.read(offset, bytes));
  const place = new DataView(covered.buffer, bytes);
  place.setBigUint64(0, BigInt(number), true);
  place.setBigUint64(8, BigInt(offset), true);
  return native().call.varve_checksum(covered, covered.length) >>> 0 === checksum;
}

/** What no record points to: bytes up to a place, then zeros. */
async function* unknown(
  file: ReadableFile,
  start: number,
  until: number,
): AsyncGenerator<FilePart> {
  const end = Math.min(until, file.bytes);
  let written = start;
  for (let offset = start; offset < end; offset += PIECE_BYTES) {
    const piece = await file.read(offset, Math.min(PIECE_BYTES, end - offset));
    const last = zerosFrom(piece, 0);
    if (last > 0) written = offset + last;
  }
  if (written > start) {
    yield { kind: "unknown", offset: start, bytes: written - start, fields: {} };
  }
  if (end > written) yield { kind: "rest", offset: written, bytes: end - written, fields: {} };
}
