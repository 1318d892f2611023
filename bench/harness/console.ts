/** Prints what was measured, against what, and under which conditions. */
import { bestBeside, timesBetter } from "./comparison.ts";
import type { Machine } from "./machine.ts";
import type { Judgement, ResultRow, Role, WorkloadResult } from "./result.ts";
import { brief, counterText, grouped } from "./text.ts";

export function printMachine(machine: Machine, conditions: string): void {
  const { device } = machine;
  console.log(
    `${machine.processorCount} × ${machine.processor}, ${machine.memoryGiB} GiB, ` +
      `${machine.system}, ${machine.fileSystem}; Bun ${machine.bun}, Deno ${machine.deno}; ` +
      `commit ${machine.commit}; ${conditions}`,
  );
  const rates = Object.entries(device).filter(([, value]) => typeof value === "number");
  const text = rates.map(([name, value]) => `${name} ${brief(value as number)}`);
  console.log(`the device, ${device.measuredBy}: ${text.join(", ") || "no rates"}`);
}

/** One workload: its table, and below it what each row did and did not do. */
export function printWorkload(result: WorkloadResult): void {
  const { id, title, rows, unit, valueBytes } = result;
  const measured = rows.filter(({ figure }) => figure);
  const operations = measured[0]?.operations ?? 0;
  console.log(`\n${id}: ${title}\n${grouped(operations)} operations, ${valueBytes} B values\n`);
  printTable([
    ["", `median ${unit}`, "min", "max", "MB/s", ...against, "p50 µs", "p99 µs", "p99.9 µs"],
    ...measured.map((row) => cells(row, result)),
  ]);
  printCounters(measured);
  printAbsences(rows);
  printJudgements(result.judgements);
  printConditions(measured);
}

const against = ["× RocksDB", "× best peer", "× device"];
const roles: readonly (readonly Role[])[] = [["rocksdb"], ["rocksdb", "peer"], ["device"]];

function cells(row: ResultRow, { rows, unit }: WorkloadResult): string[] {
  const { figure, latencies, megabytesPerSecond } = row;
  const times = (of: readonly Role[]) => {
    const other = bestBeside(row, rows, of, unit);
    return other && other !== row ? timesBetter(row, other, unit).toFixed(2) : "";
  };
  return [
    row.label,
    ...[figure!.median, figure!.min, figure!.max].map(brief),
    megabytesPerSecond === undefined ? "" : brief(megabytesPerSecond),
    ...roles.map(times),
    ...[latencies?.p50, latencies?.p99, latencies?.p999].map((value) => value?.toFixed(1) ?? ""),
  ];
}

/** The first row is the heading; a column that nobody fills is left out. */
function printTable(rows: readonly string[][]): void {
  if (rows.length === 1) return;
  const columns = rows[0].map((_, index) => index).filter((index) =>
    rows.slice(1).some((row) => row[index])
  );
  const widths = columns.map((index) => Math.max(...rows.map((row) => row[index].length)));
  for (const row of rows) {
    const line = columns.map((index, position) =>
      index === 0 ? row[index].padEnd(widths[position]) : row[index].padStart(widths[position])
    );
    console.log(`  ${line.join("  ")}`);
  }
}

function printCounters(rows: readonly ResultRow[]): void {
  for (const { label, counters } of rows) {
    if (!counters) continue;
    const text = Object.entries(counters).map(([name, value]) =>
      `${name} ${counterText(name, value)}`
    );
    console.log(`  ${label}: ${text.join(", ")}`);
  }
}

/** Rows that are missing for the same reason share a line. */
function printAbsences(rows: readonly ResultRow[]): void {
  for (const [reason, labels] of absences(rows)) {
    console.log(`  ${labels.join("; ")}: not measured: ${reason}`);
  }
}

/** By reason, the rows that have none of the figures. */
export function absences(rows: readonly ResultRow[]): Map<string, string[]> {
  const labels = new Map<string, string[]>();
  for (const { label, notMeasured } of rows) {
    if (notMeasured) labels.set(notMeasured, [...(labels.get(notMeasured) ?? []), label]);
  }
  return labels;
}

/** A line for each row that was judged, and one for all of a target's rows that could not be. */
function printJudgements(judgements: readonly Judgement[]): void {
  const notJudged = new Map<string, string[]>();
  for (const { target, label, value, reached, notJudged: reason } of judgements) {
    if (reason === undefined) {
      console.log(`  ${reached ? "reached" : "MISSED "} ${target}: ${label}: ${brief(value!)}`);
    } else {
      const line = `not judged: ${target}: ${reason}`;
      notJudged.set(line, [...(notJudged.get(line) ?? []), label]);
    }
  }
  for (const [line, labels] of notJudged) console.log(`  ${line} (${labels.join("; ")})`);
}

/** What rows have in common is said once. */
function printConditions(rows: readonly ResultRow[]): void {
  const labels = new Map<string, string[]>();
  for (const row of rows) {
    const text = conditionsOf(row);
    labels.set(text, [...(labels.get(text) ?? []), row.label]);
  }
  for (const [text, names] of labels) console.log(`\n  ${names.join("; ")}\n${text}`);
}

function conditionsOf(row: ResultRow): string {
  return [
    `    version       ${row.version}${row.runtime === "Deno" ? ", in Deno" : ""}`,
    ...row.warnings!.map((warning) => `    WARNING       ${warning}`),
    `    durability    ${row.durability}`,
    `    settings      ${row.settings}`,
    `    verification  ${row.verification}`,
    `    warm-up       ${row.warmUp}`,
    `    not done      ${row.notDone!.join("; ") || "nothing that we know of"}`,
  ].join("\n");
}
