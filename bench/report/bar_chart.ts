/** A bar for each row, the median with the range of its repeats, in the order of the figures. */
import { isLowerBetter, type ResultRow, type Unit } from "../harness/result.ts";
import { colorOf } from "./colors.ts";
import { linearScale, shortNumber } from "./scale.ts";
import { element, svgDocument, text } from "./svg.ts";

const WIDTH = 760;
const LABEL_WIDTH = 270;
const VALUE_WIDTH = 70;
const ROW_HEIGHT = 22;
const BAR_HEIGHT = 14;
const TOP = 58;
const BOTTOM = 28;

export function barChart(title: string, unit: Unit, rows: readonly ResultRow[]): string {
  const drawn = rows.filter(({ figure }) => figure && Number.isFinite(figure.median));
  const best = isLowerBetter(unit) ? 1 : -1;
  const sorted = drawn.toSorted((a, b) => best * (a.figure!.median - b.figure!.median));
  const height = TOP + sorted.length * ROW_HEIGHT + BOTTOM;
  const scale = linearScale(
    Math.max(...sorted.map(({ figure }) => figure!.max)),
    LABEL_WIDTH,
    WIDTH - VALUE_WIDTH,
  );
  const grid = scale.ticks.flatMap((tick) => [
    element("line", {
      class: "g",
      x1: scale.place(tick),
      x2: scale.place(tick),
      y1: TOP - 4,
      y2: height - BOTTOM,
    }),
    text(scale.place(tick), height - 10, shortNumber(tick), { class: "m c" }),
  ]);
  const subtitle = `${unit}, ${isLowerBetter(unit) ? "less" : "more"} is better; ` +
    "the thin line is the range of the repeats";
  return svgDocument({ width: WIDTH, height, title, subtitle }, [
    ...grid,
    ...sorted.flatMap((row, index) => bar(row, TOP + index * ROW_HEIGHT, scale.place)),
  ]);
}

function bar(row: ResultRow, top: number, place: (value: number) => number): string[] {
  const { median, min, max } = row.figure!;
  const middle = top + BAR_HEIGHT / 2;
  return [
    text(LABEL_WIDTH - 8, middle + 4, row.label, {
      class: "e",
      "font-weight": row.role === "subject" ? 600 : undefined,
    }),
    element("rect", {
      class: `f${colorOf(row)}`,
      x: place(0),
      y: top,
      width: Math.max(1, place(median) - place(0)),
      height: BAR_HEIGHT,
      opacity: row.role === "device" ? 0.5 : undefined,
    }),
    element("line", { class: "w", x1: place(min), x2: place(max), y1: middle, y2: middle }),
    text(place(max) + 6, middle + 4, shortNumber(median)),
  ];
}
