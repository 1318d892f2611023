/**
 * The model test at length: every option set, on the real disk and on a simulated one where time moves.
 *
 *     npm run soak:model -- [--steps 100000] [--seeds 3] [--seed N]
 *
 * Ends with 1 if a store answered otherwise than its model, after the seed and the step.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { SimulatedDisk } from "../../testing.ts";
import { runtime, temporaryDirectory } from "../harness.ts";
import { Run } from "../store/model.ts";
import { OPTION_SETS } from "../store/option_sets.ts";

const { values } = parseArgs({
  args: process.argv.slice(2).filter((argument) => argument !== "--"),
  options: {
    steps: { type: "string", default: "100000" },
    seeds: { type: "string", default: "3" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
  },
});
const steps = Number(values.steps);
const firstSeed = Number(values.seed);

for (let seed = firstSeed; seed < firstSeed + Number(values.seeds); seed++) {
  for (const { name, ...set } of OPTION_SETS) {
    for (const simulated of [false, true]) {
      using disk = simulated ? new SimulatedDisk({ seed }) : undefined;
      const path = simulated ? "/data" : temporaryDirectory();
      const run = new Run({ ...set, seed, path, disk });
      const start = performance.now();
      const told = `${runtime}, seed ${seed}, ${name}${simulated ? ", simulated disk" : ""}`;
      try {
        await run.open();
        while (run.steps < steps) await run.step();
        await run.finish();
      } catch (error) {
        console.error(`${told}: at step ${run.steps}`, error);
        process.exit(1);
      }
      const seconds = (performance.now() - start) / 1000;
      console.log(`${told}: ${run.steps} steps in ${seconds.toFixed(0)} s`);
    }
  }
}
