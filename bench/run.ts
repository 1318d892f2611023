/**
 * Measures Varve and its peers side by side:
 *
 *     bun bench/run.ts [W1 W4 …|all] [--smoke|--full] [--repeat N] [--json FILE] [--peers a,b]
 *                      [--directory DIR] [--seed N]
 *
 * Each row runs in a fresh process and a fresh directory. Repeats are interleaved (A B A B) and a
 * row's figure is its median. A peer that is not installed is named, with the reason; if it was asked
 * for with `--peers`, or if a run fails, the exit code is 1.
 */
import { writeFileSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import process from "node:process";
import { parseArgs } from "node:util";
import type { Outcome, Scale } from "./harness/case.ts";
import { runIsolated } from "./harness/isolate.ts";
import { describeMachine } from "./harness/machine.ts";
import { planRows, type Row } from "./harness/plan.ts";
import { printMachine, printWorkload } from "./harness/report.ts";
import { type RowSummary, summarize } from "./harness/summary.ts";
import { peerNamed, peers as allPeers } from "./peers/registry.ts";
import { workloadNamed, workloads as allWorkloads } from "./workloads/registry.ts";

const DEFAULT_SEED = 42;
const defaultRepeats: Record<Scale, number> = { smoke: 1, medium: 3, full: 5 };

function parseCommandLine() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      smoke: { type: "boolean" },
      full: { type: "boolean" },
      repeat: { type: "string" },
      json: { type: "string" },
      peers: { type: "string" },
      directory: { type: "string", default: tmpdir() },
      seed: { type: "string", default: String(DEFAULT_SEED) },
    },
  });
  if (values.smoke && values.full) throw new RangeError("Cannot run --smoke and --full at once");
  const scale: Scale = values.smoke ? "smoke" : values.full ? "full" : "medium";
  const everything = positionals.length === 0 || positionals.includes("all");
  return {
    scale,
    workloads: everything ? allWorkloads : positionals.map(workloadNamed),
    peers: values.peers?.split(",").map(peerNamed) ?? allPeers,
    peersAreNamed: values.peers !== undefined,
    repeats: naturalNumber("--repeat", values.repeat ?? String(defaultRepeats[scale])),
    seed: naturalNumber("--seed", values.seed),
    directory: values.directory,
    jsonPath: values.json,
  };
}

function naturalNumber(option: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new RangeError(`Cannot take ${option} "${text}": a whole number from 1 is needed`);
}

/** All rows of one workload, A B A B; the outcomes of `rows[i]` are at `i`. */
async function measureRows(
  rows: readonly Row[],
  repeats: number,
  directory: string,
): Promise<RowSummary[]> {
  const outcomes: Outcome[][] = rows.map(() => []);
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const [index, { run }] of rows.entries()) {
      if (run) outcomes[index].push(await runIsolated(run, directory));
    }
  }
  return rows.map((row, index) => summarize(row, outcomes[index]));
}

function toJson({ row, outcomes, median, min, max, whyNot }: RowSummary) {
  return { label: row.label, run: row.run, median, min, max, notMeasured: whyNot, outcomes };
}

/** Whether something that was asked for is missing. */
function isFault({ outcomes }: RowSummary, peersAreNamed: boolean): boolean {
  return outcomes.some(({ status }) =>
    status === "failed" || (status === "unavailable" && peersAreNamed)
  );
}

async function main(): Promise<void> {
  const options = parseCommandLine();
  const { workloads, peers, scale, repeats, seed, directory } = options;
  const machine = describeMachine(directory);
  printMachine(machine, `${scale} size, ${repeats} repeats, seed ${seed}, in ${directory}`);

  const summaries: RowSummary[] = [];
  for (const workload of workloads) {
    const rows = planRows([workload], peers, scale, seed);
    const measured = await measureRows(rows, repeats, directory);
    printWorkload(measured);
    summaries.push(...measured);
  }

  if (options.jsonPath) {
    const conditions = { date: new Date().toISOString(), scale, repeats, seed, directory };
    const loadAverageAfter = loadavg()[0];
    const report = { machine, loadAverageAfter, conditions, rows: summaries.map(toJson) };
    writeFileSync(options.jsonPath, JSON.stringify(report, null, 2) + "\n");
  }
  if (summaries.some((summary) => isFault(summary, options.peersAreNamed))) process.exitCode = 1;
}

try {
  await main();
} catch (error) {
  if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
