/** The system's own count of this process's calls, by `strace -c` attached to it for a while. */
import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";

/** Writes at a place, and syncs: the calls by which a log reaches its file. */
const CALLS = ["pwrite64", "pwritev", "pwritev2", "fdatasync", "fsync"];

export function canTrace(): boolean {
  return spawnSync("strace", ["-o", "/dev/null", "true"]).status === 0;
}

/** The calls that were made while `work` ran, by name. The clock is worthless meanwhile. */
export async function countCalls(
  directory: string,
  work: () => void | Promise<void>,
): Promise<Record<string, number>> {
  const output = `${directory}/strace`;
  const tracing = spawn("strace", [
    "-c",
    "-f",
    "-o",
    output,
    "-e",
    `trace=${CALLS.join()}`,
    "-p",
    String(process.pid),
  ], { stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise<void>((resolve) => tracing.on("close", () => resolve()));
  await new Promise<void>((resolve, reject) => {
    let said = "";
    tracing.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      if (said.includes("attached")) resolve();
    });
    tracing.on("close", (code) => reject(new Error(`strace ended with ${code}: ${said}`)));
  });
  await work();
  tracing.kill("SIGINT"); // it lets go of the process, and writes its table
  await ended;
  return parseTable(readFileSync(output, "utf8"));
}

/** Reads `  52.1    0.001    1    1000     2 pwrite64`, the column of errors being empty as a rule. */
export function parseTable(table: string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const line of table.split("\n")) {
    const [, , , calls, ...rest] = line.trim().split(/\s+/);
    const name = rest.at(-1);
    if (name !== undefined && CALLS.includes(name)) counts[name] = Number(calls);
  }
  return counts;
}
