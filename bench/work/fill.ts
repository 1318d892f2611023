/** Hands a data set's entries to a store in one of the ways that it has. */
import type { DataSet } from "../harness/data_set.ts";
import type { LatencyRecorder } from "../harness/measurement.ts";
import type { SeriesRecorder } from "../harness/meters.ts";
import { type PutOperation, required, type Store, type Way } from "../peers/peer.ts";
import { peerNamed } from "../peers/registry.ts";
import type { Case } from "../harness/case.ts";

const BATCH_COUNT = 1000;
/** One put in so many is timed: reading the clock costs a tenth of a small put. */
export const SAMPLED_EVERY = 16;

/** Resolved when all are accepted. */
export async function fill(store: Store, data: DataSet, way: Way): Promise<void> {
  if (way === "putSync") return fillBySync(store, data);
  if (way === "put") return await fillByPromise(store, data);
  if (way === "batch of 1,000") return await fillByBatch(store, data);
  throw new Error(`Cannot fill by "${way}": it is no way of writing`);
}

/** The peer's best way to take data, for workloads that need it but do not time its arrival. */
export function fillUntimed(store: Store, data: DataSet, run: Case): Promise<void> {
  const ways = peerNamed(run.peer).capabilities.bufferedFill;
  if (!Array.isArray(ways)) throw new Error(`Cannot fill ${run.peer}: ${ways ?? "it has no way"}`);
  return fill(store, data, ways[0]);
}

export interface Meters {
  recorder: LatencyRecorder;
  series: SeriesRecorder;
}

/** As `fill`, with a sample of the latencies and the throughput over time. */
export function fillMetered(
  store: Store,
  data: DataSet,
  way: Way,
  meters: Meters,
): void | Promise<void> {
  meters.series.begin();
  return way === "putSync"
    ? fillBySyncMetered(store, data, meters)
    : fillByPromiseMetered(store, data, meters);
}

function fillBySync(store: Store, data: DataSet): void {
  required(store, "putSync");
  for (let index = 0; index < data.count; index++) {
    store.putSync!(data.key(index), data.value(index));
  }
}

function fillBySyncMetered(store: Store, data: DataSet, { recorder, series }: Meters): void {
  required(store, "putSync");
  for (let index = 0; index < data.count;) {
    const start = performance.now();
    store.putSync!(data.key(index), data.value(index));
    recorder.record(start);
    series.record(index, start);
    const end = Math.min(data.count, index + SAMPLED_EVERY);
    for (index++; index < end; index++) store.putSync!(data.key(index), data.value(index));
  }
  series.record(data.count, performance.now());
}

async function fillByPromise(store: Store, data: DataSet): Promise<void> {
  required(store, "put");
  const window = store.putWindow ?? BATCH_COUNT;
  // Puts commit in call order, so the newest promise stands for all before it; an older one that
  // rejects alone is an unhandled rejection and ends the child.
  let newest: Promise<unknown> | undefined;
  for (let index = 0; index < data.count; index++) {
    newest = store.put!(data.key(index), data.value(index));
    if ((index + 1) % window === 0) await newest;
  }
  await newest;
}

/** The latency of the last put of each window: it is acknowledged with all before it. */
async function fillByPromiseMetered(
  store: Store,
  data: DataSet,
  { recorder, series }: Meters,
): Promise<void> {
  required(store, "put");
  const window = store.putWindow ?? BATCH_COUNT;
  for (let index = 0; index < data.count;) {
    const end = Math.min(data.count, index + window);
    for (; index < end - 1; index++) void store.put!(data.key(index), data.value(index));
    const start = performance.now();
    await store.put!(data.key(index), data.value(index));
    recorder.record(start);
    series.record(++index, performance.now());
  }
}

async function fillByBatch(store: Store, data: DataSet): Promise<void> {
  required(store, "putBatch");
  for (let start = 0; start < data.count; start += BATCH_COUNT) {
    const entries: PutOperation[] = [];
    const end = Math.min(start + BATCH_COUNT, data.count);
    for (let index = start; index < end; index++) {
      entries.push({ type: "put", key: data.key(index), value: data.value(index) });
    }
    await store.putBatch!(entries);
  }
}
