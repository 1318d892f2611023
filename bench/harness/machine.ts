/** What a figure depends on besides the code: the machine, the file system, the versions. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { arch, cpus, loadavg, platform, release, totalmem } from "node:os";
import { resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = resolve(fileURLToPath(import.meta.url), "../../..");

/** The version of an installed npm package, which its `exports` may not let a module import. */
export function packageVersion(name: string): string {
  return JSON.parse(readFileSync(`${root}/node_modules/${name}/package.json`, "utf8")).version;
}

export interface Machine {
  system: string;
  processor: string;
  processorCount: number;
  memoryGiB: number;
  fileSystem: string;
  bun: string | undefined;
  deno: string;
  commit: string;
  /** Over the last minute, before the first run: other work on the machine spoils a figure. */
  loadAverage: number;
}

export function describeMachine(directory: string): Machine {
  const processors = cpus();
  return {
    system: `${platform()} ${release()} ${arch()}`,
    processor: processors[0]?.model ?? "unknown",
    processorCount: processors.length,
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    fileSystem: firstLine("stat", ["-f", "-c", "%T", directory]),
    bun: process.versions.bun,
    deno: packageVersion("deno"),
    commit: firstLine("git", ["-C", root, "rev-parse", "--short", "HEAD"]),
    loadAverage: loadavg()[0],
  };
}

function firstLine(program: string, args: readonly string[]): string {
  const { status, stdout } = spawnSync(program, args, { encoding: "utf8" });
  return status === 0 ? stdout.split("\n")[0] : "unknown";
}
