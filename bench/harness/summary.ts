/** From the repeats of one entry to the rows of its parts. */
import type { Measured, Outcome } from "./case.ts";
import type { Measurement } from "./measurement.ts";
import type { Entry } from "./plan.ts";
import { isLowerBetter, type ResultRow, type Unit, type WorkloadResult } from "./result.ts";
import { judge } from "./target.ts";
import type { Workload } from "../workloads/workload.ts";

const MIB = 1024 * 1024;

/** All rows of one workload; the outcomes of `entries[i]` are at `i`. */
export function summarize(
  workload: Workload,
  entries: readonly Entry[],
  outcomes: readonly Outcome[][],
): WorkloadResult {
  const rows = entries.flatMap((entry, index) => rowsOf(entry, outcomes[index]));
  const { id, title, valueBytes, unit = "ops/s", targets } = workload;
  const judgements = targets.flatMap((target) => judge(target, rows));
  return { id, title, unit, valueBytes, rows, judgements };
}

function rowsOf(entry: Entry, outcomes: readonly Outcome[]): ResultRow[] {
  const { workload: { parts = [""], unit = "ops/s" }, whyNot } = entry;
  const reason = whyNot ?? reasonOf(outcomes);
  if (reason !== undefined) return [{ ...identityOf(entry, ""), notMeasured: reason }];
  return parts.map((part, index) => ({
    ...identityOf(entry, part),
    ...figuresOf(outcomes as Measured[], index, unit),
  }));
}

/** One repeat that broke spoils the row: a median of the rest would hide it. */
function reasonOf(outcomes: readonly Outcome[]): string | undefined {
  for (const outcome of outcomes) {
    if (outcome.status === "unsupported") return `not supported by this version: ${outcome.why}`;
    if ("why" in outcome) return `${outcome.status}: ${outcome.why}`;
  }
  return outcomes.length === 0 ? "it was not run" : undefined;
}

function identityOf({ peer, label, variant, durability, run }: Entry, part: string): ResultRow {
  const cpp = run?.way === "C++" || run?.way === "program";
  return {
    label: part ? `${label}, ${part}` : label,
    peer: peer.name,
    role: peer.role,
    runtime: cpp ? "none" : peer.runtime === "bun" ? "Bun" : "Deno",
    way: run?.way ?? "",
    variant,
    part,
    writers: run?.writers ?? 1,
    durability,
  };
}

function figuresOf(outcomes: readonly Measured[], part: number, unit: Unit): Partial<ResultRow> {
  const samples = outcomes.map(({ measurements }) => figureOf(measurements[part], unit));
  const sorted = samples.map((_, index) => index).sort((a, b) => samples[a] - samples[b]);
  // Of an even number of repeats the worse of the middle two is taken, so that a median is a real run.
  const middle = (sorted.length - 1) / 2;
  const typical = sorted[isLowerBetter(unit) ? Math.ceil(middle) : Math.floor(middle)];
  const { version, settings, warnings } = outcomes[typical];
  const { bytes, seconds, ...measurement } = outcomes[typical].measurements[part];
  return {
    version,
    settings,
    warnings,
    figure: {
      median: samples[typical],
      min: samples[sorted[0]],
      max: samples[sorted.at(-1)!],
      samples,
    },
    megabytesPerSecond: bytes && bytes / seconds / 1e6,
    ...measurement,
  };
}

function figureOf({ operations, seconds, bytes, counters }: Measurement, unit: Unit): number {
  if (unit === "ms") return (seconds * 1000) / operations;
  if (unit === "MB/s") return (bytes ?? 0) / seconds / 1e6;
  if (unit === "MiB") return (counters?.residentAboveBytes ?? NaN) / MIB;
  return operations / seconds;
}
