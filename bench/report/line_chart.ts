/** Lines over a common axis: throughput over time, or over the number of writers. */
import type { ResultRow } from "../harness/result.ts";
import { colorOf, dashOf } from "./colors.ts";
import { linearScale, type Scale, shortNumber } from "./scale.ts";
import { element, svgDocument, text } from "./svg.ts";

export interface Line {
  /** Its colour comes from the row's peer. */
  row: ResultRow;
  label: string;
  points: readonly (readonly [number, number])[];
}

export interface LineChart {
  title: string;
  subtitle: string;
  lines: readonly Line[];
  /** Whether x doubles from one tick to the next, as numbers of writers do. */
  doubling: boolean;
  xLabel: string;
}

const WIDTH = 760;
const LEFT = 64;
const RIGHT = 24;
const TOP = 58;
const PLOT_HEIGHT = 240;
const AXIS_HEIGHT = 44;
const LEGEND_ROW = 18;
const LEGEND_COLUMNS = 2;

export function lineChart({ title, subtitle, lines, doubling, xLabel }: LineChart): string {
  const plotBottom = TOP + PLOT_HEIGHT;
  const legendTop = plotBottom + AXIS_HEIGHT;
  const height = legendTop + Math.ceil(lines.length / LEGEND_COLUMNS) * LEGEND_ROW + 8;
  const points = lines.flatMap((line) => line.points);
  const y = linearScale(Math.max(...points.map(([, value]) => value)), plotBottom, TOP);
  const x = xScale(points.map(([value]) => value), doubling);
  const used = new Map<number, number>();
  const styles = lines.map(({ row }) => {
    const color = colorOf(row);
    const count = used.get(color) ?? 0;
    used.set(color, count + 1);
    return { class: `l s${color}`, "stroke-dasharray": dashOf(count) };
  });
  return svgDocument({ width: WIDTH, height, title, subtitle }, [
    ...y.ticks.flatMap((tick) => [
      element("line", {
        class: "g",
        x1: LEFT,
        x2: WIDTH - RIGHT,
        y1: y.place(tick),
        y2: y.place(tick),
      }),
      text(LEFT - 8, y.place(tick) + 4, shortNumber(tick), { class: "m e" }),
    ]),
    ...x.ticks.map((tick) =>
      text(x.place(tick), plotBottom + 18, shortNumber(tick), { class: "m c" })
    ),
    text((LEFT + WIDTH - RIGHT) / 2, plotBottom + 36, xLabel, { class: "m c" }),
    ...lines.map((line, index) =>
      element("polyline", {
        ...styles[index],
        points: line.points.map(([at, value]) => `${round(x.place(at))},${round(y.place(value))}`)
          .join(" "),
      })
    ),
    ...lines.flatMap(({ label }, index) => legend(label, styles[index], index, legendTop)),
  ]);
}

function legend(
  label: string,
  style: Readonly<Record<string, string | undefined>>,
  index: number,
  top: number,
): string[] {
  const column = (WIDTH - LEFT) / LEGEND_COLUMNS;
  const left = LEFT + (index % LEGEND_COLUMNS) * column;
  const middle = top + Math.floor(index / LEGEND_COLUMNS) * LEGEND_ROW + 4;
  return [
    element("line", { ...style, x1: left, x2: left + 28, y1: middle, y2: middle }),
    text(left + 36, middle + 4, label),
  ];
}

function xScale(values: readonly number[], doubling: boolean): Scale {
  const right = WIDTH - RIGHT;
  if (!doubling) return linearScale(Math.max(...values), LEFT, right);
  const ticks = [...new Set(values)].sort((a, b) => a - b);
  const span = Math.log2(ticks.at(-1)! / ticks[0]) || 1;
  return {
    ticks,
    place: (value) => LEFT + ((right - LEFT) * Math.log2(value / ticks[0])) / span,
  };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
