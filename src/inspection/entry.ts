/** Entries of the log and of tables as people read them. `docs/tree.md` says what they mean. */
import { isPossibleEntry } from "../format/log_entry.ts";
import { BlobAddress, EntryType } from "../native/layout.gen.ts";

const EXPIRY_BYTES = 8;

const NAMES = new Map<number, string>(
  Object.entries(EntryType).map(([name, type]) => [type, name]),
);

/** The fields of an entry, or `undefined` for one that cannot be. */
export function entryFields(
  type: number,
  sequence: number,
  key: Uint8Array,
  value: Uint8Array,
): Record<string, unknown> | undefined {
  const name = NAMES.get(type);
  if (name === undefined || !isPossibleEntry(type, key.length, value.length)) return undefined;
  const head = { type: name, sequence };
  switch (type) {
    case EntryType.delete:
      return { ...head, key };
    case EntryType.merge:
      return { ...head, key, operand: value };
    case EntryType.deleteRange:
      return { ...head, lower: key, upper: value };
    case EntryType.putExpiring:
      return { ...head, key, expires: expiryOf(value), value: value.subarray(EXPIRY_BYTES) };
    case EntryType.putBlob:
      return { ...head, key, ...addressOf(value) };
    case EntryType.putBlobExpiring:
      return {
        ...head,
        key,
        expires: expiryOf(value),
        ...addressOf(value.subarray(EXPIRY_BYTES)),
      };
    default:
      return { ...head, key, value };
  }
}

/** Milliseconds since 1970. */
function expiryOf(value: Uint8Array): number {
  return viewOf(value).getFloat64(0, true);
}

function addressOf(value: Uint8Array): Record<string, unknown> {
  const view = viewOf(value);
  return {
    segment: view.getFloat64(BlobAddress.number, true),
    segmentOffset: view.getFloat64(BlobAddress.offset, true),
    valueBytes: view.getUint32(BlobAddress.bytes, true),
    valueChecksum: view.getUint32(BlobAddress.checksum, true),
  };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
