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

interface Runner {
  register(name: string, body: TestBody, ignore: boolean): void;
  /** Behind the last test of the file that is being loaded. */
  afterAll(body: () => void): void;
}

const runner: Runner = await (async () => {
  if (runtime === "deno") {
    // deno-lint-ignore no-explicit-any
    const deno = (globalThis as any).Deno;
    return {
      // The library stays loaded for the life of the process: that is its design, not a leak.
      register: (name: string, fn: TestBody, ignore: boolean) =>
        deno.test({ name, fn, ignore, sanitizeResources: false, sanitizeOps: false }),
      afterAll: (body: () => void) => deno.test.afterAll(body),
    };
  }
  const bun = "bun:test";
  const { test, afterAll } = await import(bun);
  return {
    register: (name: string, body: TestBody, ignore: boolean) =>
      (ignore ? test.skip : test)(name, body, TEST_TIMEOUT_MS),
    afterAll,
  };
})();

/**
 * Registers one test with whichever runner loaded the file. `missing`: what this machine lacks to run it; then it counts as
 * skipped, and a line says why.
 */
export function test(name: string, body: TestBody, missing?: string): void {
  if (missing !== undefined) console.log(`skipped: ${name}: ${missing}`);
  if (!isCleaned) runner.afterAll(removeDirectories);
  isCleaned = true;
  runner.register(name, body, missing !== undefined);
}

const directories: string[] = [];
/** Whether the file that is being loaded takes its directories away. Bun loads this module once for all of them. */
let isCleaned = false;

function removeDirectories(): void {
  isCleaned = false;
  // A thread of a store that a test left open may still write.
  for (const directory of directories.splice(0)) {
    rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }
}

// Programs that are no tests. Test runners end without it.
process.on("exit", removeDirectories);

/** An empty directory that is removed behind the last test of the file, or when the program ends. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "varve-test-"));
  directories.push(directory);
  return directory;
}
