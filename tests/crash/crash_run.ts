/** Crash properties, run until there were so many crashes: for the tests, and for `npm run crashes`. */
import assert from "node:assert/strict";
import process from "node:process";
import fc from "fast-check";
import { runtime } from "../harness.ts";
import { crashCount } from "./counted_disk.ts";
import { faultProperty } from "./fault_story.ts";
import { prefixProperty } from "./prefix_story.ts";
import { crashes, seed as seedOfTests } from "./support.ts";

export const PROPERTIES = {
  prefix: prefixProperty,
  faults: faultProperty,
} as const;

export type PropertyName = keyof typeof PROPERTIES;

export interface Violation {
  readonly property: PropertyName;
  /** What `--seed` and `--path` take to see it again. */
  readonly seed: number;
  readonly path: string;
  /** The smallest case that shrinking found, as JavaScript. */
  readonly smallest: string;
  readonly error: string;
}

export interface CrashRun {
  readonly crashes: number;
  readonly violations: readonly Violation[];
}

/** Stories in one round of a property: they share a seed. */
const ROUND_STORIES = 50;
/** Whether a violation is made smaller: that takes a while, and who breaks the engine on purpose has no use for it. */
const SHRINKS = process.env.VARVE_SHRINK !== "0";
/** A broken engine need not be proven broken more often; a test says it once. */
const VIOLATIONS_MAX = 5;

/** Runs properties in turn until there were `count` crashes, or enough violations. */
export async function runCrashes(
  count: number,
  seed: number,
  names: readonly PropertyName[],
  progress: (run: CrashRun) => void = () => {},
  violationsMax = VIOLATIONS_MAX,
): Promise<CrashRun> {
  const before = crashCount();
  const violations: Violation[] = [];
  const sofar = (): CrashRun => ({ crashes: crashCount() - before, violations });
  for (let round = 0; sofar().crashes < count && violations.length < violationsMax; round++) {
    const violation = await runRound(names[round % names.length], seed + round);
    if (violation !== undefined) violations.push(violation);
    progress(sofar());
  }
  return sofar();
}

/** One round of a property, or with a path one case of it. */
export async function runRound(
  property: PropertyName,
  seed: number,
  path?: string,
): Promise<Violation | undefined> {
  const ended = await fc.check<unknown[]>(
    PROPERTIES[property] as unknown as fc.IAsyncProperty<unknown[]>,
    { seed, path, numRuns: ROUND_STORIES, endOnFailure: path !== undefined || !SHRINKS },
  );
  if (!ended.failed) return undefined;
  const { errorInstance } = ended;
  return {
    property,
    seed,
    path: ended.counterexamplePath ?? "",
    smallest: fc.stringify(ended.counterexample),
    error: errorInstance instanceof Error
      ? errorInstance.stack ?? errorInstance.message
      : String(errorInstance),
  };
}

/** The command that repeats a violation. */
export function commandOf({ property, seed, path }: Violation): string {
  const command = runtime === "bun" ? "npm run crashes --" : "deno task crashes";
  return `${command} --property ${property} --seed ${seed} --path ${path}`;
}

export function describe(violation: Violation): string {
  return [
    `violation of "${violation.property}": ${violation.error}`,
    `smallest case: ${violation.smallest}`,
    `repeat with: ${commandOf(violation)}`,
  ].join("\n");
}

/** A test's share: fails at a violation, and unless there really were so many crashes. */
export async function requireCrashes(property: PropertyName, usual: number): Promise<void> {
  const wanted = crashes(usual);
  const { crashes: count, violations } = await runCrashes(
    wanted,
    seedOfTests,
    [property],
    () => {},
    1,
  );
  console.log(`${property}: ${count} crashes, VARVE_SEED=${seedOfTests}`);
  assert.equal(violations.length, 0, violations.map(describe).join("\n\n"));
  assert.ok(count >= wanted, `${count} crashes of ${wanted}`);
}
