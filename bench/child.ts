/**
 * Runs one phase of one case in this process, which the parent has started for nothing else, and prints the outcome.
 * Whoever measures opens the database before its clock starts, and closes it after.
 */
import { writeSync } from "node:fs";
import process from "node:process";
import { type Case, type Outcome, OUTCOME_PREFIX } from "./harness/case.ts";
import { ComputedDataSet, HeldDataSet } from "./harness/data_set.ts";
import { type Driver, PeerUnavailable, type StoreDriver } from "./peers/peer.ts";
import { peerNamed } from "./peers/registry.ts";
import { workloadNamed } from "./workloads/registry.ts";
import type { Stage } from "./workloads/workload.ts";

const STDOUT = 1;

async function runCase(run: Case): Promise<Outcome> {
  const driver: Driver = await peerNamed(run.peer).load();
  if (driver.kind === "store") return await runOnStage(stageOf(driver, run));
  if (run.phase === "prepare") return { status: "prepared" }; // programs prepare what they need
  const { settings, warnings, measurements } = await driver.measure(run);
  return { status: "measured", version: driver.version, settings, warnings, measurements };
}

function stageOf(driver: StoreDriver, run: Case): Stage {
  const workload = workloadNamed(run.workload);
  return {
    driver,
    run,
    data: workload.computesKeys ? new ComputedDataSet(run) : new HeldDataSet(run),
    options: {
      directory: run.directory,
      durability: run.durability,
      valueBytes: run.valueBytes,
      ...workload.memory,
      ...workload.openOptions?.(run.variant),
    },
  };
}

async function runOnStage(stage: Stage): Promise<Outcome> {
  const { driver, options, run } = stage;
  const workload = workloadNamed(run.workload);
  if (run.phase === "prepare") {
    const end = await workload.prepare!(stage);
    if (end === "kill") {
      tell({ status: "prepared" });
      process.kill(process.pid, "SIGKILL");
    }
    return { status: "prepared" };
  }
  const measurements = await workload.measure(stage);
  return {
    status: "measured",
    version: driver.version,
    settings: driver.settings(options),
    warnings: driver.warnings,
    measurements,
  };
}

function explain(error: unknown): Outcome {
  const text = error instanceof Error ? error.message : String(error);
  // The directory is another one in each run: rows that lack the same thing are to say the same.
  const why = text.replaceAll(run.directory, "DIRECTORY");
  if (error instanceof PeerUnavailable) return { status: "unavailable", why };
  const isMissing = (error as { code?: string } | null)?.code === "ERR_UNSUPPORTED";
  return { status: isMissing ? "unsupported" : "failed", why };
}

/** Written at once: what a stream still holds when the process ends is lost. */
function tell(outcome: Outcome): void {
  const bytes = new TextEncoder().encode(`\n${OUTCOME_PREFIX}${JSON.stringify(outcome)}\n`);
  for (let at = 0; at < bytes.length;) at += writeSync(STDOUT, bytes, at);
}

const run: Case = JSON.parse(process.argv[2]);
tell(await runCase(run).catch(explain));
// A peer that still holds threads or timers after close must not hold up the next run.
process.exit(0);
