/** The visible sequence number as three words: whole at every interleaving of one writer with readers. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { Visibility } from "../../src/commit/visibility.ts";
import { STORE_REGION_BYTES, StoreShared } from "../../src/native/layout.gen.ts";
import type { Region } from "../../src/native/region.ts";
import { test } from "../harness.ts";

const HIGH_FIRST = StoreShared.visibleHighFirst >> 2;
const LOW = StoreShared.visibleLow >> 2;
const HIGH_LAST = StoreShared.visibleHighLast >> 2;

function fakeRegion(): Region {
  const buffer = new ArrayBuffer(STORE_REGION_BYTES);
  return {
    id: 1,
    bytes: buffer.byteLength,
    u8: new Uint8Array(buffer),
    u32: new Uint32Array(buffer),
    i32: new Int32Array(buffer),
    f64: new Float64Array(buffer),
  };
}

const EDGES = [
  0,
  1,
  2 ** 32 - 2,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 32 + 1,
  2 ** 33 - 1,
  2 ** 33,
  2 ** 53 - 1,
];

test("what is published is what is seen, on both sides of each 2^32", () => {
  const visibility = new Visibility(fakeRegion());
  for (const sequence of EDGES) {
    visibility.publish(sequence);
    assert.equal(visibility.visible, sequence);
  }
});

test("numbers are given once, in a row, across 2^32", () => {
  const visibility = new Visibility(fakeRegion());
  visibility.restore(2 ** 32 - 3);
  assert.equal(visibility.visible, 2 ** 32 - 3);
  assert.equal(visibility.lastGiven, 2 ** 32 - 3);
  assert.equal(visibility.give(5), 2 ** 32 - 2);
  assert.equal(visibility.give(0), 2 ** 32 + 3, "none given, none used up");
  assert.equal(visibility.give(1), 2 ** 32 + 3);
  assert.equal(visibility.lastGiven, 2 ** 32 + 3);
  assert.equal(visibility.visible, 2 ** 32 - 3, "given is not visible");
});

/**
 * The writer's three stores and the reader's loads, in every order that sequential consistency allows: a step of the
 * writer happens before each of the reader's loads, as the schedule says.
 */
test("a reader that runs beside the writer sees the old number or the new one, never a mixture", () => {
  const schedules = fc.array(fc.nat(3), { maxLength: 12 });
  const growing = fc.tuple(fc.constantFrom(...EDGES.slice(0, -1)), fc.nat(2 ** 31), fc.nat(3));
  fc.assert(fc.property(growing, schedules, ([old, low, high], schedule) => {
    const next = Math.min(old + low + high * 2 ** 32, Number.MAX_SAFE_INTEGER);
    const region = fakeRegion();
    const visibility = new Visibility(region);
    visibility.publish(old);
    const stores: [number, number][] = [
      [HIGH_FIRST, Math.floor(next / 2 ** 32)],
      [LOW, next % 2 ** 32],
      [HIGH_LAST, Math.floor(next / 2 ** 32)],
    ];
    let done = 0;
    const seen = visibleBeside(visibility, () => {
      for (let count = schedule.shift() ?? 1; count > 0 && done < 3; count--) {
        const [word, value] = stores[done++];
        region.u32[word] = value;
      }
    });
    assert.ok(seen === old || seen === next, `${seen} is neither ${old} nor ${next}`);
  }));
});

/** Reads with `step` run before each of its loads. */
function visibleBeside(visibility: Visibility, step: () => void): number {
  const load = Atomics.load;
  try {
    Atomics.load = ((array: Uint32Array, index: number) => {
      step();
      return load(array, index);
    }) as typeof Atomics.load;
    return visibility.visible;
  } finally {
    Atomics.load = load;
  }
}
