/** The same seed is the same history, byte for byte, twice and in both runtimes. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { runtime, test } from "../harness.ts";
import { run } from "./determinism_child.ts";
import { seed } from "./support.ts";

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

/** What the other runtime's disk did. */
function elsewhere(seedOfDisk: number): string {
  const child = path("determinism_child.ts");
  const [program, args] = runtime === "bun"
    ? ["deno", ["run", "--allow-all", "--no-check", child]]
    : ["bun", [child]];
  const binary = path(`../../node_modules/.bin/${program}`);
  return execFileSync(binary, [...args, String(seedOfDisk)], { encoding: "utf8" });
}

test(`the same seed gives the same operations twice, and in both runtimes (VARVE_SEED=${seed})`, async () => {
  const first = await run(seed);
  assert.ok(first.split("\n").length > 100);
  assert.equal(await run(seed), first);
  assert.equal(elsewhere(seed), first);
  assert.notEqual(await run(seed + 1), first);
});
