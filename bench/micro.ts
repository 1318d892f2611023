/**
 * Micro-benchmarks: the price of single calls, in either runtime.
 *
 *     bun bench/micro.ts [native memtable codecs]
 *     deno run --allow-all bench/micro.ts [native memtable codecs]
 *
 * They compare alternatives inside this project; figures for the outside come from `run.ts`.
 */
import { run } from "mitata";
import process from "node:process";
import { registerCodecs } from "./micro/codecs.ts";
import { registerMemtable } from "./micro/memtable.ts";
import { registerNative } from "./micro/native.ts";

/** Each entry registers its groups with mitata. */
const groups: Record<string, () => void> = {
  native: registerNative,
  memtable: registerMemtable,
  codecs: registerCodecs,
};

const known = Object.keys(groups);
const wanted = process.argv.length > 2 ? process.argv.slice(2) : known;
const unknown = wanted.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  console.error(`Cannot run group "${unknown.join('", "')}": known are ${known.join(", ")}`);
  process.exit(2);
}
for (const name of wanted) groups[name]();
await run({ throw: true });
