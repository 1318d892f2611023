/** Reads what db_bench prints. */
import type { Latencies, Series } from "../../harness/measurement.ts";

export interface StepTime {
  operations: number;
  seconds: number;
}

/** Reads `fillrandom : 2.6 micros/op 382000 ops/sec 2.616 seconds 1000000 operations; …`, the last of its name. */
export function timeOf(output: string, step: string): StepTime {
  const pattern = new RegExp(
    `^${step}\\s*:.* (\\d+) ops/sec ([\\d.]+) seconds (\\d+) operations`,
    "gm",
  );
  const last = [...output.matchAll(pattern)].at(-1);
  if (!last) throw new Error(`Cannot read db_bench's report: no line for "${step}"`);
  const operations = Number(last[3]);
  const rate = Number(last[1]);
  // The rate has more digits than the seconds have, unless the step is one long operation.
  return { operations, seconds: rate > 100 ? operations / rate : Number(last[2]) };
}

/**
 * From the end of the open to the end of the last flush or compaction, by the times in RocksDB's own log: what `flush` and
 * `waitforcompaction` do is not timed by db_bench, and the latter sleeps for five seconds first.
 */
export function quietSeconds(log: string): number {
  const opened = timesOf(log, /DB pointer/)[0];
  if (opened === undefined) throw new Error("Cannot read RocksDB's log: it never was opened");
  return Math.max(0, ...timesOf(log, /_finished/).map((time) => time - opened));
}

/** Reads the `2026/11/21-15:12:47.816682` that lines begin with, in seconds. */
function timesOf(log: string, what: RegExp): number[] {
  return log.split("\n").filter((line) => what.test(line)).map((line) => {
    const [, date, time, fraction] = /^(\S+)-(\d+:\d+:\d+)(\.\d+)/.exec(line) ?? [];
    return Date.parse(`${date.replaceAll("/", "-")}T${time}Z`) / 1000 + Number(fraction);
  });
}

export function latenciesOf(output: string): Latencies | undefined {
  const percentiles = output.match(/P50: ([\d.]+).*P99: ([\d.]+) P99\.9: ([\d.]+)/);
  const max = output.match(/Max: (\d+)/);
  if (!percentiles || !max) return undefined;
  const [p50, p99, p999] = percentiles.slice(1).map(Number);
  return { p50, p99, p999, max: Number(max[1]) };
}

/** Reads `secs_elapsed,interval_qps` and the lines below it. */
export function seriesOf(csv: string, intervalSeconds: number): Series {
  const rows = csv.trim().split("\n").slice(1);
  return { intervalSeconds, operations: rows.map((row) => Number(row.split(",")[1])) };
}

/** What a step of reads says that it found, as `1000 of 1000`. */
export function foundKeys(output: string): string {
  return [...output.matchAll(/\((\d+ of \d+) found\)/g)].map((match) => match[1]).join(", then ");
}
