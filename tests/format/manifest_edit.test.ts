/** Manifest edits: a round trip for all, an error for what is no edit. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeEdit, encodeEdit, type ManifestEdit } from "../../src/format/manifest_edit.ts";
import { BinaryWriter } from "../../src/format/binary.ts";
import { VarveError } from "../../src/base/errors.ts";
import { ManifestState } from "../../src/tree/manifest_state.ts";
import { test } from "../harness.ts";

const nat = fc.maxSafeNat();
const position = fc.record({ segment: nat, offset: nat });
const table = fc.record({
  family: nat,
  level: fc.nat(6),
  number: nat,
  fileBytes: nat,
  entryCount: nat,
  deleteCount: nat,
  rangeCount: nat,
  smallestSequence: nat,
  largestSequence: nat,
  smallestKey: fc.uint8Array({ maxLength: 300 }),
  largestKey: fc.uint8Array({ maxLength: 300 }),
  largestKind: fc.nat(2),
  blobs: fc.array(fc.record({ number: nat, bytes: nat }), { maxLength: 4 }),
});
/** No member is an empty list: encoding leaves those out. */
function some<T>(of: fc.Arbitrary<T>): fc.Arbitrary<T[]> {
  return fc.array(of, { minLength: 1, maxLength: 5 });
}
const edit: fc.Arbitrary<ManifestEdit> = fc.record({
  createdFamilies: some(
    fc.record({ id: nat, name: fc.string({ unit: "grapheme", maxLength: 20 }) }),
  ),
  droppedFamilies: some(nat),
  addedTables: some(table),
  removedTables: some(fc.record({ family: nat, number: nat })),
  flushed: some(fc.record({ family: nat, sequence: nat })),
  operators: some(
    fc.record({
      family: nat,
      kind: fc.integer({ min: 1, max: 5 }),
      name: fc.string({ unit: "grapheme", maxLength: 20 }),
    }),
  ),
  addedLogs: some(nat),
  removedLogs: some(nat),
  addedBlobs: some(nat),
  removedBlobs: some(nat),
  sealedBlobs: some(nat),
  logEnds: some(position),
  nextFileNumber: nat,
  nextFamilyId: nat,
  lastSequence: nat,
  time: fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
  cleanClose: position,
}, { requiredKeys: [] });

test("decodeEdit() gives what encodeEdit() took", () => {
  fc.assert(fc.property(edit, (one) => {
    // Records of fast-check have no prototype; the assertion compares prototypes.
    assert.deepEqual(decodeEdit(encodeEdit(one), "file", 0), structuredClone(one));
  }));
});

test("an edit cut anywhere is an error or a shorter edit, and the error has a place in the file", () => {
  fc.assert(fc.property(edit, fc.nat(), (one, at) => {
    const bytes = encodeEdit(one);
    try {
      decodeEdit(bytes.subarray(0, at % (bytes.length + 1)), "file", 500);
    } catch (error) {
      checkPlace(error);
    }
  }));
});

test("any bytes are an edit or ERR_CORRUPTION with path and offset", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
    try {
      decodeEdit(bytes, "file", 500);
    } catch (error) {
      checkPlace(error);
    }
  }));
});

test("an unknown field is refused: to ignore it could lose data", () => {
  for (const tag of [0, 20, 127, 128, 2 ** 40]) {
    const bytes = new BinaryWriter().varint(tag).varint(1).finish();
    assert.throws(() => decodeEdit(bytes, "file", 0), {
      code: "ERR_CORRUPTION",
      message: /unknown field/,
    });
  }
});

test("fields that make no sense are refused: operators, kinds of bounds, counts and times", () => {
  const text = (writer: BinaryWriter) => writer.text("add").finish();
  const table = new BinaryWriter().varint(14);
  for (let index = 0; index < 8; index++) table.varint(1);
  const wide = table.bytes(new Uint8Array(1)).bytes(new Uint8Array(1)).finish().slice();
  const widened = (...numbers: number[]) => {
    const more = new BinaryWriter();
    for (const number of numbers) more.varint(number);
    return Uint8Array.from([...wide, ...more.finish()]);
  };
  decodeEdit(widened(0, 2, 1, 7, 100), "file", 500);
  const refused: [string, Uint8Array][] = [
    ["no operator", text(new BinaryWriter().varint(15).varint(0).varint(0))],
    ["an operator of a later version", text(new BinaryWriter().varint(15).varint(0).varint(6))],
    ["a bound of a later version", widened(1, 3, 0)],
    ["more blob segments than bytes", widened(0, 0, 2 ** 50)],
    ["a blob segment that is cut off", widened(0, 0, 2, 1, 1)],
    ["half a time", new BinaryWriter().varint(16).varint(1).finish()],
    ["no time at all", new BinaryWriter().varint(16).float(NaN).finish()],
    ["a time before 1970", new BinaryWriter().varint(16).float(-1).finish()],
    ["the end of time", new BinaryWriter().varint(16).float(Infinity).finish()],
  ];
  for (const [what, bytes] of refused) {
    assert.throws(() => decodeEdit(bytes, "file", 500), (error) => {
      checkPlace(error);
      return true;
    }, what);
  }
});

test("a table without tombstones and blobs takes the bytes that it always took", () => {
  const plain = {
    ...{ family: 0, level: 0, number: 5, fileBytes: 4096, entryCount: 3, deleteCount: 0 },
    ...{ rangeCount: 0, smallestSequence: 1, largestSequence: 3 },
    ...{ smallestKey: Uint8Array.of(1), largestKey: Uint8Array.of(2), largestKind: 0, blobs: [] },
  };
  const bytes = (table: typeof plain) => [...encodeEdit({ addedTables: [table] })];
  assert.deepEqual(bytes(plain), [3, 0, 0, 5, 0x80, 0x20, 3, 0, 1, 3, 1, 1, 1, 2]);
  const unbounded = { ...plain, rangeCount: 1, largestKey: new Uint8Array(0), largestKind: 2 };
  assert.deepEqual(bytes(unbounded), [
    ...[14, 0, 0, 5, 0x80, 0x20, 3, 0, 1, 3, 1, 1, 0],
    ...[1, 2, 0],
  ]);
});

test("a state's snapshot makes the same state", () => {
  const state = new ManifestState();
  const tableOf = (family: number, number: number) => ({
    ...{ family, level: 0, number, fileBytes: 4096, entryCount: 1, deleteCount: 0 },
    ...{ smallestSequence: 1, largestSequence: 1 },
    ...{ smallestKey: Uint8Array.of(1), largestKey: Uint8Array.of(2), largestKind: 1 },
    ...{ rangeCount: 2, blobs: [{ number: 3, bytes: 100_000 }] },
  });
  const edits: ManifestEdit[] = [
    { createdFamilies: [{ id: 0, name: "default" }, { id: 1, name: "other" }], nextFamilyId: 2 },
    { addedTables: [tableOf(0, 5)], flushed: [{ family: 0, sequence: 10 }], addedLogs: [9, 7] },
    { operators: [{ family: 1, kind: 5, name: "mine" }], time: 1000.25 },
    { addedTables: [tableOf(0, 6), tableOf(1, 8)], logEnds: [{ segment: 7, offset: 5000 }] },
    {
      removedTables: [{ family: 0, number: 5 }],
      addedLogs: [12],
      nextFileNumber: 20,
      lastSequence: 99,
    },
    { cleanClose: { segment: 12, offset: 4096 } },
  ];
  for (const one of edits) state.apply(one, "file", 0);
  const again = new ManifestState();
  again.apply(decodeEdit(encodeEdit(state.snapshot()), "file", 0), "file", 0);
  assert.deepEqual(again, state);
  assert.deepEqual(again.logs, [7, 9, 12]);
  assert.equal(again.families.get(1)!.operator!.name, "mine");
  again.apply({ time: 999, cleanClose: { segment: 12, offset: 4096 } }, "file", 0);
  assert.equal(again.time, 1000.25, "time goes forward only");
  again.apply({ removedLogs: [7] }, "file", 0);
  assert.equal(again.cleanClose, undefined, "any later edit takes the clean close back");
  assert.equal(again.logEnds.size, 0);
});

test("edits that cannot follow from the state are damage", () => {
  const impossible: ManifestEdit[] = [
    { createdFamilies: [{ id: 0, name: "again" }] },
    { droppedFamilies: [7] },
    { removedTables: [{ family: 0, number: 1 }] },
    { flushed: [{ family: 7, sequence: 1 }] },
    { operators: [{ family: 7, kind: 1, name: "add" }] },
    { operators: [{ family: 0, kind: 1, name: "add" }, { family: 0, kind: 2, name: "max" }] },
  ];
  for (const one of impossible) {
    const state = new ManifestState();
    state.apply({ createdFamilies: [{ id: 0, name: "default" }] }, "file", 0);
    assert.throws(() => state.apply(one, "file", 77), {
      code: "ERR_CORRUPTION",
      path: "file",
      offset: 77,
    });
  }
});

function checkPlace(error: unknown): void {
  if (!(error instanceof VarveError)) throw error;
  assert.equal(error.code, "ERR_CORRUPTION");
  assert.equal(error.path, "file");
  assert.ok(error.offset! >= 500);
}
