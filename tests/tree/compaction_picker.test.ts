/** The policy of compaction on model tables: sets of keys with the newest number of each, and no disk. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { BoundKind } from "../../src/native/layout.gen.ts";
import {
  type Compaction,
  isMove,
  LEVEL0_TABLES,
  LEVEL0_TABLES_MAX,
  LEVEL_LAST,
  levelTargets,
  pickCompaction,
  type PickerContext,
  pickWhole,
} from "../../src/tree/compaction_picker.ts";
import { endsBefore, overlaps, rangeSpan, spanOf, union } from "../../src/tree/key_span.ts";
import type { Table } from "../../src/tree/version.ts";
import { test } from "../harness.ts";

const ENTRY_BYTES = 100;
const TUNING = {
  compactionStyle: "leveled" as "leveled" | "tiered",
  levelBaseSize: 2_000,
  targetFileSize: 500,
};
const IDLE: PickerContext = {
  running: [],
  oldestSnapshot: Infinity,
  garbage: new Set(),
  shadowed: false,
  cursors: new Map(),
};

function key(index: number): Uint8Array {
  return Uint8Array.of(index >> 8, index & 255);
}

interface Options {
  level?: number;
  deleteCount?: number;
  blobs?: { number: number; bytes: number }[];
}

let nextNumber = 1;

function tableOf(first: number, last: number, options: Options = {}): Table {
  const number = nextNumber++;
  const record = {
    family: 0,
    level: options.level ?? 0,
    number,
    fileBytes: (last - first + 1) * ENTRY_BYTES,
    entryCount: last - first + 1,
    deleteCount: options.deleteCount ?? 0,
    rangeCount: 0,
    smallestSequence: 1,
    largestSequence: 100,
    smallestKey: key(first),
    largestKey: key(last),
    largestKind: BoundKind.inclusive,
    blobs: options.blobs ?? [],
  };
  return { record, handle: number };
}

function levelsOf(tables: readonly Table[]): Table[][] {
  return Array.from(
    { length: LEVEL_LAST + 1 },
    (_, level) =>
      tables.filter(({ record }) => record.level === level)
        .sort((a, b) =>
          level === 0 ? b.handle - a.handle : a.record.smallestKey[0] * 256 +
            a.record.smallestKey[1] - b.record.smallestKey[0] * 256 - b.record.smallestKey[1]
        ),
  );
}

test("spans: exclusive, inclusive and unbounded ends meet as they should", () => {
  const upTo = (kind: number) => ({ lower: key(1), upper: key(5), kind });
  assert.equal(endsBefore(upTo(BoundKind.inclusive), key(5)), false);
  assert.equal(endsBefore(upTo(BoundKind.exclusive), key(5)), true);
  assert.equal(endsBefore(rangeSpan(key(1), undefined), key(60_000)), false);
  assert.ok(overlaps(upTo(BoundKind.inclusive), rangeSpan(key(5), undefined)));
  assert.ok(!overlaps(upTo(BoundKind.exclusive), rangeSpan(key(5), undefined)));
  const both = union([upTo(BoundKind.exclusive), { ...upTo(BoundKind.inclusive), lower: key(0) }]);
  assert.deepEqual(both, { lower: key(0), upper: key(5), kind: BoundKind.inclusive });
});

test("level 0 waits for its number of tables, then goes whole, with what it overlaps on the base level", () => {
  const upper = Array.from({ length: LEVEL0_TABLES }, (_, index) => tableOf(index, 10 + index));
  assert.equal(pickCompaction(levelsOf(upper.slice(1)), TUNING, IDLE), undefined);
  const touched = tableOf(5, 8, { level: LEVEL_LAST });
  const apart = tableOf(50, 55, { level: LEVEL_LAST });
  const picked = pickCompaction(levelsOf([...upper, touched, apart]), TUNING, IDLE)!;
  assert.deepEqual(new Set(picked.inputs), new Set([...upper, touched]));
  assert.equal(picked.outputLevel, LEVEL_LAST);
  assert.ok(picked.bottom);
  assert.ok(!isMove(picked));
});

test("level 0 waits for more tables while they are little beside what they would make written again", () => {
  const last = tableOf(0, 70, { level: LEVEL_LAST });
  const small = Array.from({ length: LEVEL0_TABLES_MAX }, (_, index) => tableOf(index, 1 + index));
  assert.equal(pickCompaction(levelsOf([last, ...small.slice(1)]), TUNING, IDLE), undefined);
  const pressed = pickCompaction(levelsOf([last, ...small]), TUNING, IDLE);
  assert.equal(pressed?.inputs.length, LEVEL0_TABLES_MAX + 1);
  const large = Array.from({ length: LEVEL0_TABLES }, (_, index) => tableOf(index, 10 + index));
  const picked = pickCompaction(levelsOf([last, ...large]), TUNING, IDLE);
  assert.equal(picked?.inputs.length, LEVEL0_TABLES + 1);
});

test("tables of level 0 that meet nothing move by an edit", () => {
  const tables = Array.from({ length: 4 }, (_, index) => tableOf(10 * index, 10 * index + 5));
  const picked = pickCompaction(levelsOf(tables), TUNING, IDLE)!;
  assert.ok(isMove(picked));
});

test("the base level rises as the last level grows", () => {
  const base = (bytes: number) => {
    const tables = [tableOf(0, bytes / ENTRY_BYTES - 1, { level: LEVEL_LAST })];
    return levelTargets(levelsOf(tables), TUNING).findIndex((target) => target > 0);
  };
  assert.equal(base(1_000), LEVEL_LAST);
  assert.equal(base(10_000), LEVEL_LAST - 1);
  assert.equal(base(100_000), LEVEL_LAST - 2);
});

test("nothing that a running compaction touches is picked again", () => {
  const upper = Array.from({ length: 8 }, (_, index) => tableOf(index, 30 + index));
  const levels = levelsOf(upper);
  const running = [pickCompaction(levels, TUNING, IDLE)!];
  assert.equal(pickCompaction(levels, TUNING, { ...IDLE, running }), undefined);
  assert.equal(pickWhole(levels, rangeSpan(key(0), undefined), { ...IDLE, running }), undefined);
});

test("a table full of deletes is written again, unless a snapshot may see what they hide", () => {
  const table = tableOf(0, 9, { level: LEVEL_LAST, deleteCount: 5 });
  assert.equal(pickCompaction(levelsOf([table]), TUNING, IDLE)?.reason, "tombstones");
  const held = { ...IDLE, oldestSnapshot: 50 };
  assert.equal(pickCompaction(levelsOf([table]), TUNING, held), undefined);
});

test("tables that point to a mostly dead blob segment are written again", () => {
  const table = tableOf(0, 9, { level: LEVEL_LAST, blobs: [{ number: 7, bytes: 1 }] });
  const garbage = new Set([7]);
  assert.equal(pickCompaction(levelsOf([table]), TUNING, { ...IDLE, garbage })?.reason, "garbage");
});

/** A tree of sets of entries: what each table holds is known, so an order turned round is seen. */
class ModelTree {
  readonly entries = new Map<Table, Map<number, number>>();
  readonly cursors = new Map<number, Uint8Array>();
  constructor(readonly tuning: typeof TUNING) {}
  #sequence = 0;
  written = 0;

  flush(keys: readonly number[]): void {
    this.#add(new Map(keys.map((index) => [index, ++this.#sequence])), 0);
  }

  get levels(): Table[][] {
    return levelsOf([...this.entries.keys()]);
  }

  /** Compacts until the policy is content. */
  settle(): void {
    for (let round = 0;; round++) {
      assert.ok(round < 1_000, "the policy comes to an end");
      const picked = pickCompaction(this.levels, this.tuning, { ...IDLE, cursors: this.cursors });
      if (picked === undefined) return;
      this.#carryOut(picked);
      this.check();
    }
  }

  #carryOut({ inputs, outputLevel }: Compaction): void {
    const upper = inputs.find(({ record }) => record.level < outputLevel)?.record;
    if (upper !== undefined) this.cursors.set(upper.level, upper.largestKey);
    const merged = new Map<number, number>();
    for (const table of inputs) {
      for (const [index, sequence] of this.entries.get(table)!) {
        merged.set(index, Math.max(sequence, merged.get(index) ?? 0));
      }
      this.entries.delete(table);
    }
    const sorted = [...merged].sort(([a], [b]) => a - b);
    const perTable = TUNING.targetFileSize / ENTRY_BYTES;
    for (let at = 0; at < sorted.length; at += perTable) {
      this.#add(new Map(sorted.slice(at, at + perTable)), outputLevel);
    }
    this.written += sorted.length;
  }

  #add(entries: Map<number, number>, level: number): void {
    const keys = [...entries.keys()];
    const table = tableOf(Math.min(...keys), Math.max(...keys), { level });
    (table.record as { fileBytes: number }).fileBytes = entries.size * ENTRY_BYTES;
    this.entries.set(table, entries);
  }

  /** Levels are disjoint, and for every key what lies higher is newer. */
  check(): void {
    const newest = new Map<number, number>();
    this.levels.forEach((tables, level) => {
      tables.forEach((table, index) => {
        if (level > 0 && index > 0) {
          const before = spanOf(tables[index - 1].record);
          assert.ok(endsBefore(before, table.record.smallestKey), `level ${level} is disjoint`);
        }
        for (const [key, sequence] of this.entries.get(table)!) {
          assert.ok(sequence < (newest.get(key) ?? Infinity), `key ${key} on level ${level}`);
          newest.set(key, sequence);
        }
      });
    });
  }
}

test("whatever is flushed, levels stay disjoint and newest first, and the policy ends", () => {
  const flushes = fc.array(fc.uniqueArray(fc.nat(400), { minLength: 1, maxLength: 20 }), {
    minLength: 1,
    maxLength: 60,
  });
  fc.assert(
    fc.property(flushes, fc.constantFrom("leveled", "tiered"), (all, compactionStyle) => {
      const tree = new ModelTree({ ...TUNING, compactionStyle });
      for (const keys of all) {
        tree.flush(keys);
        tree.settle();
      }
      const [upper] = tree.levels;
      assert.ok(
        upper.length < (compactionStyle === "leveled" ? LEVEL0_TABLES_MAX : 8),
        `${upper.length} tables on level 0`,
      );
    }),
    { numRuns: 60 },
  );
});
