/**
 * RocksDB's own benchmark program: the C++ without any JavaScript, and the only one of the peers that
 * writes from many threads.
 */
import { existsSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import process from "node:process";
import type { Case } from "../../harness/case.ts";
import type { Measurement } from "../../harness/measurement.ts";
import { ioCounts, ioSince, spaceOf } from "../../harness/process_counters.ts";
import { workloadNamed } from "../../workloads/registry.ts";
import type { Workload } from "../../workloads/workload.ts";
import type { ProgramDriver, ProgramMeasurement } from "../peer.ts";
import { runProgram, watchProgram } from "../program.ts";
import { foundKeys, latenciesOf, quietSeconds, seriesOf, type StepTime, timeOf } from "./report.ts";
import { type Plan, planFor, QUIET } from "./steps.ts";

/** From here on a rate in bytes says more than one in operations. */
const LARGE_VALUE_BYTES = 1024 * 1024;

export function load(): ProgramDriver {
  const program = process.env.DB_BENCH ?? "db_bench";
  const version = runProgram(program, ["--version"], "install rocksdb-tools or set DB_BENCH");
  return {
    kind: "program",
    version: version.trim(),
    measure: (run) => measure(program, run),
  };
}

async function measure(program: string, run: Case): Promise<ProgramMeasurement> {
  const workload = workloadNamed(run.workload);
  const plan = planFor(workload.need, run);
  const flags = flagsFor(run, workload, plan);
  const directory = `${run.directory}/db_bench`;
  const before = ioCounts();
  const { output, residentPeakBytes } = await watchProgram(program, [
    ...flags,
    `--db=${directory}`,
  ]);
  const counters = {
    // The program has ended and was waited for, so that its counts are in ours.
    ...ioSince(before),
    spaceBytes: spaceOf(directory),
    residentPeakBytes,
    residentAboveBytes: residentPeakBytes,
  };
  return {
    settings: flags.filter((flag) => !flag.includes(run.directory)).join(" "),
    warnings: output.includes("Assertions are enabled")
      ? [
        `${basename(program)} is built with assertions, 30 to 40 % slower than a release build`,
      ]
      : [],
    measurements: (plan.parts ?? [plan.steps.at(-1)!]).map((step) =>
      measurementOf(run, plan, step, output, counters)
    ),
  };
}

function flagsFor(run: Case, workload: Workload, plan: Plan): string[] {
  return [
    `--benchmarks=${plan.steps.join(",")}`,
    `--num=${plan.entries ?? Math.ceil(run.count / run.writers)}`,
    ...(plan.reads === undefined ? [] : [`--reads=${plan.reads}`]),
    `--threads=${run.writers}`,
    "--key_size=16",
    `--value_size=${run.valueBytes}`,
    `--sync=${run.durability === "sync"}`,
    `--disable_wal=${run.durability === "volatile"}`,
    `--seed=${run.seed}`,
    `--write_buffer_size=${workload.memory.memtableBytes}`,
    `--cache_size=${workload.memory.cacheBytes}`,
    "--bloom_bits=10",
    "--compression_type=none",
    "--max_background_jobs=2",
    ...(plan.flags ?? []),
    `--histogram=${plan.histogram === true}`,
  ];
}

function measurementOf(
  run: Case,
  plan: Plan,
  step: string,
  output: string,
  counters: Record<string, number>,
): Measurement {
  const csv = `${run.directory}/report.csv`;
  const found = foundKeys(output);
  const isQuiet = step === QUIET;
  return {
    ...(isQuiet ? untilQuiet(run, output, plan) : timeOf(output, step)),
    ...(run.valueBytes >= LARGE_VALUE_BYTES && { bytes: run.count * run.valueBytes }),
    latencies: plan.histogram && !isQuiet ? latenciesOf(output) : undefined,
    series: existsSync(csv) && !isQuiet ? seriesOf(readFileSync(csv, "utf8"), 1) : undefined,
    // Those of the whole process belong to its last part.
    counters: plan.counters && step === (plan.parts ?? plan.steps).at(-1) ? counters : undefined,
    verification: found ? `none of values; keys found: ${found}` : "none",
    warmUp: plan.warmUp ?? "none",
    notDone: [
      "no JavaScript and no FFI; keys and values are made inside the clock",
      ...(plan.counters ? ["the counters are of the whole process, open and close included"] : []),
      ...(plan.notDone ?? []),
    ],
  };
}

/** Where nothing was flushed at all, the first step's own time is all there is. */
function untilQuiet(run: Case, output: string, { steps: [fill] }: Plan): StepTime {
  const log = readFileSync(`${run.directory}/db_bench/LOG`, "utf8");
  return {
    operations: run.count,
    seconds: Math.max(timeOf(output, fill).seconds, quietSeconds(log)),
  };
}
