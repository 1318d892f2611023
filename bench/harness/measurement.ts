/** What one run of one part of a case says, in a form that survives JSON between child and parent. */

/** Microseconds. */
export interface Latencies {
  p50: number;
  p99: number;
  p999: number;
  max: number;
}

/** Operations done in each interval, from the start of the clock. */
export interface Series {
  intervalSeconds: number;
  operations: number[];
}

export interface Measurement {
  operations: number;
  seconds: number;
  /** The bytes of keys and values that passed, where a rate in MB/s means something. */
  bytes?: number;
  latencies?: Latencies;
  /** Counted over the clocked part, by the store or by the system, or derived from such counts. */
  counters?: Record<string, number>;
  series?: Series;
  verification: string;
  warmUp: string;
  /** What a reader might expect of this row and does not get. */
  notDone: readonly string[];
}

/** Collects durations, and keeps room for all of them so that recording never allocates. */
export class LatencyRecorder {
  readonly #microseconds: Float64Array;
  #count = 0;

  constructor(capacity: number) {
    this.#microseconds = new Float64Array(capacity);
  }

  /** `start` as `performance.now()` gave it. Samples beyond the capacity are dropped. */
  record(start: number): void {
    this.#microseconds[this.#count++] = (performance.now() - start) * 1000;
  }

  summary(): Latencies | undefined {
    const samples = this.#microseconds.subarray(0, this.#count).sort();
    if (samples.length === 0) return undefined;
    const at = (fraction: number) =>
      samples[Math.min(samples.length - 1, Math.floor(fraction * samples.length))];
    return { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: samples[samples.length - 1] };
  }
}

/** Seconds that `work` takes. */
export async function clock(work: () => void | Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}
