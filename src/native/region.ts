/**
 * Regions: page-aligned native memory that is never unmapped while the process lives. A region is named by a
 * small integer; its views are made once per Worker and kept while it is in use: a reused region keeps its address.
 *
 * Words that another thread may write are read with `Atomics`; plain reads touch only what was published before.
 */
import { assert } from "../base/assert.ts";
import { nativeError } from "./failure.ts";
import { native } from "./library.ts";

export interface Region {
  readonly id: number;
  /** Of the memory; its views may show less. */
  readonly bytes: number;
  readonly u8: Uint8Array<ArrayBuffer>;
  readonly u32: Uint32Array<ArrayBuffer>;
  readonly i32: Int32Array<ArrayBuffer>;
  readonly f64: Float64Array<ArrayBuffer>;
}

const views: (Region | undefined)[] = [];

/**
 * Reserves at least `bytes`; the content is unspecified. Throws `ERR_IO` when the system refuses. The views show the first
 * `viewed` bytes, or everything.
 */
export function reserveRegion(bytes: number, viewed = Infinity): Region {
  const id = native().call.varve_region_reserve(bytes);
  if (id < 0) throw nativeError(id, `Cannot reserve ${bytes} bytes of native memory`);
  return region(id, viewed);
}

/**
 * The views of a region, of its first `viewed` bytes at least, or of everything: to widen those of a region that is known, and of one
 * that native code named. Those that show less stay valid.
 */
export function region(id: number, viewed = Infinity): Region {
  const known = views[id];
  if (known !== undefined && known.u8.length >= Math.min(known.bytes, viewed)) return known;
  return views[id] = makeViews(id, viewed);
}

/** See `Native.keepsViews`. */
const KEPT_VIEW_BYTES = 16 << 20;

/** This Worker is done with another's region. */
export function forgetRegion(id: number): void {
  const known = views[id];
  if (known === undefined || native().keepsViews) return;
  if (known.u8.length > KEPT_VIEW_BYTES) views[id] = undefined;
}

/** Gives a region back to the pool. Its views stay valid, their content does not. */
export function releaseRegion(id: number): void {
  forgetRegion(id);
  const result = native().call.varve_region_release(id);
  if (result < 0) throw nativeError(result, `Cannot release native region ${id}`);
}

/**
 * Another view of a region's front, for somebody who is to lose it again. The region's own views see the same memory.
 * REQUIRES: `bytes` is not zero.
 */
export function viewOfRegion({ id, bytes: size }: Region, bytes: number): ArrayBuffer {
  assert(bytes > 0 && bytes <= size, "a view lies within its region");
  const { call, view } = native();
  return view(call.varve_region_address(id), bytes);
}

/** The region outlives the thread that reserved it. */
export function disownRegion(id: number): void {
  const result = native().call.varve_region_disown(id);
  if (result < 0) throw nativeError(result, `Cannot keep native region ${id}`);
}

function makeViews(id: number, viewed: number): Region {
  const { call, view } = native();
  const bytes = call.varve_region_bytes(id);
  const buffer = view(call.varve_region_address(id), Math.min(bytes, viewed));
  return {
    id,
    bytes,
    u8: new Uint8Array(buffer),
    u32: new Uint32Array(buffer),
    i32: new Int32Array(buffer),
    f64: new Float64Array(buffer),
  };
}
