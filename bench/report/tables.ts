/** A workload's table, and what stands below it, in Markdown. */
import { bestBeside, spreadOf, timesBetter } from "../harness/comparison.ts";
import { absences } from "../harness/console.ts";
import type { Judgement, ResultRow, Role, WorkloadResult } from "../harness/result.ts";
import { brief, counterText, grouped } from "../harness/text.ts";

export function markdownTable(rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  const [heading, ...rest] = rows;
  return [line(heading), line(heading.map(() => "---")), ...rest.map(line)].join("\n");
}

/** Columns that nobody fills are left out; our rows are bold, and a comparison that we lose is, too. */
export function resultTable(result: WorkloadResult): string {
  const measured = result.rows.filter(({ figure }) => figure);
  if (measured.length === 0) return "Nothing was measured.";
  const heading = [
    "",
    `median, ${result.unit}`,
    "min – max",
    "spread",
    "× RocksDB",
    "× best peer",
    "× device",
    "p50 / p99 / p99.9 µs",
    "counted",
  ];
  const body = measured.map((row) => cellsOf(row, result));
  const columns = heading.map((_, index) => index)
    .filter((index) => index < 2 || body.some((row) => row[index] !== ""));
  return markdownTable([heading, ...body].map((row) => columns.map((index) => row[index])));
}

function cellsOf(row: ResultRow, { rows, unit }: WorkloadResult): string[] {
  const { label, role, figure, latencies, counters } = row;
  const times = (roles: readonly Role[]) => {
    const other = bestBeside(row, rows, roles, unit);
    if (!other || other === row) return "";
    const value = timesBetter(row, other, unit);
    return role === "subject" && value < 1 ? `**${value.toFixed(2)}**` : value.toFixed(2);
  };
  const isRepeated = figure!.samples.length > 1;
  return [
    (role === "subject" ? `**${label}**` : label) + markOf(row),
    brief(figure!.median),
    isRepeated ? `${brief(figure!.min)} – ${brief(figure!.max)}` : "",
    isRepeated ? `${(100 * spreadOf(row)).toFixed(0)} %` : "",
    times(["rocksdb"]),
    times(["rocksdb", "peer"]),
    times(["device"]),
    latencies ? [latencies.p50, latencies.p99, latencies.p999].map(brief).join(" / ") : "",
    Object.entries(counters ?? {}).map(([name, value]) => `${name} ${counterText(name, value)}`)
      .join(", "),
  ];
}

/** Marks a row that is not what it could be; `warningList` says why. */
export function markOf({ warnings = [] }: ResultRow): string {
  return warnings.length > 0 ? " ⚠" : "";
}

export function warningList(rows: readonly ResultRow[]): string {
  const warnings = new Set(rows.flatMap(({ warnings = [] }) => warnings));
  return [...warnings].map((warning) => `⚠ ${warning}.`).join("\n");
}

export function absenceList(rows: readonly ResultRow[]): string {
  return [...absences(rows)]
    .map(([reason, labels]) => `- Not measured: ${labels.join(", ")}: ${reason}.`)
    .join("\n");
}

/** What was wanted, and whether it is there: losses first. */
export function judgementTable(judgements: readonly Judgement[]): string {
  const rank = ({ reached }: Judgement) => reached === undefined ? 2 : Number(reached);
  const sorted = judgements.toSorted((a, b) => rank(a) - rank(b));
  return markdownTable([
    ["target", "row", "is", ""],
    ...sorted.map(({ target, label, value, reached, notJudged }) => [
      target,
      label,
      value === undefined ? "–" : brief(value),
      notJudged ?? (reached ? "reached" : "**missed**"),
    ]),
  ]);
}

/** How each row came about, folded away. */
export function conditionsList(rows: readonly ResultRow[]): string {
  const labels = new Map<string, string[]>();
  for (const row of rows.filter(({ figure }) => figure)) {
    const text = conditionsOf(row);
    labels.set(text, [...(labels.get(text) ?? []), row.label]);
  }
  const entries = [...labels].map(([text, names]) => `- **${names.join("; ")}**: ${text}`);
  return [
    "<details><summary>How each row was measured</summary>",
    "",
    ...entries,
    "",
    "</details>",
  ].join("\n");
}

function conditionsOf(row: ResultRow): string {
  const { version, runtime, durability, settings, verification, warmUp, notDone, warnings } = row;
  return [
    `${version}${runtime === "none" ? "" : ` in ${runtime}`}`,
    ...(warnings ?? []).map((warning) => `**${warning}**`),
    `durability ${durability}`,
    `settings: ${settings}`,
    `verification: ${verification}`,
    `warm-up: ${warmUp}`,
    `not done: ${notDone!.join("; ") || "nothing that we know of"}`,
    `${grouped(row.operations!)} operations`,
  ].join(". ");
}
