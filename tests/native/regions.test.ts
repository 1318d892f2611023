/** The region pool: a region keeps its address for the life of the process, and its views work as long. */
import assert from "node:assert/strict";
import { Code } from "../../src/native/layout.gen.ts";
import { native } from "../../src/native/library.ts";
import { region, releaseRegion, reserveRegion } from "../../src/native/region.ts";
import { test } from "../harness.ts";

const { call } = native();
const ONE = 3 << 20;

test("a released region keeps its address, and a later one of its size takes it up zeroed", () => {
  const first = reserveRegion(ONE);
  const address = call.varve_region_address(first.id);
  assert.equal(first.bytes, 4 << 20);
  first.u8.fill(0xaa, 0, 100);
  first.u8[first.bytes - 1] = 0xaa;
  releaseRegion(first.id);
  const again = reserveRegion(ONE + 1);
  assert.equal(again.id, first.id);
  assert.equal(call.varve_region_address(again.id), address);
  assert.ok(again.u8.subarray(0, 100).every((byte) => byte === 0));
  assert.equal(again.u8[again.bytes - 1], 0);
  releaseRegion(again.id);
});

test("a small region's views are made once; a large one's are kept or let go as the runtime has it, and work on", () => {
  for (const [bytes, isKept] of [[64 * 1024, true], [32 << 20, native().keepsViews]] as const) {
    const first = reserveRegion(bytes);
    assert.equal(region(first.id), first);
    releaseRegion(first.id);
    const again = reserveRegion(bytes);
    assert.equal(again.id, first.id);
    assert.equal(again === first, isKept);
    again.u8[3] = 7;
    assert.equal(first.u8[3], 7);
    releaseRegion(again.id);
  }
});

test("a late reader or writer of a released region meets no fault", () => {
  const late = reserveRegion(ONE);
  releaseRegion(late.id);
  assert.equal(late.u8[12], 0);
  late.u8[12] = 1;
  assert.equal(late.u8[12], 1);
  // Whoever reserves next must not find it.
  late.u8[12] = 0;
});

test("releasing twice, and releasing what never was, are codes", () => {
  const { id } = reserveRegion(ONE);
  assert.equal(call.varve_region_release(id), 0);
  assert.equal(call.varve_region_release(id), Code.closed);
  assert.throws(() => releaseRegion(id), { code: "ERR_CLOSED" });
  for (const foreign of [0, -1, 65_535, 65_536, 2 ** 31 - 1, -(2 ** 31)]) {
    assert.equal(call.varve_region_release(foreign), Code.closed);
    assert.equal(call.varve_region_address(foreign), 0);
    assert.equal(call.varve_region_bytes(foreign), 0);
  }
});

test("sizes that cannot be are refused, with a code", () => {
  for (const bytes of [-1, 0.5, NaN, Infinity, -Infinity, 2 ** 53 + 2]) {
    assert.equal(call.varve_region_reserve(bytes), Code.invalid, String(bytes));
  }
  assert.equal(call.varve_region_reserve(2 ** 40), Code.noMemory);
  assert.throws(() => reserveRegion(2 ** 40), { code: "ERR_IO" });
});

test("a thousand regions by turns: no address is given twice, and none moves", () => {
  const addresses = new Map<number, number>();
  for (let round = 0; round < 4; round++) {
    const ids: number[] = [];
    const live = new Set<number>();
    for (let index = 0; index < 250; index++) {
      const { id } = reserveRegion(64 * 1024 << (index % 4));
      const address = call.varve_region_address(id);
      assert.ok(!live.has(address));
      live.add(address);
      assert.equal(addresses.get(id) ?? address, address);
      addresses.set(id, address);
      assert.equal(region(id).u32[0], 0);
      region(id).u32[0] = id;
      ids.push(id);
    }
    for (const id of ids) assert.equal(region(id).u32[0], id);
    for (const id of ids) releaseRegion(id);
  }
});

test("arguments of frame checks outside a region are a code", () => {
  const { id, bytes } = reserveRegion(ONE);
  assert.equal(call.varve_frame_check(id, 0, bytes, 1, 0), 1, "zeros are an empty place");
  for (const [from, to] of [[0, bytes + 1], [8, 4], [-1, 8], [NaN, 8], [0.5, 8], [0, Infinity]]) {
    assert.equal(call.varve_frame_check(id, from, to, 1, 0), Code.invalid);
  }
  releaseRegion(id);
  assert.equal(call.varve_frame_check(id, 0, 8, 1, 0), Code.closed);
});
