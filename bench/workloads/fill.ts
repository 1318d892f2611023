/** W1 and W2: entries in random order, one put a call, as fast as one thread can hand them over. */
import type { Case } from "../harness/case.ts";
import type { DataSet } from "../harness/data_set.ts";
import { clock } from "../harness/measurement.ts";
import type { PutOperation, Store, Way } from "../peers/peer.ts";
import { peerNamed } from "../peers/registry.ts";
import { DEFAULT_MEMTABLE_BYTES, MiB, type Workload } from "./workload.ts";

const BATCH_COUNT = 1000;

/** Hands every entry of `data` to the store in the given way; resolved when all are accepted. */
export async function fill(store: Store, data: DataSet, way: Way): Promise<void> {
  if (way === "putSync" && store.putSync) return fillBySync(store, data);
  if (way === "put" && store.put) return await fillByPromise(store, data);
  if (way === "batch of 1,000" && store.putBatch) return await fillByBatch(store, data);
  throw new Error(`Cannot fill by "${way}": the driver has no such call`);
}

/** The peer's best way to take data, for workloads that need it but do not time its arrival. */
export function fillUntimed(store: Store, data: DataSet, run: Case): Promise<void> {
  const ways = peerNamed(run.peer).capabilities.bufferedFill;
  if (!Array.isArray(ways)) throw new Error(`Cannot fill ${run.peer}: ${ways ?? "it has no way"}`);
  return fill(store, data, ways[0]);
}

function fillBySync(store: Store, data: DataSet): void {
  const { keys } = data;
  for (let index = 0; index < keys.length; index++) {
    store.putSync!(keys[index], data.value(index));
  }
}

async function fillByPromise(store: Store, data: DataSet): Promise<void> {
  const { keys } = data;
  const window = store.putWindow ?? BATCH_COUNT;
  // Puts commit in call order, so the newest promise stands for all before it; an older one that
  // rejects alone is an unhandled rejection and ends the child.
  let newest: Promise<unknown> | undefined;
  for (let index = 0; index < keys.length; index++) {
    newest = store.put!(keys[index], data.value(index));
    if ((index + 1) % window === 0) await newest;
  }
  await newest;
}

async function fillByBatch(store: Store, data: DataSet): Promise<void> {
  const { keys } = data;
  for (let start = 0; start < keys.length; start += BATCH_COUNT) {
    const entries: PutOperation[] = [];
    const end = Math.min(start + BATCH_COUNT, keys.length);
    for (let index = start; index < end; index++) {
      entries.push({ type: "put", key: keys[index], value: data.value(index) });
    }
    await store.putBatch!(entries);
  }
}

const randomFill: Omit<Workload, "id" | "title" | "need" | "durability"> = {
  counts: { smoke: 5_000, medium: 200_000, full: 1_000_000 },
  valueBytes: 100,
  writers: [1],
  memory: { memtableBytes: DEFAULT_MEMTABLE_BYTES, cacheBytes: 64 * MiB },
  async measure(store, data, run) {
    const seconds = await clock(() => fill(store, data, run.way));
    return {
      operations: data.count,
      seconds,
      verification: data.verify((key) => store.getSync(key)),
      warmUp: "none: the JIT starts cold",
      notDone: [
        "flush and compaction that remain when the last put returns",
        "latency of single puts (reading the clock would cost a tenth of a put)",
      ],
    };
  },
};

export const fillBuffered: Workload = {
  ...randomFill,
  id: "W1",
  title: "fill, random, 16 B + 100 B, buffered, one thread, one put a call",
  need: "bufferedFill",
  durability: "buffered",
};

export const fillVolatile: Workload = {
  ...randomFill,
  id: "W2",
  title: "fill, random, 16 B + 100 B, volatile (no log), one thread, one put a call",
  need: "volatileFill",
  durability: "volatile",
};
