/**
 * The catalog: what a Worker without the engine must know of a store to read it, and to take the engine over. One text in a region of
 * its own, published whole and never changed.
 *
 * What a catalog names stays in memory until a later catalog is published and nobody reads in the earlier one.
 */
import { decodeUtf8, encodeUtf8 } from "../base/bytes.ts";
import type { OperatorRecord } from "../format/manifest_edit.ts";
import { nativeError } from "../native/failure.ts";
import { native } from "../native/library.ts";
import { disownRegion, type Region, region, reserveRegion } from "../native/region.ts";
import type { Store } from "../store/store.ts";
import type { StoreSettings } from "../store/settings.ts";
import type { Family, FamilyTuning } from "../tree/family.ts";

export interface CatalogFamily {
  readonly id: number;
  readonly name: string;
  readonly operator: OperatorRecord | undefined;
  readonly tuning: FamilyTuning;
  /** Regions of memtables. */
  readonly active: number;
  /** Oldest first. */
  readonly frozen: readonly number[];
  /** The version's handle, and whether it has no tables. */
  readonly version: number;
  readonly isEmpty: boolean;
  /** Handles of the tables that go with the catalog. */
  readonly tables: readonly number[];
}

export interface Catalog {
  readonly path: string;
  readonly readOnly: boolean;
  readonly settings: StoreSettings;
  /** The greatest time that the store has seen. */
  readonly time: number;
  /** Numbers of the blob segments. */
  readonly blobs: readonly number[];
  /** The library's pin on them: who reads by this catalog finds them, whatever is removed meanwhile. */
  readonly blobPin: number;
  readonly families: readonly CatalogFamily[];
}

export function catalogOf(store: Store): Catalog {
  return {
    path: store.path,
    readOnly: store.readOnly,
    settings: store.settings,
    time: store.clock.now(),
    blobs: [...store.values.segments.keys()],
    blobPin: pinBlobs(store.foundation.handle),
    families: [...store.families.all()].map(describe),
  };
}

function pinBlobs(session: number): number {
  const pin = native().call.varve_blob_pin(session);
  if (pin < 0) throw nativeError(pin, "Cannot pin blob segments");
  return pin;
}

/** Gives a catalog's pin back. */
export function unpinBlobs(session: number, { blobPin }: Catalog): void {
  const result = native().call.varve_blob_unpin(session, blobPin);
  if (result < 0) throw nativeError(result, "Cannot unpin blob segments");
}

function describe({ id, name, operator, tuning, active, frozen, version }: Family): CatalogFamily {
  return {
    id,
    name,
    operator,
    tuning,
    active: active.region.id,
    frozen: frozen.map((memtable) => memtable.region.id),
    version: version.handle,
    isEmpty: version.isEmpty,
    tables: version.tables.map(({ handle }) => handle),
  };
}

/** Bytes before a text in its region: its length. */
const TEXT_OFFSET = 8;

/** Writes a value where every Worker can read it. The region outlives this one. */
export function publishText(value: unknown): number {
  const bytes = encodeText(value);
  const target = reserveRegion(TEXT_OFFSET + bytes.length);
  writeText(target, bytes);
  disownRegion(target.id);
  return target.id;
}

/** Puts an encoded text in front of a region; false if it does not fit. */
export function writeText({ bytes: capacity, u8, u32 }: Region, bytes: Uint8Array): boolean {
  if (TEXT_OFFSET + bytes.length > capacity) return false;
  u32[0] = bytes.length;
  u8.set(bytes, TEXT_OFFSET);
  return true;
}

/** The value in front of a region. */
export function readText(id: number): unknown {
  const { u8, u32 } = region(id);
  return JSON.parse(decodeUtf8(u8.slice(TEXT_OFFSET, TEXT_OFFSET + u32[0])), revived);
}

export function encodeText(value: unknown): Uint8Array {
  return encodeUtf8(JSON.stringify(value, replaced));
}

const INFINITE = "infinity";

/** Of a handle, or of another Worker's objects: no part of what a store is. */
const LEFT_OUT = new Set(["keyEncoding", "valueEncoding", "mergeOperator", "disk", "durability"]);

/** What JSON cannot say: infinity, maps, bytes. */
function replaced(key: string, value: unknown): unknown {
  if (LEFT_OUT.has(key)) return undefined;
  if (value === Infinity) return { $: INFINITE };
  if (value instanceof Map) return { $: "map", entries: [...value] };
  if (value instanceof Uint8Array) return { $: "bytes", bytes: [...value] };
  return value;
}

function revived(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("$" in value)) return value;
  const marked = value as { $: string; entries?: [unknown, unknown][]; bytes?: number[] };
  if (marked.$ === INFINITE) return Infinity;
  if (marked.$ === "map") return new Map(marked.entries);
  return new Uint8Array(marked.bytes!);
}
