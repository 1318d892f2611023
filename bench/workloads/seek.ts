/** W10: short scans: the first entry from a random key on, and the fifty after it. */
import { ComputedDataSet, type DataSet } from "../harness/data_set.ts";
import { clock, type Measurement } from "../harness/measurement.ts";
import type { Case } from "../harness/case.ts";
import { timesRocksDb } from "../harness/target.ts";
import { required, type Store } from "../peers/peer.ts";
import { largeStore, withLargeStore } from "../work/large_store.ts";
import type { Stage, Workload } from "./workload.ts";

const ENTRIES = 51;
const LARGE = "10 million";
const SMALL = "1 million";

/** The entries of the store that a case's seeks go to. */
export function entriesOf({ variant, count }: Pick<Case, "variant" | "count">): number {
  return variant === SMALL ? Math.ceil(count / 10) : count;
}

async function measure(stage: Stage): Promise<Measurement[]> {
  const { run } = stage;
  const data = new ComputedDataSet({ ...run, count: entriesOf(run) });
  return await withLargeStore({ ...stage, data }, async (store) => {
    const count = Math.ceil(data.count / 100);
    seekAll(store, data, data.randomIndexes(count, run.seed + 2));
    const indexes = data.randomIndexes(count, run.seed + 1);
    let seen = 0;
    const seconds = await clock(() => {
      seen = seekAll(store, data, indexes);
    });
    // Only seeks near the end of the keys see fewer than all.
    const wanted = indexes.length * ENTRIES;
    if (seen < wanted * 0.9) throw new Error(`Seeks saw ${seen} entries of ${wanted}`);
    return [{
      operations: indexes.length,
      seconds,
      counters: { entriesPerSeek: seen / indexes.length },
      verification: checkOrder(store, data, indexes),
      warmUp: "as many seeks to other keys",
      notDone: ["bytes of an entry past the first of its value were not looked at"],
    }];
  });
}

function seekAll(store: Store, data: DataSet, indexes: Uint32Array): number {
  const scanFrom = required(store, "scanFrom");
  let seen = 0;
  let sum = 0;
  for (const index of indexes) {
    scanFrom(data.key(index), ENTRIES, (_, value) => {
      seen++;
      sum += value[0];
    });
  }
  if (sum < 0) throw new Error("A byte was below zero"); // keeps the sum from being dropped
  return seen;
}

/** The first of each scan is the key that was sought, and keys ascend. */
function checkOrder(store: Store, data: DataSet, indexes: Uint32Array): string {
  const checked = indexes.subarray(0, 1000);
  for (const index of checked) {
    const keys: string[] = [];
    const hex = (bytes: Uint8Array) =>
      Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    store.scanFrom!(data.key(index), ENTRIES, (key) => keys.push(hex(key)));
    const isSorted = keys.every((key, at) => at === 0 || keys[at - 1] < key);
    if (keys[0] !== hex(data.key(index)) || !isSorted) {
      throw new Error(`The scan from entry ${index} is not in order`);
    }
  }
  return `first key and order of ${checked.length} scans, after the clock`;
}

export const seek: Workload = {
  ...largeStore,
  id: "W10",
  title: "seek + 50 next, random keys, after W3 and after 1 million",
  need: "seek",
  sizes: { smoke: 20_000, full: 10_000_000 },
  variants: [LARGE, SMALL],
  targets: [
    timesRocksDb(2, { variant: LARGE }),
    timesRocksDb(1.2, { variant: SMALL }),
  ],
  measure,
};
