/** The page of figures: what it shows, and that the one in the tree is made of the results in the tree. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { WorkloadResult } from "../../bench/harness/result.ts";
import { standingsOf } from "../../bench/report/glance_chart.ts";
import { loadResults } from "../../bench/report/load.ts";
import { renderReport } from "../../bench/report/page.ts";
import { logScale } from "../../bench/report/scale.ts";
import { element, escapeText } from "../../bench/report/svg.ts";
import { test } from "../harness.ts";
import { resultFile, row, workload } from "./rows.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

function render(result: WorkloadResult) {
  const file = resultFile(result);
  return renderReport([{ file, result }]);
}

test("the page and its charts in docs are made of bench/results: run npm run bench:report", () => {
  const { page, charts } = renderReport(loadResults(join(ROOT, "bench/results")));
  assert.equal(readFileSync(join(ROOT, "docs/performance.md"), "utf8"), page);
  const folder = join(ROOT, "docs/charts");
  assert.deepEqual(readdirSync(folder).sort(), charts.map(({ file }) => file).sort());
  for (const { file, svg } of charts) assert.equal(readFileSync(join(folder, file), "utf8"), svg);
});

test("a comparison that is lost stands out, a missed target comes first, a missing row has its reason", () => {
  const result = workload("W1", [
    row("varve putSync", 50, { role: "subject", peer: "varve" }),
    row("rocksdb", 100, { role: "rocksdb" }),
    row("lmdb", 1, { figure: undefined, notMeasured: "it is not installed" }),
  ]);
  result.judgements = [
    { target: "easy", label: "varve putSync", value: 2, reached: true },
    { target: "hard", label: "varve putSync", value: 0.5, reached: false },
  ];
  const { page } = render(result);
  assert.match(page, /\| \*\*varve putSync\*\* \| 50\.0 \|.*\*\*0\.50\*\*/);
  assert.ok(page.indexOf("| hard |") < page.indexOf("| easy |"));
  assert.match(page, /\| hard \| varve putSync \| 0\.50 \| \*\*missed\*\* \|/);
  assert.match(page, /- Not measured: lmdb: it is not installed\./);
});

test("a build with assertions is marked in table and chart, and explained", () => {
  const warnings = ["librocksdb.so is built with assertions"];
  const { page, charts } = render(
    workload("W1", [row("rocksdb putSync", 100, { role: "rocksdb", warnings })]),
  );
  assert.match(page, /\| rocksdb putSync ⚠ \|/);
  assert.match(page, /⚠ librocksdb\.so is built with assertions\./);
  assert.ok(charts.some(({ svg }) => svg.includes("rocksdb putSync ⚠")));
});

test("a smoke run says that it says nothing about speed", () => {
  const result = workload("W1", [row("varve", 50, { role: "subject" })]);
  const file = resultFile(result);
  file.conditions.scale = "smoke";
  assert.match(renderReport([{ file, result }]).page, /says nothing about speed/);
});

test("where less is better, twice the time is half as good", () => {
  const result = workload("W14", [
    row("varve", 200, { role: "subject" }),
    row("rocksdb", 100, { role: "rocksdb" }),
  ]);
  result.unit = "ms";
  assert.deepEqual(standingsOf(result).map(({ times }) => times), [0.5]);
  result.unit = "ops/s";
  assert.deepEqual(standingsOf(result).map(({ times }) => times), [2]);
});

test("rows of other forms and other numbers of writers are not compared", () => {
  const result = workload("W13", [
    row("varve", 100, { role: "subject", variant: "one family", writers: 2 }),
    row("db_bench", 10, { role: "rocksdb", variant: "one family", writers: 8 }),
    row("db_bench", 10, { role: "rocksdb", variant: "own family", writers: 2 }),
  ]);
  assert.deepEqual(standingsOf(result), []);
});

test("every chart is whole: elements are closed, numbers are numbers, both modes have colours", () => {
  const latencies = { p50: 3, p99: 40, p999: 900, max: 1000 };
  const series = { intervalSeconds: 1, operations: [10, 20, 15] };
  const rows = [1, 8].map((writers) =>
    row(`varve × ${writers}`, 50 * writers, { role: "subject", peer: "varve", writers, series })
  );
  const { charts } = renderReport([
    { result: workload("W3", [row("a < b", 50, { latencies, series })]), file: resultFile() },
    { result: workload("groups", rows), file: resultFile() },
  ]);
  const names = [
    "w3.svg",
    "w3-time.svg",
    "w3-latency.svg",
    "groups-scaling.svg",
    "groups-time.svg",
  ];
  assert.deepEqual(charts.map(({ file }) => file).sort(), names.sort());
  for (const { file, svg } of charts) {
    assert.deepEqual(unclosed(svg), [], file);
    assert.ok(!/NaN|Infinity|undefined/.test(svg), file);
    assert.match(svg, /prefers-color-scheme:dark/, file);
  }
});

test("text in a chart is text, whatever it contains", () => {
  assert.equal(
    element("text", { class: `"x"` }, escapeText("a<b>&c")),
    `<text class="&#34;x&#34;">a&#60;b&#62;&#38;c</text>`,
  );
});

test("a logarithmic axis puts equal factors at equal distances", () => {
  const { place, ticks } = logScale(2, 3000, 0, 400);
  assert.deepEqual(ticks, [1, 10, 100, 1000, 10000]);
  assert.ok(Math.abs(place(20) - place(2) - 100) < 1e-9);
});

/** The names of elements that were opened and not closed, or closed in another order. */
function unclosed(svg: string): string[] {
  const open: string[] = [];
  for (const [, slash, name, self] of svg.matchAll(/<(\/?)([a-z]+)(?:\s[^<>]*?)?(\/?)>/g)) {
    if (self) continue;
    if (!slash) open.push(name);
    else if (open.pop() !== name) return [name];
  }
  return open;
}
