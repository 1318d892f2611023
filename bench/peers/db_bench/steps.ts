/** How db_bench does each workload: the benchmarks that it runs in order, and its own flags for them. */
import type { Case } from "../../harness/case.ts";
import { entriesOf } from "../../workloads/seek.ts";
import type { Need } from "../peer.ts";

/** All of it, to the end of the background work. */
export const QUIET = "until quiet";

export interface Plan {
  readonly steps: readonly string[];
  /** The step whose time is a part's time, or `QUIET`. By default the last one is the only part. */
  readonly parts?: readonly string[];
  readonly flags?: readonly string[];
  /** The entries of the store, where the case's count is not theirs. */
  readonly entries?: number;
  /** The operations of a part, where they are not the entries. */
  readonly reads?: number;
  /** A clock reading for every operation: only where an operation costs far more, or its tail is asked for. */
  readonly histogram?: boolean;
  /** Whether the system's counts of the process belong to the workload. */
  readonly counters?: boolean;
  readonly warmUp?: string;
  readonly notDone?: readonly string[];
}

const DRAWN = "keys are drawn with replacement: about 37 % are never written";
const CACHED = "the same step once before";

const plans: Partial<Record<Need, (run: Case) => Plan>> = {
  bufferedFill: () => ({ steps: ["fillrandom"], notDone: [DRAWN] }),
  volatileFill: () => ({ steps: ["fillrandom"], notDone: [DRAWN] }),
  durablePut: () => ({ steps: ["fillrandom"], histogram: true, notDone: [DRAWN] }),
  concurrentDurablePut: () => ({ steps: ["fillrandom"], histogram: true, notDone: [DRAWN] }),
  sustainedFill: ({ directory }) => ({
    steps: ["fillrandom", "waitforcompaction"],
    parts: ["fillrandom", QUIET],
    flags: ["--report_interval_seconds=1", `--report_file=${directory}/report.csv`],
    histogram: true,
    counters: true,
    notDone: [DRAWN],
  }),
  memtableGet: () => ({ steps: ["filluniquerandom", "readrandom"] }),
  cachedGet: () => ({
    steps: ["filluniquerandom", "compact", "readrandom", "readrandom"],
    warmUp: CACHED,
  }),
  largeGet: ({ count }) => ({
    steps: ["filluniquerandom", "waitforcompaction", "readrandom", "readrandom", "readmissing"],
    parts: ["readrandom", "readmissing"],
    reads: Math.ceil(count / 10),
    warmUp: CACHED,
  }),
  scan: () => ({ steps: ["filluniquerandom", "compact", "readseq", "readseq"], warmUp: CACHED }),
  seek: (run) => ({
    steps: ["filluniquerandom", "waitforcompaction", "seekrandom", "seekrandom"],
    flags: ["--seek_nexts=50"],
    entries: entriesOf(run),
    reads: Math.ceil(entriesOf(run) / 100),
    warmUp: CACHED,
  }),
  bulkFill: ({ variant }) => ({
    steps: ["filluniquerandom", "flush"],
    parts: [QUIET],
    flags: [
      "--enable_blob_files=true",
      "--min_blob_size=65536",
      `--use_direct_io_for_flush_and_compaction=${variant === "direct"}`,
    ],
  }),
  workers: ({ variant, writers }) => ({
    steps: ["fillrandom"],
    flags: variant === "own family" ? [`--num_column_families=${writers}`] : [],
    notDone: [DRAWN, "its threads draw a family for each key, and do not keep to one"],
  }),
  memory: ({ count }) => ({
    steps: ["filluniquerandom", "waitforcompaction", "readrandom"],
    reads: Math.ceil(count / 10),
    counters: true,
    notDone: ["the program's own size is in the figure, and its list of keys"],
  }),
};

export function planFor(need: Need, run: Case): Plan {
  const plan = plans[need];
  if (plan === undefined) throw new Error(`Cannot do ${need} by db_bench: it has no such step`);
  return plan(run);
}
