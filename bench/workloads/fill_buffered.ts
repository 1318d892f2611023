/** W1: what the operating system is handed, a process crash does not lose. */
import { aheadOfAll, timesRocksDb } from "../harness/target.ts";
import { randomPuts } from "../work/puts.ts";
import type { Workload } from "./workload.ts";

export const fillBuffered: Workload = {
  ...randomPuts,
  id: "W1",
  title: "fill, random, 16 B + 100 B, buffered, one thread, one put a call",
  need: "bufferedFill",
  durability: "buffered",
  targets: [
    timesRocksDb(3, { way: "putSync" }),
    timesRocksDb(3.5, { way: "put" }),
    aheadOfAll({ way: "putSync" }),
  ],
};
