/** Prints what was measured, against what, and under which conditions. */
import type { Machine } from "./machine.ts";
import { fastest, latenciesOf, type RowSummary } from "./summary.ts";

const HEADINGS = [
  "",
  "median/s",
  "min/s",
  "max/s",
  "MB/s",
  "× RocksDB",
  "× best peer",
  "× device",
  "p50 µs",
  "p99 µs",
  "p99.9 µs",
];

export function printMachine(machine: Machine, conditions: string): void {
  console.log(
    `${machine.processorCount} × ${machine.processor}, ${machine.memoryGiB} GiB, ` +
      `${machine.system}, ${machine.fileSystem}; Bun ${machine.bun}, Deno ${machine.deno}; ` +
      `commit ${machine.commit}; load before ${machine.loadAverage.toFixed(2)}; ${conditions}`,
  );
}

/** One workload: its table, and below it what each row did and did not do. */
export function printWorkload(summaries: readonly RowSummary[]): void {
  const { id, title } = summaries[0].row.workload;
  const { valueBytes, durability } = summaries[0].row.workload;
  const count = summaries.find(({ row }) => row.run)?.row.run?.count ?? 0;
  console.log(`\n${id}: ${title}\n${grouped(count)} operations, ${valueBytes} B values\n`);
  printTable(summaries.filter(({ median }) => median).map((row) => cells(row, summaries)));
  printCounters(summaries);
  printAbsences(summaries);
  for (const summary of firstOfEachPeerAndWay(summaries)) printConditions(summary, durability);
}

function cells(summary: RowSummary, all: readonly RowSummary[]): string[] {
  const { row, median, min, max, typical } = summary;
  const { bytes, seconds } = typical!.measurement;
  const latencies = latenciesOf(summary);
  const against = (roles: Parameters<typeof fastest>[2]) => {
    const other = fastest(all, row.run!.writers, roles);
    return other && other !== summary ? (median! / other.median!).toFixed(2) : "";
  };
  return [
    row.label,
    grouped(median!),
    grouped(min!),
    grouped(max!),
    bytes ? grouped(bytes / seconds / 1e6) : "",
    against(["rocksdb"]),
    against(["rocksdb", "peer"]),
    against(["device"]),
    ...[latencies?.p50, latencies?.p99, latencies?.p999].map((value) => value?.toFixed(1) ?? ""),
  ];
}

function printTable(rows: string[][]): void {
  if (rows.length === 0) return;
  const columns = HEADINGS.map((_, index) => index).filter((index) =>
    rows.some((row) => row[index])
  );
  const widths = columns.map((index) =>
    Math.max(...[HEADINGS, ...rows].map((row) => row[index].length))
  );
  for (const row of [HEADINGS, ...rows]) {
    const line = columns.map((index, position) =>
      index === 0 ? row[index].padEnd(widths[position]) : row[index].padStart(widths[position])
    );
    console.log(`  ${line.join("  ")}`);
  }
}

function printCounters(summaries: readonly RowSummary[]): void {
  for (const { row, typical } of summaries) {
    const counters = typical?.measurement.counters;
    if (!counters) continue;
    const text = Object.entries(counters).map(([name, value]) => `${name} ${decimal(value)}`);
    console.log(`  ${row.label}: ${text.join(", ")}`);
  }
}

/** Rows that are missing for the same reason share a line. */
function printAbsences(summaries: readonly RowSummary[]): void {
  const labels = new Map<string, string[]>();
  for (const { row, whyNot } of summaries) {
    if (whyNot) labels.set(whyNot, [...(labels.get(whyNot) ?? []), row.label]);
  }
  for (const [whyNot, rows] of labels) {
    console.log(`  ${rows.join(", ")}: not measured: ${whyNot}`);
  }
}

function printConditions({ row, typical }: RowSummary, durability: string): void {
  if (!typical) return;
  const { version, settings, warnings, measurement } = typical;
  console.log(`\n  ${row.label} (${version}${row.peer.runtime === "deno" ? ", in Deno" : ""})`);
  for (const warning of warnings) console.log(`    WARNING       ${warning}`);
  console.log(`    durability    ${durability}`);
  console.log(`    settings      ${settings}`);
  console.log(`    verification  ${measurement.verification}`);
  console.log(`    warm-up       ${measurement.warmUp}`);
  console.log(`    not done      ${measurement.notDone.join("; ")}`);
}

/** Rows that differ only in the number of writers share their conditions. */
function firstOfEachPeerAndWay(summaries: readonly RowSummary[]): RowSummary[] {
  const seen = new Set<string>();
  return summaries.filter(({ row }) => {
    const key = `${row.peer.name} ${row.run?.way}`;
    return !seen.has(key) && seen.add(key);
  });
}

function grouped(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

function decimal(value: number): string {
  return Number.isInteger(value) ? grouped(value) : value.toFixed(2);
}
