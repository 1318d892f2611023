/**
 * The framing of manifest files and of the pointer file. A manifest is a header and a chain of checksummed records;
 * each carries the checksum of the one before it, so that a record is proof of all before it.
 * `docs/format.md` has the picture.
 */
import { corruption } from "../base/errors.ts";
import { native } from "../native/library.ts";

export const MANIFEST_VERSION = 1;
export const MANIFEST_HEADER_BYTES = 64;
export const RECORD_HEADER_BYTES = 16;

const HEADER_MAGIC = 0x4e414d56; // "VMAN"
const RECORD_MAGIC = 0x4345524d; // "MREC"
/** Records start on multiples of this. */
export const RECORD_ALIGNMENT = 8;

export interface StoreId {
  readonly low: number;
  readonly high: number;
}

export interface ManifestHeader {
  readonly number: number;
  readonly storeId: StoreId;
  /** What the first record carries as its chain. */
  readonly checksum: number;
}

/** A record that checks out by itself. */
export interface ManifestRecord {
  readonly offset: number;
  /** Header and padding included. */
  readonly bytes: number;
  readonly checksum: number;
  /** The checksum of the record before it, or of the file's header. */
  readonly chain: number;
  readonly payload: Uint8Array;
}

/** What a manifest file holds, up to its end. */
export interface ManifestContent {
  readonly header: ManifestHeader;
  readonly records: ManifestRecord[];
  /** Where the next record goes, and what it carries as its chain. */
  readonly end: number;
  readonly chain: number;
  /** Bytes behind the end that are not zero: an append that was cut off. */
  readonly torn: boolean;
}

export function encodeManifestHeader(number: number, storeId: StoreId): Uint8Array {
  const bytes = new Uint8Array(new ArrayBuffer(MANIFEST_HEADER_BYTES));
  const view = new DataView(bytes.buffer);
  view.setUint32(4, HEADER_MAGIC, true);
  view.setUint32(8, MANIFEST_VERSION, true);
  view.setFloat64(16, number, true);
  view.setUint32(24, storeId.low, true);
  view.setUint32(28, storeId.high, true);
  view.setUint32(0, checksum(bytes.subarray(4)), true);
  return bytes;
}

/** A record around a payload; `checksumOfRecord` gives what the next one carries. */
export function encodeManifestRecord(payload: Uint8Array, chain: number): Uint8Array {
  const bytes = new Uint8Array(new ArrayBuffer(recordBytes(payload.length)));
  const view = new DataView(bytes.buffer);
  view.setUint32(4, RECORD_MAGIC, true);
  view.setUint32(8, payload.length, true);
  view.setUint32(12, chain, true);
  bytes.set(payload, RECORD_HEADER_BYTES);
  view.setUint32(0, checksum(bytes.subarray(4)), true);
  return bytes;
}

export function checksumOfRecord(record: Uint8Array): number {
  return viewOf(record).getUint32(0, true);
}

/**
 * Reads a manifest. What does not check out ends it; if a sound record stands behind that place, or the header
 * itself is damaged, it is `ERR_CORRUPTION`: an append is synced before the next one begins, so only the last can be torn.
 */
export function decodeManifest(file: Uint8Array, path: string): ManifestContent {
  const header = decodeManifestHeader(file, path);
  const records: ManifestRecord[] = [];
  let offset = MANIFEST_HEADER_BYTES;
  let chain = header.checksum;
  for (;;) {
    const record = recordAt(file, offset);
    if (record === undefined || record.chain !== chain) break;
    records.push(record);
    chain = record.checksum;
    offset += record.bytes;
  }
  // Most of it is space that was reserved and never written: cheap looks first.
  const view = viewOf(file);
  for (let later = offset; later + RECORD_HEADER_BYTES <= file.length; later += RECORD_ALIGNMENT) {
    if (view.getUint32(later + 4, true) !== RECORD_MAGIC) continue;
    if (recordAt(file, later) === undefined) continue;
    throw corruption(
      `Cannot read '${path}': the record at offset ${offset} is damaged, a later one is not`,
      { path, offset },
    );
  }
  if (records.length === 0) {
    throw corruption(`Cannot read '${path}': its first record is damaged`, { path, offset });
  }
  const torn = !isBlank(file, offset);
  return { header, records, end: offset, chain, torn };
}

function isBlank(file: Uint8Array, start: number): boolean {
  for (let index = start; index < file.length; index++) if (file[index] !== 0) return false;
  return true;
}

const POINTER_PATTERN = /^MANIFEST-(\d{6,16}) ([0-9a-f]{8})\n$/;

/** The pointer file's text: the manifest's name, and a checksum over it. */
export function encodePointer(manifest: number): Uint8Array {
  const name = `MANIFEST-${String(manifest).padStart(6, "0")}`;
  return new TextEncoder().encode(`${name} ${pointerChecksum(name)}\n`);
}

/** The number of the manifest that a pointer file names. Throws `ERR_CORRUPTION`. */
export function decodePointer(bytes: Uint8Array, path: string): number {
  const match = POINTER_PATTERN.exec(new TextDecoder("latin1").decode(bytes));
  const number = Number(match?.[1]);
  if (
    match === null || !Number.isSafeInteger(number) ||
    pointerChecksum(`MANIFEST-${match[1]}`) !== match[2]
  ) {
    throw corruption(`Cannot read '${path}': it does not name a manifest`, { path, offset: 0 });
  }
  return number;
}

/** The header of a file. Throws `ERR_CORRUPTION`. */
export function decodeManifestHeader(file: Uint8Array, path: string): ManifestHeader {
  const damaged = (found: string) =>
    corruption(`Cannot read '${path}': ${found}`, { path, offset: 0 });
  if (file.length < MANIFEST_HEADER_BYTES) throw damaged("its header is cut off");
  const view = viewOf(file);
  const stored = view.getUint32(0, true);
  if (view.getUint32(4, true) !== HEADER_MAGIC) throw damaged("it is not a manifest");
  if (stored !== checksum(file.slice(4, MANIFEST_HEADER_BYTES))) {
    throw damaged("its header is damaged");
  }
  const version = view.getUint32(8, true);
  if (version !== MANIFEST_VERSION) {
    throw damaged(`it has format version ${version}, this library knows ${MANIFEST_VERSION}`);
  }
  return {
    number: view.getFloat64(16, true),
    storeId: { low: view.getUint32(24, true), high: view.getUint32(28, true) },
    checksum: stored,
  };
}

/** The sound record at an offset, or `undefined`. */
export function recordAt(file: Uint8Array, offset: number): ManifestRecord | undefined {
  if (offset + RECORD_HEADER_BYTES > file.length) return undefined;
  const view = new DataView(file.buffer, file.byteOffset + offset);
  if (view.getUint32(4, true) !== RECORD_MAGIC) return undefined;
  const bytes = recordBytes(view.getUint32(8, true));
  if (offset + bytes > file.length) return undefined;
  const record = file.slice(offset, offset + bytes);
  const stored = checksumOfRecord(record);
  if (stored !== checksum(record.subarray(4))) return undefined;
  const payloadBytes = viewOf(record).getUint32(8, true);
  return {
    offset,
    bytes,
    checksum: stored,
    chain: viewOf(record).getUint32(12, true),
    payload: record.slice(RECORD_HEADER_BYTES, RECORD_HEADER_BYTES + payloadBytes),
  };
}

function recordBytes(payloadBytes: number): number {
  return Math.ceil((RECORD_HEADER_BYTES + payloadBytes) / RECORD_ALIGNMENT) * RECORD_ALIGNMENT;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function checksum(bytes: Uint8Array): number {
  return native().call.varve_checksum(bytes, bytes.length) >>> 0;
}

function pointerChecksum(name: string): string {
  return checksum(new Uint8Array(new TextEncoder().encode(name))).toString(16).padStart(8, "0");
}
