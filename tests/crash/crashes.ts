/**
 * Simulated crashes by the hundred thousand: random programs and faults, power failures, kills, crashes during recovery.
 *
 *     npm run crashes -- --count 100000 [--seed 42]         in Bun
 *     deno task crashes --count 100000 [--seed 42]          in Deno
 *     npm run crashes -- --property prefix --seed 42 --path 7:1:0    one case again
 *
 * Ends with 1 if a promise was broken, after the smallest case that breaks it.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { runtime } from "../harness.ts";
import {
  describe,
  PROPERTIES,
  type PropertyName,
  runCrashes,
  runRound,
  type Violation,
} from "./crash_run.ts";

const PROGRESS_MS = 5_000;
const COUNT = 100_000;

const { values } = parseArgs({
  args: process.argv.slice(2).filter((argument) => argument !== "--"),
  options: {
    count: { type: "string", default: String(COUNT) },
    seed: { type: "string" },
    property: { type: "string" },
    path: { type: "string" },
  },
});

function whole(name: string, text: string, least: number): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= least) return number;
  console.error(`--${name} takes a whole number from ${least}, not '${text}'`);
  process.exit(2);
}

const count = whole("count", values.count, 1);
// fast-check's seeds are integers of 32 bits, and each round takes the next one.
const seed = whole("seed", values.seed ?? String(Math.floor(Math.random() * 2 ** 30)), 0);
const names = Object.keys(PROPERTIES) as PropertyName[];
if (values.property !== undefined && !names.includes(values.property as PropertyName)) {
  console.error(`--property takes one of ${names.join(", ")}`);
  process.exit(2);
}
const chosen = values.property === undefined ? names : [values.property as PropertyName];

function end(violations: readonly Violation[]): never {
  const smallest = violations.toSorted((a, b) => a.smallest.length - b.smallest.length);
  if (smallest.length > 0) console.log(describe(smallest[0]));
  process.exit(violations.length === 0 ? 0 : 1);
}

if (values.path !== undefined) {
  const violation = await runRound(chosen[0], seed, values.path);
  if (violation === undefined) console.log(`no violation: ${chosen[0]}, seed ${seed}`);
  end(violation === undefined ? [] : [violation]);
}

console.log(`seed ${seed} (repeat with --seed ${seed}), ${runtime}, ${chosen.join(" and ")}`);
const started = performance.now();
let shown = started;

function figures(crashes: number, violations: number): string {
  const seconds = (performance.now() - started) / 1000;
  const rate = Math.round(crashes / seconds);
  return `${crashes} crashes in ${seconds.toFixed(0)} s (${rate}/s), ${violations} violations`;
}

const { crashes, violations } = await runCrashes(count, seed, chosen, (run) => {
  if (performance.now() - shown < PROGRESS_MS) return;
  shown = performance.now();
  console.error(figures(run.crashes, run.violations.length));
});
console.log(`${figures(crashes, violations.length)}, seed ${seed}`);
end(violations);
