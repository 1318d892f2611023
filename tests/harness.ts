/**
 * The one seam between our tests and the two test runners: a file that imports `test` from here runs
 * unchanged under `deno test` and under `bun test`. Assertions come from `node:assert/strict`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

type TestBody = () => void | Promise<void>;

export const runtime: "deno" | "bun" = "Deno" in globalThis ? "deno" : "bun";

/** Generous, because two cores are shared with whatever else the machine is doing. Long tasks set another one. */
const TEST_TIMEOUT_MS = Number(process.env.VARVE_TEST_TIMEOUT_MS ?? 120_000);

const register: (name: string, body: TestBody, ignore: boolean) => void = await (async () => {
  if (runtime === "deno") {
    // deno-lint-ignore no-explicit-any
    const deno = (globalThis as any).Deno;
    // The library stays loaded for the life of the process: that is its design, not a leak.
    return (name: string, fn: TestBody, ignore: boolean) =>
      deno.test({ name, fn, ignore, sanitizeResources: false, sanitizeOps: false });
  }
  const runner = "bun:test";
  const { test } = await import(runner);
  return (name: string, body: TestBody, ignore: boolean) =>
    (ignore ? test.skip : test)(name, body, TEST_TIMEOUT_MS);
})();

/**
 * Registers one test with whichever runner loaded the file. `missing`: what this machine lacks to run it; then it counts as
 * skipped, and a line says why.
 */
export function test(name: string, body: TestBody, missing?: string): void {
  if (missing !== undefined) console.log(`skipped: ${name}: ${missing}`);
  register(name, body, missing !== undefined);
}

const directories: string[] = [];
process.on("exit", () => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

/** An empty directory that is removed when the process ends. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "varve-test-"));
  directories.push(directory);
  return directory;
}
