/**
 * Runs one case in this process, which the parent has started for nothing else, and prints the
 * outcome. The database is open before the workload starts its clock, and closed after it.
 */
import process from "node:process";
import { type Case, type Outcome, OUTCOME_PREFIX } from "./harness/case.ts";
import { DataSet } from "./harness/data_set.ts";
import { type Driver, type OpenOptions, PeerUnavailable, type StoreDriver } from "./peers/peer.ts";
import { peerNamed } from "./peers/registry.ts";
import { workloadNamed } from "./workloads/registry.ts";

async function runCase(run: Case): Promise<Outcome> {
  const driver: Driver = await peerNamed(run.peer).load();
  if (driver.kind === "store") return await runInStore(driver, run);
  const { settings, warnings, ...measurement } = await driver.measure(run);
  return { status: "measured", version: driver.version, settings, warnings, measurement };
}

async function runInStore(driver: StoreDriver, run: Case): Promise<Outcome> {
  const workload = workloadNamed(run.workload);
  const data = new DataSet(run);
  const options: OpenOptions = {
    directory: run.directory,
    durability: run.durability,
    valueBytes: run.valueBytes,
    ...workload.memory,
  };
  const store = await driver.open(options);
  const measurement = await workload.measure(store, data, run);
  await store.close();
  return {
    status: "measured",
    version: driver.version,
    settings: driver.settings(options),
    warnings: driver.warnings,
    measurement,
  };
}

function explain(error: unknown): Outcome {
  const status = error instanceof PeerUnavailable ? "unavailable" : "failed";
  return { status, why: error instanceof Error ? error.message : String(error) };
}

const run: Case = JSON.parse(process.argv[2]);
const outcome = await runCase(run).catch(explain);
console.log(OUTCOME_PREFIX + JSON.stringify(outcome));
// A peer that still holds threads or timers after close must not hold up the next run.
process.exit(0);
