/** What a workload is to reach, in a form that a machine can judge. */
import { spreadOf } from "./comparison.ts";
import type { Judgement, ResultRow, Role } from "./result.ts";

/** Rows in which every given field is the same. */
export type RowFilter = Partial<Pick<ResultRow, "peer" | "way" | "variant" | "part" | "writers">>;

export interface Target {
  /** As a reader says it. */
  readonly text: string;
  /** Which of our own rows. */
  readonly of: RowFilter;
  /** A counter, "p999" and the like of the latencies, "spread", or the "largest" or "smallest" repeat; by default the row's figure. */
  readonly figure?: string;
  /** What it is divided by: the best such row of the same form and number of writers, or of another; `figure` if not the same. */
  readonly against?: RowFilter & { readonly roles: readonly Role[]; readonly figure?: string };
  readonly least?: number;
  readonly most?: number;
}

/** A ratio to the fastest RocksDB. */
export function timesRocksDb(least: number, of: RowFilter, text?: string): Target {
  return {
    text: text ?? `at least ${least} × RocksDB${ofWhat(of)}`,
    of,
    against: { roles: ["rocksdb"] },
    least,
  };
}

/** Faster than every store, RocksDB included. */
export function aheadOfAll(of: RowFilter): Target {
  return {
    text: `ahead of every peer${ofWhat(of)}`,
    of,
    against: { roles: ["rocksdb", "peer"] },
    least: 1,
  };
}

function ofWhat({ way, variant, part }: RowFilter): string {
  const words = [way && `by ${way}`, variant, part].filter(Boolean);
  return words.length > 0 ? `, ${words.join(", ")}` : "";
}

/** One judgement for each of our rows that the target speaks of. */
export function judge(target: Target, rows: readonly ResultRow[]): Judgement[] {
  const { least, most } = target;
  return rows
    .filter((row) => row.role === "subject" && matches(row, target.of))
    .map((row) => ({
      target: target.text,
      label: row.label,
      least,
      most,
      ...judgeRow(target, row, rows),
    }));
}

function judgeRow(
  target: Target,
  row: ResultRow,
  rows: readonly ResultRow[],
): Pick<Judgement, "value" | "reached" | "notJudged"> {
  const own = figureOf(row, target.figure);
  if (own === undefined) return { notJudged: row.notMeasured ?? `no ${target.figure} was counted` };
  let value = own;
  if (target.against) {
    const reference = referenceOf(target, row, rows);
    if (reference === undefined) return { notJudged: "nothing to compare with was measured" };
    value = own / reference;
  }
  const reached = value >= (target.least ?? -Infinity) && value <= (target.most ?? Infinity);
  return { value, reached };
}

/** The best of the rows compared with: the largest where much is wanted, else the smallest. */
function referenceOf(
  { against, figure, most }: Target,
  row: ResultRow,
  rows: readonly ResultRow[],
): number | undefined {
  const { roles, figure: othersFigure = figure, ...filter } = against!;
  const { variant, part, writers } = row;
  const same: RowFilter = { variant, part, writers, ...filter };
  // Held against another of our own rows, a runtime is compared with itself, and a way too.
  if (roles.includes("subject")) Object.assign(same, { peer: row.peer, way: row.way }, filter);
  const figures = rows
    .filter((other) => other !== row && roles.includes(other.role) && matches(other, same))
    .map((other) => figureOf(other, othersFigure))
    .filter((value) => value !== undefined);
  if (figures.length === 0) return undefined;
  return most === undefined ? Math.max(...figures) : Math.min(...figures);
}

function matches(row: ResultRow, filter: RowFilter): boolean {
  return Object.entries(filter).every(([name, value]) => row[name as keyof ResultRow] === value);
}

function figureOf(row: ResultRow, name: string | undefined): number | undefined {
  if (name === undefined) return row.figure?.median;
  if (name === "largest") return row.figure?.max;
  if (name === "smallest") return row.figure?.min;
  // One repeat has no variance: saying zero would be a boast.
  if (name === "spread") return (row.figure?.samples.length ?? 0) > 1 ? spreadOf(row) : undefined;
  return row.counters?.[name] ?? row.latencies?.[name as keyof ResultRow["latencies"]];
}
