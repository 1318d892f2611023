/** How much a range of keys takes, without reading it: what the tables' indexes and a sample of the memtables say. */
import { nativeError } from "../native/failure.ts";
import { CONTEXT_KEY_OFFSET } from "../native/layout.gen.ts";
import { native } from "../native/library.ts";
import type { Region } from "../native/region.ts";
import type { Family } from "../tree/family.ts";

/** Bytes from `lower` to below `upper`; `context` carries the bounds. */
export function approximateSize(
  family: Family,
  context: Region,
  lower: Uint8Array,
  upper: Uint8Array | undefined,
): number {
  family.enter();
  try {
    return sizeOf(family, context, lower, upper);
  } finally {
    family.leave();
  }
}

function sizeOf(
  { version, active, frozen }: Family,
  context: Region,
  lower: Uint8Array,
  upper: Uint8Array | undefined,
): number {
  context.u8.set(lower, CONTEXT_KEY_OFFSET);
  if (upper !== undefined) context.u8.set(upper, CONTEXT_KEY_OFFSET + lower.length);
  const tableBytes = native().call.varve_version_size(
    version.handle,
    context.id,
    lower.length,
    upper?.length ?? 0,
    upper === undefined ? 0 : 1,
  );
  if (tableBytes < 0) throw nativeError(tableBytes, "Cannot estimate a size");
  let bytes = tableBytes;
  for (const memtable of [active, ...frozen]) bytes += memtable.approximateBytes(lower, upper);
  return Math.round(bytes);
}
