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
  smallestSequence: nat,
  largestSequence: nat,
  smallestKey: fc.uint8Array({ maxLength: 300 }),
  largestKey: fc.uint8Array({ maxLength: 300 }),
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
  addedLogs: some(nat),
  removedLogs: some(nat),
  logEnds: some(position),
  nextFileNumber: nat,
  nextFamilyId: nat,
  lastSequence: nat,
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
  for (const tag of [0, 14, 127, 128, 2 ** 40]) {
    const bytes = new BinaryWriter().varint(tag).varint(1).finish();
    assert.throws(() => decodeEdit(bytes, "file", 0), {
      code: "ERR_CORRUPTION",
      message: /unknown field/,
    });
  }
});

test("a state's snapshot makes the same state", () => {
  const state = new ManifestState();
  const tableOf = (family: number, number: number) => ({
    ...{ family, level: 0, number, fileBytes: 4096, entryCount: 1, deleteCount: 0 },
    ...{ smallestSequence: 1, largestSequence: 1 },
    ...{ smallestKey: Uint8Array.of(1), largestKey: Uint8Array.of(2) },
  });
  const edits: ManifestEdit[] = [
    { createdFamilies: [{ id: 0, name: "default" }, { id: 1, name: "other" }], nextFamilyId: 2 },
    { addedTables: [tableOf(0, 5)], flushed: [{ family: 0, sequence: 10 }], addedLogs: [9, 7] },
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
