/** Results made up for tests: rows with nothing but what a test speaks of. */
import type { Outcome } from "../../bench/harness/case.ts";
import type { Measurement } from "../../bench/harness/measurement.ts";
import {
  RESULT_FORMAT,
  type ResultFile,
  type ResultRow,
  type WorkloadResult,
} from "../../bench/harness/result.ts";

export function row(label: string, median: number, more: Partial<ResultRow> = {}): ResultRow {
  return {
    label,
    peer: label,
    role: "peer",
    runtime: "Bun",
    way: "putSync",
    variant: "",
    part: "",
    writers: 1,
    durability: "buffered",
    version: "1",
    settings: "the defaults",
    warnings: [],
    operations: 1000,
    figure: { median, min: median, max: median, samples: [median, median] },
    verification: "all of it",
    warmUp: "none",
    notDone: [],
    ...more,
  };
}

export function workload(id: string, rows: ResultRow[]): WorkloadResult {
  return { id, title: `title of ${id}`, unit: "ops/s", valueBytes: 100, rows, judgements: [] };
}

export function resultFile(...workloads: WorkloadResult[]): ResultFile {
  return {
    format: RESULT_FORMAT,
    machine: {
      device: { measuredBy: "nobody" },
      system: "linux",
      processor: "one",
      processorCount: 2,
      memoryGiB: 24,
      fileSystem: "ext4",
      bun: "1",
      deno: "2",
      commit: "abc",
    },
    conditions: {
      date: "2026-01-02T00:00:00Z",
      scale: 1,
      repeats: 5,
      seed: 42,
      loadAverageBefore: 0,
      loadAverageAfter: 0,
    },
    workloads,
  };
}

export function outcome(...measurements: Partial<Measurement>[]): Outcome {
  const whole = { operations: 1, seconds: 1, verification: "", warmUp: "", notDone: [] };
  return {
    status: "measured",
    version: "1",
    settings: "",
    warnings: [],
    measurements: measurements.map((measurement) => ({ ...whole, ...measurement })),
  };
}
