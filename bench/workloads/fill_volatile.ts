/** W2: the same without a log. */
import { timesRocksDb } from "../harness/target.ts";
import { randomPuts } from "../work/puts.ts";
import type { Workload } from "./workload.ts";

export const fillVolatile: Workload = {
  ...randomPuts,
  id: "W2",
  title: "fill, random, 16 B + 100 B, volatile (no log), one thread, one put a call",
  need: "volatileFill",
  durability: "volatile",
  targets: [timesRocksDb(4, { way: "putSync" }), timesRocksDb(4, { way: "put" })],
};
