/**
 * Many asynchronous jobs at once, but never too many: bounds their number and the memory that they
 * hold, and makes whoever produces them wait.
 */

/** The bounds. */
export interface Bounds<T> {
  /** The most jobs at once. */
  readonly jobsMax: number;
  /** The most weight at once. One job heavier than this runs alone. Default: no bound. */
  readonly weightMax?: number;
  /** The weight of an item, in bytes as a rule. Default: 0. */
  readonly weigh?: (item: T) => number;
}

/**
 * Runs `job` for each item. Jobs start in the items' order, and the part of a job before its first
 * `await` runs before the next item is asked for. The first failure stops the production; it is
 * thrown when all jobs that had begun have ended.
 */
export async function forEachInFlight<T>(
  items: AsyncIterable<T> | Iterable<T>,
  bounds: Bounds<T>,
  job: (item: T) => Promise<void>,
): Promise<void> {
  const inFlight = new InFlight(bounds.jobsMax, bounds.weightMax ?? Infinity);
  try {
    for await (const item of items) {
      await inFlight.add(bounds.weigh?.(item) ?? 0, () => job(item));
      if (inFlight.failed) break;
    }
  } finally {
    await inFlight.drain();
  }
}

/** The jobs that run now. Only one caller adds. */
class InFlight {
  readonly #jobsMax: number;
  readonly #weightMax: number;
  #jobs = 0;
  #weight = 0;
  #failure: { error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(jobsMax: number, weightMax: number) {
    this.#jobsMax = jobsMax;
    this.#weightMax = weightMax;
  }

  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** Starts `job` as soon as there is room. */
  async add(weight: number, job: () => Promise<void>): Promise<void> {
    while (!this.#hasRoom(weight)) await this.#oneEnds();
    if (this.failed) return;
    this.#jobs++;
    this.#weight += weight;
    void this.#run(weight, job);
  }

  /** Resolves when no job runs; throws the first failure. */
  async drain(): Promise<void> {
    while (this.#jobs > 0) await this.#oneEnds();
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #hasRoom(weight: number): boolean {
    if (this.#jobs === 0) return true;
    return this.#jobs < this.#jobsMax && this.#weight + weight <= this.#weightMax;
  }

  #oneEnds(): Promise<void> {
    return new Promise((resolve) => this.#wake = resolve);
  }

  async #run(weight: number, job: () => Promise<void>): Promise<void> {
    try {
      await job();
    } catch (error) {
      this.#failure ??= { error };
    } finally {
      this.#jobs--;
      this.#weight -= weight;
      this.#wake?.();
    }
  }
}
