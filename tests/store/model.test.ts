/**
 * Random steps of every kind under every option set, on the real disk, and on a simulated one where time moves.
 *
 * `VARVE_SEED=…` repeats a run; `npm run soak:model` takes more steps and more seeds.
 */
import process from "node:process";
import { SimulatedDisk } from "../../testing.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { type Case, Run } from "./model.ts";
import { OPTION_SETS } from "./option_sets.ts";

const SEED = Number(process.env.VARVE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const BUDGET_MILLISECONDS = 1_000;
const STEPS_MAX = 2_500;

async function compare(name: string, run: Run): Promise<void> {
  const end = performance.now() + BUDGET_MILLISECONDS;
  try {
    await run.open();
    while (run.steps < STEPS_MAX && performance.now() < end) await run.step();
    await run.finish();
  } catch (error) {
    console.error(`model: VARVE_SEED=${SEED}, step ${run.steps}, ${name}`);
    throw error;
  }
}

for (const { name, ...set } of OPTION_SETS) {
  const shared: Omit<Case, "path"> = { ...set, seed: SEED };
  test(`a store answers as its model does: ${name}`, () =>
    compare(name, new Run({ ...shared, path: temporaryDirectory() })));
  test(`a store answers as its model does while time passes: ${name}`, async () => {
    using disk = new SimulatedDisk({ seed: SEED });
    await compare(name, new Run({ ...shared, path: "/data", disk }));
  });
}
