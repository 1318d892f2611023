/** Latency percentiles of each row on one logarithmic axis: the distance between the dots is the tail. */
import type { ResultRow } from "../harness/result.ts";
import { colorOf } from "./colors.ts";
import { logScale } from "./scale.ts";
import { element, svgDocument, text } from "./svg.ts";

const WIDTH = 760;
const LABEL_WIDTH = 270;
const RIGHT = 40;
const ROW_HEIGHT = 22;
const TOP = 58;
const BOTTOM = 28;

/** The later the percentile, the smaller the dot. */
const percentiles = [["p50", 6], ["p99", 4.5], ["p999", 3.2]] as const;

export function latencyChart(title: string, rows: readonly ResultRow[]): string {
  const drawn = rows.filter(({ latencies }) => latencies && latencies.p50 > 0);
  const sorted = drawn.toSorted((a, b) => a.latencies!.p999 - b.latencies!.p999);
  const height = TOP + sorted.length * ROW_HEIGHT + BOTTOM;
  const scale = logScale(
    Math.min(...sorted.map(({ latencies }) => latencies!.p50)),
    Math.max(...sorted.map(({ latencies }) => latencies!.p999)),
    LABEL_WIDTH,
    WIDTH - RIGHT,
  );
  const subtitle = "large dot p50, middle p99, small p99.9; less is better, each line is ten times";
  return svgDocument({ width: WIDTH, height, title, subtitle }, [
    ...scale.ticks.flatMap((tick) => [
      element("line", {
        class: "g",
        x1: scale.place(tick),
        x2: scale.place(tick),
        y1: TOP - 4,
        y2: height - BOTTOM,
      }),
      text(scale.place(tick), height - 10, timeText(tick), { class: "m c" }),
    ]),
    ...sorted.flatMap((row, index) => dots(row, TOP + index * ROW_HEIGHT + 8, scale.place)),
  ]);
}

function dots(row: ResultRow, middle: number, place: (value: number) => number): string[] {
  const { p50, p999 } = row.latencies!;
  const color = colorOf(row);
  return [
    text(LABEL_WIDTH - 8, middle + 4, row.label, {
      class: "e",
      "font-weight": row.role === "subject" ? 600 : undefined,
    }),
    element("line", {
      class: `l s${color}`,
      x1: place(p50),
      x2: place(p999),
      y1: middle,
      y2: middle,
    }),
    ...percentiles.map(([name, radius]) =>
      element("circle", {
        class: `f${color}`,
        cx: place(row.latencies![name]),
        cy: middle,
        r: radius,
      })
    ),
  ];
}

function timeText(microseconds: number): string {
  if (microseconds >= 1e6) return `${microseconds / 1e6} s`;
  return microseconds >= 1e3 ? `${microseconds / 1e3} ms` : `${microseconds} µs`;
}
