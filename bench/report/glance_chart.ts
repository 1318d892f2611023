/** How each workload stands against its best peer, on an axis on which twice as fast and half as fast are as far from even. */
import { bestBeside, timesBetter } from "../harness/comparison.ts";
import type { ResultRow, WorkloadResult } from "../harness/result.ts";
import { element, svgDocument, text } from "./svg.ts";

const WIDTH = 760;
const LABEL_WIDTH = 270;
const RIGHT = 60;
const ROW_HEIGHT = 22;
const BAR_HEIGHT = 14;
const TOP = 58;
const BOTTOM = 28;
const OURS = 0;
const THEIRS = 2;

export interface Standing {
  label: string;
  /** How many times better our best row is than the best peer's. */
  times: number;
  ours: ResultRow;
  theirs: ResultRow;
}

/** One standing for each form, part and number of writers of a workload that was compared. */
export function standingsOf({ id, rows, unit }: WorkloadResult): Standing[] {
  const forms = new Map<string, ResultRow>();
  for (const row of rows) {
    if (row.role !== "subject" || !row.figure) continue;
    const key = [row.variant, row.part, row.writers].join();
    const best = forms.get(key);
    if (!best || timesBetter(row, best, unit) > 1) forms.set(key, row);
  }
  const manyWriters = new Set([...forms.values()].map(({ writers }) => writers)).size > 1;
  return [...forms.values()].flatMap((ours) => {
    const theirs = bestBeside(ours, rows, ["rocksdb", "peer"], unit);
    if (!theirs) return [];
    const form = [ours.variant, ours.part, manyWriters && `× ${ours.writers}`].filter(Boolean);
    const label = [id, form.join(", ")].filter(Boolean).join(" ");
    return [{ label, times: timesBetter(ours, theirs, unit), ours, theirs }];
  });
}

export function glanceChart(standings: readonly Standing[]): string {
  const height = TOP + standings.length * ROW_HEIGHT + BOTTOM;
  const reach = Math.max(2, ...standings.map(({ times }) => Math.max(times, 1 / times)));
  const doublings = Math.ceil(Math.log2(reach));
  const left = LABEL_WIDTH;
  const right = WIDTH - RIGHT;
  const place = (times: number) =>
    left + ((right - left) * (Math.log2(times) + doublings)) / (2 * doublings);
  const ticks = Array.from({ length: 2 * doublings + 1 }, (_, index) => 2 ** (index - doublings));
  return svgDocument({
    width: WIDTH,
    height,
    title: "Varve's best row beside the best peer's",
    subtitle: "to the right: times better; to the left: times worse; each line is a factor of two",
  }, [
    ...ticks.flatMap((tick) => [
      element("line", {
        class: tick === 1 ? "w" : "g",
        x1: place(tick),
        x2: place(tick),
        y1: TOP - 4,
        y2: height - BOTTOM,
      }),
      text(place(tick), height - 10, tick < 1 ? `1/${1 / tick}` : `${tick} ×`, { class: "m c" }),
    ]),
    ...standings.flatMap(({ label, times }, index) => {
      const top = TOP + index * ROW_HEIGHT;
      const [from, to] = [Math.min(1, times), Math.max(1, times)].map(place);
      return [
        text(LABEL_WIDTH - 8, top + BAR_HEIGHT / 2 + 4, label, { class: "e" }),
        element("rect", {
          class: `f${times >= 1 ? OURS : THEIRS}`,
          x: from,
          y: top,
          width: Math.max(1, to - from),
          height: BAR_HEIGHT,
        }),
        text(times >= 1 ? to + 6 : from - 6, top + BAR_HEIGHT / 2 + 4, times.toFixed(2), {
          class: times >= 1 ? undefined : "e",
        }),
      ];
    }),
  ]);
}
