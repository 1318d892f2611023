/** Which charts a workload has. */
import type { ResultRow, WorkloadResult } from "../harness/result.ts";
import { barChart } from "./bar_chart.ts";
import { latencyChart } from "./latency_chart.ts";
import { type Line, lineChart } from "./line_chart.ts";
import { markOf } from "./tables.ts";

export interface Chart {
  /** Its file, without the folder. */
  file: string;
  /** For who cannot see it. */
  alternative: string;
  svg: string;
}

export function chartsOf(result: WorkloadResult): Chart[] {
  const { id, rows } = result;
  const measured = rows.filter(({ figure }) => figure);
  if (measured.length === 0) return [];
  const name = fileName([id]);
  const isScaled = new Set(measured.map(({ writers }) => writers)).size > 1;
  return [
    ...(isScaled ? scalingCharts(result, measured) : barCharts(result, measured)),
    ...measured.some(({ series }) => series)
      ? [{
        file: `${name}-time.svg`,
        alternative: `${id}: throughput over time`,
        svg: timeChart(result, measured),
      }]
      : [],
    ...!isScaled && measured.some(({ latencies }) => latencies)
      ? [{
        file: `${name}-latency.svg`,
        alternative: `${id}: latency percentiles`,
        svg: latencyChart(`${id}: latency`, measured),
      }]
      : [],
  ];
}

/** One for each form or part, for their figures are not to be compared. */
function barCharts({ id, title, unit }: WorkloadResult, rows: readonly ResultRow[]): Chart[] {
  const forms = Map.groupBy(
    rows,
    ({ variant, part }) => [variant, part].filter(Boolean).join(", "),
  );
  return [...forms].map(([form, of]) => ({
    file: `${fileName([id, form])}.svg`,
    alternative: [id, form].filter(Boolean).join(": "),
    svg: barChart(
      `${id}: ${form || title}`,
      unit,
      // The form stands in the title: in the labels it would be said twice.
      of.map((row) => ({ ...row, label: labelWithoutForm(row) + markOf(row) })),
    ),
  }));
}

/** The form is at the label's end, after a comma or, where the peer has one way only, without. */
function labelWithoutForm({ label, variant, part }: ResultRow): string {
  return [part, variant].filter(Boolean).reduce(
    (rest, word) => rest.endsWith(word) ? rest.slice(0, -word.length).replace(/,? $/, "") : rest,
    label,
  );
}

function scalingCharts({ id, title, unit }: WorkloadResult, rows: readonly ResultRow[]): Chart[] {
  const forms = Map.groupBy(rows, ({ variant }) => variant);
  return [...forms].map(([form, of]) => {
    const name = [id, form].filter(Boolean).join(": ");
    const lines = [...Map.groupBy(of, ({ peer, way }) => `${peer} ${way}`)].map(
      ([label, along]): Line => ({
        row: along[0],
        label,
        points: along.map(({ writers, figure }) => [writers, figure!.median] as const),
      }),
    );
    return {
      file: `${fileName([id, form])}-scaling.svg`,
      alternative: `${name}, over the number of writers`,
      svg: lineChart({
        title: `${id}: ${form || title}`,
        subtitle: `${unit} by all writers together, more is better`,
        lines,
        doubling: true,
        xLabel: "writers at once",
      }),
    };
  });
}

function timeChart({ id }: WorkloadResult, rows: readonly ResultRow[]): string {
  const lines = rows.filter(({ series }) => series).map((row): Line => ({
    row,
    label: row.label,
    points: row.series!.operations.map((count, index) =>
      [
        (index + 1) * row.series!.intervalSeconds,
        count / row.series!.intervalSeconds,
      ] as const
    ),
  }));
  return lineChart({
    title: `${id}: throughput over time`,
    subtitle: "operations a second, of the repeat whose figure is the median",
    lines,
    doubling: false,
    xLabel: "seconds",
  });
}

function fileName(words: readonly string[]): string {
  return words.filter(Boolean).join("-").toLowerCase().replace(/[^a-z0-9]+/g, "-")
    .replace(/-$/, "");
}
