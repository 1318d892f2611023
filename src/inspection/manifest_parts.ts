/** A manifest, or `FAMILIES`, which has the same framing, in parts; and the pointer file. */
import { VarveError } from "../base/errors.ts";
import { decodeEdit } from "../format/manifest_edit.ts";
import {
  decodeManifestHeader,
  decodePointer,
  MANIFEST_HEADER_BYTES,
  RECORD_ALIGNMENT,
  recordAt,
} from "../format/manifest_file.ts";
import { type FilePart, type Findings, type ReadableFile, zerosFrom } from "./part.ts";

/** Far more than a manifest grows to before it is begun anew. */
const MANIFEST_BYTES_MAX = 1 << 30;
const POINTER_BYTES_MAX = 256;

/** `number`: what the file's name says, if it says anything. */
export async function* manifestParts(
  file: ReadableFile,
  number: number | undefined,
  findings: Findings,
): AsyncGenerator<FilePart> {
  if (file.bytes > MANIFEST_BYTES_MAX) {
    return findings.damage(MANIFEST_BYTES_MAX, "it is larger than any manifest");
  }
  const bytes = await file.read(0, file.bytes);
  const header = decodeManifestHeader(bytes, file.path);
  const { checksum, ...fields } = header;
  yield { kind: "header", offset: 0, bytes: MANIFEST_HEADER_BYTES, checksum, fields };
  if (number !== undefined && number !== header.number) {
    findings.damage(0, `it is manifest ${header.number} under another's name`);
  }
  let offset = MANIFEST_HEADER_BYTES;
  let chain = checksum;
  let rest = offset;
  while (offset < bytes.length) {
    const record = recordAt(bytes, offset);
    if (record === undefined) {
      offset += RECORD_ALIGNMENT;
      continue;
    }
    if (offset > rest) findings.damage(rest, `a record is damaged, one at offset ${offset} is not`);
    else if (record.chain !== chain) {
      findings.damage(offset, "the record follows another one than that before it");
    }
    const edit = editOf(record.payload, file.path, record.offset, findings);
    if (edit !== undefined) {
      const { checksum, bytes } = record;
      yield { kind: "record", offset, bytes, checksum, fields: { chain: record.chain, ...edit } };
    }
    chain = record.checksum;
    rest = offset += record.bytes;
  }
  if (rest === MANIFEST_HEADER_BYTES) findings.damage(rest, "it has no record");
  const written = zerosFrom(bytes, rest);
  if (written > rest) {
    findings.damage(rest, "what follows is no record: a write that was cut off, or damage");
  }
  if (bytes.length > written) {
    yield { kind: "rest", offset: written, bytes: bytes.length - written, fields: {} };
  }
}

function editOf(payload: Uint8Array, path: string, offset: number, findings: Findings) {
  try {
    return decodeEdit(payload, path, offset);
  } catch (error) {
    if (!(error instanceof VarveError)) throw error;
    findings.note(error);
    return undefined;
  }
}

export async function* pointerParts(
  file: ReadableFile,
  findings: Findings,
): AsyncGenerator<FilePart> {
  if (file.bytes > POINTER_BYTES_MAX) {
    return findings.damage(POINTER_BYTES_MAX, "it is larger than any pointer file");
  }
  const bytes = await file.read(0, file.bytes);
  const manifest = decodePointer(bytes, file.path);
  yield { kind: "pointer", offset: 0, bytes: bytes.length, fields: { manifest } };
}
