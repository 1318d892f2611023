/** Runs a case in a fresh process and a fresh directory, and takes both away again. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { type Case, type Outcome, OUTCOME_PREFIX, type PlannedCase } from "./case.ts";
import { peerNamed } from "../peers/registry.ts";
import { workloadNamed } from "../workloads/registry.ts";

/** The largest full sizes take most of an hour on a slow disk. */
const TIMEOUT_MS = 2 * 60 * 60_000;

const root = resolve(fileURLToPath(import.meta.url), "../../..");
const child = join(root, "bench/child.ts");

/** How to start each runtime; Bun is the one that runs this, Deno is the one from npm. */
const commands = {
  bun: [process.execPath, child],
  deno: [join(root, "node_modules/.bin/deno"), "run", "--allow-all", "--no-check", child],
} as const;

/** `parent` is on the file system to be measured. */
export async function runIsolated(run: PlannedCase, parent: string): Promise<Outcome> {
  const directory = mkdtempSync(join(parent, "varve-bench-"));
  try {
    if (workloadNamed(run.workload).prepare) {
      const prepared = await runPhase({ ...run, directory, phase: "prepare" });
      if (prepared.status !== "prepared") return prepared;
    }
    return await runPhase({ ...run, directory, phase: "measure" });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function runPhase(run: Case): Promise<Outcome> {
  const [program, ...args] = commands[peerNamed(run.peer).runtime];
  return runProcess(program, [...args, JSON.stringify(run)]);
}

function runProcess(program: string, args: string[]): Promise<Outcome> {
  return new Promise((settle) => {
    const running = spawn(program, args, {
      timeout: TIMEOUT_MS,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    let errors = "";
    running.stdout.setEncoding("utf8").on("data", (text: string) => output += text);
    running.stderr.setEncoding("utf8").on("data", (text: string) => errors += text);
    running.on("error", (error) => settle({ status: "unavailable", why: error.message }));
    running.on("close", (code, signal) => {
      const line = output.split("\n").find((text) => text.startsWith(OUTCOME_PREFIX));
      if (line) return settle(JSON.parse(line.slice(OUTCOME_PREFIX.length)));
      const end = errors.trim().slice(-300);
      settle({ status: "failed", why: `the process ended with ${signal ?? code}: ${end}` });
    });
  });
}
