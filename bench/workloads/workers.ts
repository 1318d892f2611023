/** W13: Workers that fill at once: a family each, one family together, or a store each. */
import type { Measurement } from "../harness/measurement.ts";
import { timesRocksDb } from "../harness/target.ts";
import type { Answer, Step } from "../work/filler_worker.ts";
import { DEFAULT_MEMTABLE_BYTES, MiB, type Stage, type Workload } from "./workload.ts";

const OWN_FAMILY = "own family";
const ONE_FAMILY = "one family";
const OWN_STORE = "a store each";

/** The main thread only keeps the time: had it the store open, it would be one more that takes part. */
async function measure(stage: Stage): Promise<Measurement[]> {
  return [await fillByWorkers(stage)];
}

async function fillByWorkers(stage: Stage): Promise<Measurement> {
  const { run: { writers, count, variant } } = stage;
  const crew = Array.from({ length: writers }, () => new Hand());
  try {
    await Promise.all(crew.map((hand, index) => hand.take(openStep(stage, index))));
    const start = performance.now();
    await Promise.all(crew.map((hand) => hand.take({ step: "fill" })));
    const seconds = (performance.now() - start) / 1000;
    const said = await Promise.all(crew.map((hand) => hand.take({ step: "verify" })));
    await Promise.all(crew.map((hand) => hand.take({ step: "close" })));
    return {
      operations: Math.floor(count / writers) * writers,
      seconds,
      verification: `by each Worker: ${said[0]}`,
      warmUp: "none: each Worker's JIT starts cold",
      notDone: [
        "flush and compaction that remain when the last put returns",
        ...(variant === OWN_STORE ? ["the stores together have more memory than one store"] : []),
      ],
    };
  } finally {
    for (const hand of crew) hand.end();
  }
}

function openStep({ options, run }: Stage, index: number): Step {
  const { directory } = options;
  return {
    step: "open",
    share: {
      options: {
        ...options,
        directory: run.variant === OWN_STORE ? `${directory}/store-${index}` : directory,
        ...(run.variant === OWN_FAMILY && { family: `worker-${index}` }),
      },
      way: run.way,
      count: Math.floor(run.count / run.writers),
      valueBytes: run.valueBytes,
      seed: run.seed + index, // other keys for each
    },
  };
}

/** One Worker, and the promise of its next answer. */
class Hand {
  readonly #worker = new Worker(new URL("../work/filler_worker.ts", import.meta.url), {
    type: "module",
  });

  take(step: Step): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#worker.onerror = (event) => reject(new Error(event.message));
      this.#worker.onmessage = ({ data }: { data: Answer }) => {
        if ("said" in data) resolve(data.said);
        else reject(Object.assign(new Error(data.message), { code: data.code }));
      };
      this.#worker.postMessage(step);
    });
  }

  end(): void {
    this.#worker.terminate();
  }
}

const itself = { roles: ["subject"] } as const;

export const workers: Workload = {
  id: "W13",
  title: "1, 2, 4, 8 Workers fill at once (W1's entries each)",
  need: "workers",
  durability: "buffered",
  sizes: { smoke: 1_000, full: 1_000_000 },
  sizesArePerWriter: true,
  valueBytes: 100,
  writers: [1, 2, 4, 8],
  variants: [OWN_FAMILY, ONE_FAMILY, OWN_STORE],
  memory: { memtableBytes: DEFAULT_MEMTABLE_BYTES, cacheBytes: 64 * MiB },
  excludes: ({ name }, variant) =>
    name === "db_bench" && variant === OWN_STORE ? "its threads share one database" : undefined,
  targets: [
    timesRocksDb(3, { variant: OWN_FAMILY }),
    timesRocksDb(3, { variant: ONE_FAMILY, writers: 8 }, "8 in one family at least 3 × RocksDB"),
    ...[4, 8].map((writers) => ({
      text: `${writers} Workers at most 10 % below 2`,
      of: { variant: OWN_FAMILY, writers },
      against: { ...itself, writers: 2 },
      least: 0.9,
    })),
    {
      text: "one store with a family each is not slower than a store each",
      of: { variant: OWN_FAMILY },
      against: { ...itself, variant: OWN_STORE },
      least: 1,
    },
  ],
  measure,
};
