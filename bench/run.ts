/**
 * Measures Varve and its peers side by side:
 *
 *     bun bench/run.ts [W1 W4 …|all] [--smoke | --scale SHARE | --full] [--repeat N] [--json FILE] [--save]
 *                      [--peers a,b] [--directory DIR] [--seed N]
 *
 * Each row runs in a fresh process and a fresh directory. Repeats are interleaved (A B A B) and a row's figure is its median.
 * `--save` writes `bench/results/<workload>.json`, from which `bench:report` makes the page. A peer that is not installed is
 * named, with the reason; if it was asked for with `--peers`, or if a run fails, the exit code is 1.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { Outcome } from "./harness/case.ts";
import { printMachine, printWorkload } from "./harness/console.ts";
import { runIsolated } from "./harness/isolate.ts";
import { describeMachine } from "./harness/machine.ts";
import { type Entry, freeBytesOf, planEntries, type Scale } from "./harness/plan.ts";
import { RESULT_FORMAT, type ResultFile, type WorkloadResult } from "./harness/result.ts";
import { summarize } from "./harness/summary.ts";
import { peerNamed, peers as allPeers } from "./peers/registry.ts";
import { workloadNamed, workloads as allWorkloads } from "./workloads/registry.ts";
import type { Workload } from "./workloads/workload.ts";

const DEFAULT_SEED = 42;
const DEFAULT_SCALE = 0.2;
/** A median needs three; the targets on variance want five. */
const REPEATS = { smoke: 1, part: 3, full: 5 };
const RESULTS = fileURLToPath(new URL("results", import.meta.url));

function parseCommandLine() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      smoke: { type: "boolean" },
      full: { type: "boolean" },
      scale: { type: "string" },
      repeat: { type: "string" },
      json: { type: "string" },
      save: { type: "boolean" },
      peers: { type: "string" },
      directory: { type: "string", default: tmpdir() },
      seed: { type: "string", default: String(DEFAULT_SEED) },
    },
  });
  const scale = scaleOf(values);
  const usual = scale === "smoke" ? REPEATS.smoke : scale === 1 ? REPEATS.full : REPEATS.part;
  const everything = positionals.length === 0 || positionals.includes("all");
  return {
    scale,
    workloads: everything ? allWorkloads : positionals.map(workloadNamed),
    peers: values.peers?.split(",").map(peerNamed) ?? allPeers,
    peersAreNamed: values.peers !== undefined,
    repeats: naturalNumber("--repeat", values.repeat ?? String(usual)),
    seed: naturalNumber("--seed", values.seed),
    directory: values.directory,
    jsonPath: values.json,
    save: values.save === true,
  };
}

function scaleOf(values: { smoke?: boolean; full?: boolean; scale?: string }): Scale {
  const given = [values.smoke, values.full, values.scale].filter((one) => one !== undefined);
  if (given.length > 1) {
    throw new RangeError("Cannot run more than one of --smoke, --full, --scale");
  }
  if (values.smoke) return "smoke";
  const scale = values.full ? 1 : Number(values.scale ?? DEFAULT_SCALE);
  if (scale > 0 && scale <= 1) return scale;
  throw new RangeError(`Cannot take --scale "${values.scale}": a share of up to 1 is needed`);
}

function naturalNumber(option: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new RangeError(`Cannot take ${option} "${text}": a whole number from 1 is needed`);
}

/** All entries of one workload, A B A B; the outcomes of `entries[i]` are at `i`. */
async function runEntries(
  entries: readonly Entry[],
  repeats: number,
  directory: string,
): Promise<Outcome[][]> {
  const outcomes: Outcome[][] = entries.map(() => []);
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const [index, { run }] of entries.entries()) {
      // What is not there will not be there at the next repeat either.
      if (!run || outcomes[index].some(({ status }) => status !== "measured")) continue;
      outcomes[index].push(await runIsolated(run, directory));
    }
  }
  return outcomes;
}

/** Whether something that was asked for is missing. */
function isFault(outcomes: readonly Outcome[], peersAreNamed: boolean): boolean {
  return outcomes.some(({ status }) =>
    status === "failed" || (status === "unavailable" && peersAreNamed)
  );
}

function savePath({ id }: Workload): string {
  mkdirSync(RESULTS, { recursive: true });
  return `${RESULTS}/${id.toLowerCase()}.json`;
}

function writeResult(path: string, file: ResultFile): void {
  writeFileSync(path, JSON.stringify(file, null, 1) + "\n");
}

async function main(): Promise<void> {
  const { workloads, peers, scale, repeats, seed, directory, ...options } = parseCommandLine();
  const loadAverageBefore = loadavg()[0];
  const machine = describeMachine(directory, scale === "smoke");
  const size = typeof scale === "number" ? `${scale} of the full size` : `${scale} size`;
  printMachine(
    machine,
    `load before ${loadAverageBefore.toFixed(2)}; ` +
      `${size}, ${repeats} repeats, seed ${seed}, in ${directory}`,
  );

  const results: WorkloadResult[] = [];
  const freeBytes = freeBytesOf(directory);
  for (const workload of workloads) {
    const entries = planEntries(workload, peers, { scale, seed, freeBytes });
    const outcomes = await runEntries(entries, repeats, directory);
    if (isFault(outcomes.flat(), options.peersAreNamed)) process.exitCode = 1;
    const result = summarize(workload, entries, outcomes);
    results.push(result);
    printWorkload(result);
    // At once: the next workload may take hours, and fail.
    if (options.save) writeResult(savePath(workload), fileOf([result]));
  }
  if (options.jsonPath) writeResult(options.jsonPath, fileOf(results));

  function fileOf(workloads: WorkloadResult[]): ResultFile {
    const loads = { loadAverageBefore, loadAverageAfter: loadavg()[0] };
    const conditions = { date: new Date().toISOString(), scale, repeats, seed, ...loads };
    return { format: RESULT_FORMAT, machine, conditions, workloads };
  }
}

try {
  await main();
} catch (error) {
  if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
