/**
 * Durations in buckets whose width is a thirty-second of their octave (as HdrHistogram has them), so that every percentile is right to
 * some three per cent. Recording touches memory that was taken once, and allocates nothing. One thread at a time.
 */

/** Ticks of 100 nanoseconds: the finest that clocks of runtimes tell. */
const TICKS_PER_MILLISECOND = 10_000;
/** Durations beyond (215 seconds) share the last bucket; the greatest is known exactly. */
const TICKS_MAX = 2 ** 31 - 1;
const SUB_BITS = 5;
const SUB_COUNT = 1 << SUB_BITS;
const BUCKET_COUNT = (31 - SUB_BITS) * SUB_COUNT + SUB_COUNT;

/** What a histogram says, in microseconds; zeros if nothing was recorded. */
export interface Latency {
  /** Recorded durations. Of frequent operations only some are. */
  readonly samples: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly "p99.9": number;
  readonly max: number;
}

export class Histogram {
  readonly #counts = new Float64Array(BUCKET_COUNT);
  #samples = 0;
  #max = 0;

  /** `count` times a duration. A clock that went backward counts as no time at all. */
  record(milliseconds: number, count = 1): void {
    const ticks = Math.min(Math.max(0, milliseconds) * TICKS_PER_MILLISECOND, TICKS_MAX) | 0;
    this.#counts[bucketOf(ticks)] += count;
    this.#samples += count;
    if (milliseconds > this.#max) this.#max = milliseconds;
  }

  /** The least duration, in milliseconds, that so large a share (0 to 1) of all does not exceed; zero if there are none. */
  quantile(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.#samples));
    let seen = 0;
    for (let bucket = 0; bucket < BUCKET_COUNT; bucket++) {
      seen += this.#counts[bucket];
      if (seen >= rank) return Math.min(this.#max, upperTicks(bucket) / TICKS_PER_MILLISECOND);
    }
    return this.#max;
  }

  summary(): Latency {
    const at = (share: number) => microseconds(this.quantile(share));
    return {
      samples: this.#samples,
      p50: at(0.5),
      p90: at(0.9),
      p99: at(0.99),
      "p99.9": at(0.999),
      max: microseconds(this.#max),
    };
  }
}

/** Below two octaves' worth a bucket is one tick. */
function bucketOf(ticks: number): number {
  if (ticks < SUB_COUNT) return ticks;
  const shift = 31 - SUB_BITS - Math.clz32(ticks);
  return shift * SUB_COUNT + (ticks >>> shift);
}

/** The greatest duration that goes to a bucket. */
function upperTicks(bucket: number): number {
  if (bucket < 2 * SUB_COUNT) return bucket;
  const shift = Math.floor(bucket / SUB_COUNT) - 1;
  return (bucket - shift * SUB_COUNT + 1) * 2 ** shift - 1;
}

/** To a tenth: finer than any clock here. */
function microseconds(milliseconds: number): number {
  return Math.round(milliseconds * TICKS_PER_MILLISECOND) / 10;
}
