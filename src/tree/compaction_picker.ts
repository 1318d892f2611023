/**
 * Which tables to compact next: the policy of `docs/tree.md`, and nothing else. Pure; what is running comes in as an argument.
 *
 * Leveled: the last level takes what there is, and each level above a tenth of the one below, down to `levelBaseSize`: nine tenths of
 * the data lie in one sorted run, whatever their size (the dynamic levels of RocksDB). Level 0 waits until it is worth what it makes
 * the level below write again.
 */
import { compareBytes } from "../base/bytes.ts";
import type { Table } from "./version.ts";
import { type KeySpan, overlaps, spanOf, union } from "./key_span.ts";

/** The deepest level. */
export const LEVEL_LAST = 6;
/** Tables of level 0 that make a compaction worth it, if they hold at least half as much as the level that they go to. */
export const LEVEL0_TABLES = 4;
/** So many are compacted whatever they hold: reads look into each of them. */
export const LEVEL0_TABLES_MAX = 8;
const LEVEL0_SHARE = 1 / 2;
const LEVEL_FACTOR = 10;
/** Times `levelBaseSize` that a level takes from level 0 itself, before there is one between. */
const BASE_GROWTH = 4;
/** Sorted runs at which tiered compaction begins, and how much larger than its oldest run the whole may be. */
const TIERED_RUNS = 8;
const TIERED_SPACE = 3;
/** Share of deletes among the entries that makes a table worth rewriting. */
const TOMBSTONE_SHARE = 1 / 4;
/** A table moves by an edit alone unless a later compaction would have to rewrite more than so many times its target below. */
const MOVE_OVERLAP_FACTOR = 10;

export interface PickerTuning {
  /** `"leveled"`: few sorted runs, for reads and space. `"tiered"`: runs of like size merge, each byte is written less often. */
  readonly compactionStyle: "leveled" | "tiered";
  readonly levelBaseSize: number;
  readonly targetFileSize: number;
}

/** A compaction: tables by level, and where what comes of them goes. */
export interface Compaction {
  readonly inputs: readonly Table[];
  readonly outputLevel: number;
  readonly span: KeySpan;
  /** Nothing below the outputs overlaps their span. */
  readonly bottom: boolean;
  /** Why, for the event and the statistics. */
  readonly reason: "level 0" | "level size" | "tombstones" | "garbage" | "manual";
}

/** What is going on, and what holds old versions. */
export interface PickerContext {
  readonly running: readonly Compaction[];
  /** The oldest sequence number that a snapshot holds; `Infinity` for none. */
  readonly oldestSnapshot: number;
  /** Blob segments to empty. */
  readonly garbage: ReadonlySet<number>;
  /** What level 0 hides in blob segments is wanted: it goes down, however little there is of it. */
  readonly shadowed: boolean;
  /** By level: largest key of the last table compacted there. */
  readonly cursors: ReadonlyMap<number, Uint8Array>;
}

/** Tables by level: level 0 newest first, the others by key. */
export type Levels = readonly (readonly Table[])[];

/** The most urgent compaction that can run beside the running ones, or `undefined`. */
export function pickCompaction(
  levels: Levels,
  tuning: PickerTuning,
  context: PickerContext,
): Compaction | undefined {
  const bySize = tuning.compactionStyle === "tiered"
    ? pickTiered(levels, context)
    : pickLeveled(levels, tuning, context);
  return bySize ?? pickGarbage(levels, tuning, context) ?? pickTombstones(levels, context);
}

function pickLeveled(
  levels: Levels,
  tuning: PickerTuning,
  context: PickerContext,
): Compaction | undefined {
  const targets = levelTargets(levels, tuning);
  const scores = levels.map((_, level) => ({ level, score: scoreOf(levels, level, targets) }))
    .filter(({ level, score }) => score >= 1 && level < LEVEL_LAST)
    .sort((a, b) => b.score - a.score);
  for (const { level } of scores) {
    const found = level === 0
      ? pickLevel0(levels, targets, context)
      : pickDeeper(levels, level, context);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * Each table of level 0 is a sorted run, and so is each level below, the deeper the older. Level 0 takes along whatever older runs
 * are not larger than what is being merged already, and everything once the oldest is less than a third of the whole.
 */
function pickTiered(levels: Levels, context: PickerContext): Compaction | undefined {
  const runs = levels.slice(1).flatMap((tables, index) =>
    tables.length === 0 ? [] : [{ level: index + 1, tables }]
  );
  const newest = levels[0];
  if (newest.length === 0 || newest.length + runs.length < TIERED_RUNS) return undefined;
  const oldest = bytesOf(runs.at(-1)?.tables ?? []);
  let taken = bytesOf(newest);
  const whole = runs.reduce((sum, { tables }) => sum + bytesOf(tables), taken);
  const mergesAll = whole > TIERED_SPACE * oldest;
  const inputs = [...newest];
  for (const { level, tables } of runs) {
    const isNext = mergesAll || level === 1 || bytesOf(tables) <= taken;
    if (!isNext) return admitted(levels, inputs, level - 1, "level 0", context);
    inputs.push(...tables);
    taken += bytesOf(tables);
  }
  return admitted(levels, inputs, LEVEL_LAST, "level 0", context);
}

/** Everything of a span into the last level. `undefined` if there is nothing, or something of it is being compacted. */
export function pickWhole(
  levels: Levels,
  span: KeySpan,
  context: PickerContext,
): Compaction | undefined {
  let whole = span;
  let inputs: Table[] = [];
  for (;;) {
    const found = levels.flatMap((tables) => overlapping(tables, whole));
    if (found.length === inputs.length) break;
    inputs = found;
    whole = union(inputs.map(({ record }) => spanOf(record)));
  }
  if (inputs.length === 0) return undefined;
  return admitted(levels, inputs, LEVEL_LAST, "manual", context);
}

/** Bytes that compaction has yet to move, over all levels: an estimate of what the tree owes. */
export function compactionDebt(levels: Levels, tuning: PickerTuning): number {
  if (tuning.compactionStyle === "tiered") return bytesOf(levels[0]);
  const targets = levelTargets(levels, tuning);
  let debt = scoreOf(levels, 0, targets) >= 1 ? bytesOf(levels[0]) : 0;
  for (let level = 1; level < LEVEL_LAST; level++) {
    debt += Math.max(0, bytesOf(levels[level] ?? []) - targets[level]) * LEVEL_FACTOR / 2;
  }
  return debt;
}

/** Whether a compaction is an edit and nothing more: one sorted run that meets nothing where it goes. */
export function isMove({ inputs, outputLevel, reason }: Compaction): boolean {
  if (reason !== "level 0" && reason !== "level size") return false;
  if (inputs.some(({ record }) => record.level === outputLevel)) return false;
  const spans = inputs.map(({ record }) => spanOf(record));
  return spans.every((span, index) =>
    spans.every((other, at) => at === index || !overlaps(span, other))
  );
}

/** The first level that level 0 goes to. */
function baseLevel(targets: readonly number[]): number {
  const base = targets.findIndex((target, level) => level > 0 && target > 0);
  return base === -1 ? LEVEL_LAST : base;
}

/** Bytes that each level should have; zero above the base level. */
export function levelTargets(levels: Levels, { levelBaseSize }: PickerTuning): number[] {
  const targets = new Array<number>(LEVEL_LAST + 1).fill(0);
  let target = Math.max(bytesOf(levels[LEVEL_LAST] ?? []), levelBaseSize);
  for (let level = LEVEL_LAST; level >= 1; level--) {
    targets[level] = target;
    if (target <= BASE_GROWTH * levelBaseSize) break;
    target = Math.max(target / LEVEL_FACTOR, levelBaseSize);
  }
  return targets;
}

function scoreOf(levels: Levels, level: number, targets: readonly number[]): number {
  const tables = levels[level] ?? [];
  if (tables.length === 0) return 0;
  if (level === 0) {
    const rewritten = bytesOf(levels[baseLevel(targets)] ?? []);
    const isWorthIt = bytesOf(tables) >= LEVEL0_SHARE * rewritten;
    return tables.length / (isWorthIt ? LEVEL0_TABLES : LEVEL0_TABLES_MAX);
  }
  return targets[level] === 0 ? LEVEL_FACTOR : bytesOf(tables) / targets[level];
}

function pickLevel0(
  levels: Levels,
  targets: readonly number[],
  context: PickerContext,
  reason: Compaction["reason"] = "level 0",
): Compaction | undefined {
  const upper = levels[0];
  const span = union(upper.map(({ record }) => spanOf(record)));
  // Whatever lies above the base level overlaps nothing of level 0 newer than it, and is passed on the way.
  const between = levels.slice(1, baseLevel(targets)).findIndex((tables) =>
    overlapping(tables, span).length > 0
  );
  const output = between === -1 ? baseLevel(targets) : between + 1;
  return admitted(
    levels,
    [...upper, ...overlapping(levels[output] ?? [], span)],
    output,
    reason,
    context,
  );
}

/** One table, the next after the last one compacted on its level, with what it overlaps below. */
function pickDeeper(
  levels: Levels,
  level: number,
  context: PickerContext,
): Compaction | undefined {
  const tables = levels[level];
  const cursor = context.cursors.get(level);
  const start = cursor === undefined
    ? 0
    : tables.findIndex(({ record }) => compareBytes(record.smallestKey, cursor) > 0);
  const first = Math.max(0, start);
  for (let index = 0; index < tables.length; index++) {
    const table = tables[(first + index) % tables.length];
    const found = pushDown(levels, table, "level size", context);
    if (found !== undefined) return found;
  }
  return undefined;
}

function pushDown(
  levels: Levels,
  table: Table,
  reason: Compaction["reason"],
  context: PickerContext,
): Compaction | undefined {
  const { level } = table.record;
  const below = overlapping(levels[level + 1] ?? [], spanOf(table.record));
  return admitted(levels, [table, ...below], level + 1, reason, context);
}

/** A table whose tombstones hide much, or would go if they were written again. */
function pickTombstones(levels: Levels, context: PickerContext): Compaction | undefined {
  for (let level = 1; level < levels.length; level++) {
    for (const table of levels[level]) {
      const { deleteCount, rangeCount, entryCount, largestSequence } = table.record;
      const tombstones = deleteCount + rangeCount;
      if (tombstones === 0 || tombstones < TOMBSTONE_SHARE * (entryCount + rangeCount)) continue;
      // A snapshot that may see what they hide keeps them where they are.
      if (context.oldestSnapshot <= largestSequence) continue;
      const span = spanOf(table.record);
      const found = isBottom(levels, level, span)
        ? admitted(levels, [table], level, "tombstones", context)
        : pushDown(levels, table, "tombstones", context);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/** A table that points to a blob segment which is to be emptied, written again in its place; level 0 goes down as a whole. */
function pickGarbage(
  levels: Levels,
  tuning: PickerTuning,
  context: PickerContext,
): Compaction | undefined {
  const { garbage, shadowed } = context;
  const points = ({ record: { blobs } }: Table) => blobs.some(({ number }) => garbage.has(number));
  const isWanted = levels[0].some((table) =>
    points(table) || (shadowed && table.record.blobs.length > 0)
  );
  if (isWanted) {
    const found = pickLevel0(levels, levelTargets(levels, tuning), context, "garbage");
    if (found !== undefined) return found;
  }
  if (garbage.size === 0) return undefined;
  for (const level of levels.keys()) {
    if (level === 0) continue;
    for (const table of levels[level].filter(points)) {
      const found = admitted(levels, [table], level, "garbage", context);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/** The compaction, if it can run beside the running ones. */
function admitted(
  levels: Levels,
  inputs: readonly Table[],
  outputLevel: number,
  reason: Compaction["reason"],
  { running }: PickerContext,
): Compaction | undefined {
  const span = union(inputs.map(({ record }) => spanOf(record)));
  const top = Math.min(...inputs.map(({ record }) => record.level));
  for (const other of running) {
    const otherTop = Math.min(...other.inputs.map(({ record }) => record.level));
    const levelsMeet = top <= other.outputLevel && otherTop <= outputLevel;
    if (levelsMeet && overlaps(span, other.span)) return undefined;
    // Level 0's order is by age: two runs of it could pass each other.
    if (top === 0 && otherTop === 0) return undefined;
  }
  return { inputs, outputLevel, span, bottom: isBottom(levels, outputLevel, span), reason };
}

function isBottom(levels: Levels, level: number, span: KeySpan): boolean {
  return levels.slice(level + 1).every((tables) => overlapping(tables, span).length === 0);
}

/** Whether moving tables down would make a later compaction too wide. */
export function overlapsTooMuch(
  levels: Levels,
  { span, outputLevel }: Compaction,
  { targetFileSize }: PickerTuning,
): boolean {
  const below = overlapping(levels[outputLevel + 1] ?? [], span);
  return bytesOf(below) > MOVE_OVERLAP_FACTOR * targetFileSize;
}

function overlapping(tables: readonly Table[], span: KeySpan): Table[] {
  return tables.filter(({ record }) => overlaps(spanOf(record), span));
}

function bytesOf(tables: readonly Table[]): number {
  let bytes = 0;
  for (const { record } of tables) bytes += record.fileBytes;
  return bytes;
}
