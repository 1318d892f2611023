/** From the repeats of every row to medians and ratios. */
import type { Outcome } from "./case.ts";
import type { Latencies } from "./measurement.ts";
import type { Row } from "./plan.ts";

export type Measured = Extract<Outcome, { status: "measured" }>;

export interface RowSummary {
  row: Row;
  /** Every repeat, in order. */
  outcomes: Outcome[];
  /** Operations per second: the median of the repeats; absent when no repeat was measured. */
  median?: number;
  min?: number;
  max?: number;
  /** The repeat whose rate is the median: its latencies and counters belong together. */
  typical?: Measured;
  whyNot?: string;
}

export function summarize(row: Row, outcomes: Outcome[]): RowSummary {
  const broken = outcomes.find((outcome) => outcome.status !== "measured");
  if (broken) return { row, outcomes, whyNot: `${broken.status}: ${broken.why}` };
  if (outcomes.length === 0) return { row, outcomes, whyNot: row.whyNot };
  const byRate = (outcomes as Measured[]).toSorted((a, b) => rate(a) - rate(b));
  // Of an even number of repeats the lower middle one is taken, so that a median is a real run.
  const typical = byRate[Math.floor((byRate.length - 1) / 2)];
  return {
    row,
    outcomes,
    median: rate(typical),
    min: rate(byRate[0]),
    max: rate(byRate.at(-1)!),
    typical,
  };
}

function rate({ measurement }: Measured): number {
  return measurement.operations / measurement.seconds;
}

/** The fastest row among those compared at the same number of writers, or undefined. */
export function fastest(
  summaries: readonly RowSummary[],
  writers: number,
  roles: readonly Row["peer"]["role"][],
): RowSummary | undefined {
  return summaries
    .filter(({ row, median }) =>
      median !== undefined && row.run?.writers === writers && roles.includes(row.peer.role)
    )
    .toSorted((a, b) => b.median! - a.median!)[0];
}

export function latenciesOf({ typical }: RowSummary): Latencies | undefined {
  return typical?.measurement.latencies;
}
