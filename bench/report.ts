/**
 * Makes the page of figures from the results that `bench --save` left behind:
 *
 *     bun bench/report.ts [--results DIR] [--docs DIR]
 *
 * Writes `performance.md` and `charts/*.svg` into the docs folder, and removes charts that nothing shows any more.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { loadResults } from "./report/load.ts";
import { renderReport } from "./report/page.ts";

const { values } = parseArgs({
  options: {
    results: { type: "string", default: fileURLToPath(new URL("results", import.meta.url)) },
    docs: { type: "string", default: fileURLToPath(new URL("../docs", import.meta.url)) },
  },
});

const { page, charts } = renderReport(loadResults(values.results));
const folder = join(values.docs, "charts");
mkdirSync(folder, { recursive: true });
for (const name of readdirSync(folder)) {
  if (!charts.some(({ file }) => file === name)) rmSync(join(folder, name));
}
for (const { file, svg } of charts) writeFileSync(join(folder, file), svg);
writeFileSync(join(values.docs, "performance.md"), page);
console.log(`performance.md and ${charts.length} charts in ${values.docs}`);
