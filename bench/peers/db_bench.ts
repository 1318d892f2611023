/**
 * RocksDB's own benchmark program: the C++ without any JavaScript, and the only one of the peers that
 * writes from many threads.
 */
import process from "node:process";
import type { Case } from "../harness/case.ts";
import type { Latencies, Measurement } from "../harness/measurement.ts";
import { workloadNamed } from "../workloads/registry.ts";
import type { Workload } from "../workloads/workload.ts";
import type { Need, ProgramDriver, ProgramMeasurement } from "./peer.ts";
import { runProgram } from "./program.ts";

/** The steps for each need; the last one is the one that counts. */
const steps: Partial<Record<Need, readonly string[]>> = {
  bufferedFill: ["fillrandom"],
  volatileFill: ["fillrandom"],
  durablePut: ["fillrandom"],
  concurrentDurablePut: ["fillrandom"],
  memtableGet: ["filluniquerandom", "readrandom"],
  cachedGet: ["filluniquerandom", "compact", "readrandom", "readrandom"],
  scan: ["filluniquerandom", "compact", "readseq", "readseq"],
};

export function load(): ProgramDriver {
  const program = process.env.DB_BENCH ?? "db_bench";
  const version = runProgram(program, ["--version"], "install rocksdb-tools or set DB_BENCH");
  return {
    kind: "program",
    version: version.trim(),
    measure: (run) => Promise.resolve(measure(program, run)),
  };
}

function measure(program: string, run: Case): ProgramMeasurement {
  const workload = workloadNamed(run.workload);
  const sequence = steps[workload.need]!;
  const flags = flagsFor(run, workload, sequence);
  const output = runProgram(program, [...flags, `--db=${run.directory}/db_bench`]);
  const isFill = sequence.length === 1;
  return {
    ...parseReport(output, sequence.at(-1)!),
    settings: flags.join(" "),
    warnings: output.includes("Assertions are enabled")
      ? [`${program} is built with assertions, 30 to 40 % slower than a release build`]
      : [],
    verification: workload.need === "memtableGet" || workload.need === "cachedGet"
      ? `none of values; ${foundKeys(output)} keys found`
      : "none",
    warmUp: sequence.length === 4 ? "the same step once before" : "none",
    notDone: [
      "no JavaScript and no FFI; keys and values are made inside the clock",
      ...(isFill ? ["keys are drawn with replacement: about 37 % are never written"] : []),
    ],
  };
}

function flagsFor(run: Case, workload: Workload, sequence: readonly string[]): string[] {
  return [
    `--benchmarks=${sequence.join(",")}`,
    `--num=${Math.ceil(run.count / run.writers)}`,
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
    // A histogram reads the clock for every operation: only where an operation costs far more.
    `--histogram=${run.durability === "sync"}`,
  ];
}

/** Reads `fillrandom : 2.6 micros/op 382000 ops/sec 2.616 seconds 1000000 operations; …`. */
function parseReport(
  output: string,
  step: string,
): Pick<Measurement, "operations" | "seconds" | "latencies"> {
  const pattern = new RegExp(
    `^${step}\\s*:.* (\\d+) ops/sec ([\\d.]+) seconds (\\d+) operations`,
    "gm",
  );
  const last = [...output.matchAll(pattern)].at(-1);
  if (!last) throw new Error(`Cannot read db_bench's report: no line for "${step}"`);
  const operations = Number(last[3]);
  // The rate has more digits than the seconds have.
  return { operations, seconds: operations / Number(last[1]), latencies: parseLatencies(output) };
}

function parseLatencies(output: string): Latencies | undefined {
  const percentiles = output.match(/P50: ([\d.]+).*P99: ([\d.]+) P99\.9: ([\d.]+)/);
  const max = output.match(/Max: (\d+)/);
  if (!percentiles || !max) return undefined;
  const [p50, p99, p999] = percentiles.slice(1).map(Number);
  return { p50, p99, p999, max: Number(max[1]) };
}

function foundKeys(output: string): string {
  return [...output.matchAll(/\((\d+ of \d+) found\)/g)].at(-1)?.[1] ?? "no";
}
