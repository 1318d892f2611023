/** W9: every entry in order, as JavaScript sees it. */
import type { DataSet } from "../harness/data_set.ts";
import { KEY_BYTES } from "../harness/data_set.ts";
import { clock } from "../harness/measurement.ts";
import { timesRocksDb } from "../harness/target.ts";
import type { ScanTotals, Store, Way } from "../peers/peer.ts";
import { fillUntimed } from "../work/fill.ts";
import { DEFAULT_MEMTABLE_BYTES, GiB, withStore, type Workload } from "./workload.ts";

async function scan(store: Store, way: Way): Promise<ScanTotals> {
  if (way === "pages" && store.scanPages) return store.scanPages();
  const totals = { entries: 0, bytes: 0, firstBytes: 0 };
  await store.scan((key, value) => {
    totals.entries++;
    totals.bytes += key.length + value.length;
    totals.firstBytes += value[0];
  });
  return totals;
}

function sumOfFirstBytes(data: DataSet): number {
  let sum = 0;
  for (let index = 0; index < data.count; index++) sum += data.value(index)[0];
  return sum;
}

function assertTotals(totals: ScanTotals, data: DataSet): void {
  const expected: ScanTotals = {
    entries: data.count,
    bytes: data.count * (KEY_BYTES + data.valueBytes),
    firstBytes: sumOfFirstBytes(data),
  };
  for (const name of ["entries", "bytes", "firstBytes"] as const) {
    if (totals[name] !== expected[name]) {
      throw new Error(`The scan saw ${name} ${totals[name]}, expected ${expected[name]}`);
    }
  }
}

export const fullScan: Workload = {
  id: "W9",
  title: "full scan, 16 B + 100 B, settled and cached, entries seen in JavaScript",
  need: "scan",
  durability: "buffered",
  sizes: { smoke: 5_000, full: 1_000_000 },
  valueBytes: 100,
  writers: [1],
  memory: { memtableBytes: DEFAULT_MEMTABLE_BYTES, cacheBytes: GiB },
  targets: [
    {
      text: "at least 5 million entries a second, seen in JavaScript",
      of: { way: "entries" },
      least: 5e6,
    },
    {
      text: "ahead of LMDB, by entries",
      of: { way: "entries" },
      against: { roles: ["peer"], peer: "lmdb" },
      least: 1,
    },
    timesRocksDb(1, { way: "pages" }, "pages ahead of RocksDB's C++"),
  ],
  measure: (stage) =>
    withStore(stage, async (store) => {
      const { data, run } = stage;
      await fillUntimed(store, data, run);
      await store.settle();
      assertTotals(await scan(store, run.way), data);
      let totals: ScanTotals | undefined;
      const seconds = await clock(async () => {
        totals = await scan(store, run.way);
      });
      assertTotals(totals!, data);
      return [{
        operations: data.count,
        seconds,
        bytes: totals!.bytes,
        verification: "count, bytes, and the sum of each value's first byte; not the order of keys",
        warmUp: "one whole scan",
        notDone: ["bytes of an entry past the first of its value were not looked at"],
      }];
    }),
};
