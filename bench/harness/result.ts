/**
 * What a run leaves behind: plain data that means the same for every store, so that whoever reads the file needs none of this
 * code. Bytes are bytes, latencies microseconds, counters what their names say.
 */
import type { Machine } from "./machine.ts";
import type { Latencies, Series } from "./measurement.ts";

export const RESULT_FORMAT = "varve-bench/1";

/** Operations and megabytes (10^6) a second: more is better. Milliseconds, MiB (2^20): less is. */
export type Unit = "ops/s" | "MB/s" | "ms" | "MiB";

export const isLowerBetter = (unit: Unit): boolean => unit === "ms" || unit === "MiB";

/** Repeats of one row. `samples` are in the order in which they were run. */
export interface Spread {
  median: number;
  min: number;
  max: number;
  samples: number[];
}

export interface ResultRow {
  label: string;
  peer: string;
  /** Whose ratios a reader looks for: ours, a competitor's, or the bare device's. */
  role: Role;
  /** Where it ran: "Bun", "Deno", "C++". */
  runtime: string;
  way: string;
  variant: string;
  part: string;
  writers: number;
  durability: string;
  /** Why there is no figure. */
  notMeasured?: string;
  version?: string;
  settings?: string;
  warnings?: readonly string[];
  operations?: number;
  figure?: Spread;
  megabytesPerSecond?: number;
  /** Of the repeat whose figure is the median: they belong together. */
  latencies?: Latencies;
  counters?: Record<string, number>;
  series?: Series;
  verification?: string;
  warmUp?: string;
  notDone?: readonly string[];
}

export type Role = "subject" | "rocksdb" | "peer" | "device";

/** One target, held against one row. */
export interface Judgement {
  target: string;
  label: string;
  /** What is wanted of `value`. */
  least?: number;
  most?: number;
  value?: number;
  reached?: boolean;
  notJudged?: string;
}

export interface WorkloadResult {
  id: string;
  title: string;
  unit: Unit;
  valueBytes: number;
  rows: ResultRow[];
  judgements: Judgement[];
}

export interface Conditions {
  /** ISO 8601. */
  date: string;
  /** "smoke", or the share of the full size, 1 being all of it. */
  scale: "smoke" | number;
  repeats: number;
  seed: number;
  loadAverageBefore: number;
  loadAverageAfter: number;
}

export interface ResultFile {
  format: typeof RESULT_FORMAT;
  machine: Machine;
  conditions: Conditions;
  workloads: WorkloadResult[];
}
