/** One colour for each peer in all charts; a line that stands for another way of the same peer is dashed. */
import type { ResultRow } from "../harness/result.ts";
import { COLOR_COUNT } from "./svg.ts";

const order = [
  "varve",
  "varve-deno",
  "rocksdb",
  "db_bench",
  "lmdb",
  "classic-level",
  "sqlite",
  "fio",
  "plain-loop",
  "rocksdb-blob",
];

export function colorOf({ peer }: ResultRow): number {
  return Math.max(0, order.indexOf(peer)) % COLOR_COUNT;
}

const dashes = [undefined, "6 3", "2 3", "8 3 2 3"];

/** The `index`th line of one colour. */
export function dashOf(index: number): string | undefined {
  return dashes[index % dashes.length];
}
