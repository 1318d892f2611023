/** What a figure depends on besides the code: the machine, the file system, the versions. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { arch, cpus, platform, release, totalmem } from "node:os";
import { resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { type DeviceRates, deviceRates } from "./device.ts";

const root = resolve(fileURLToPath(import.meta.url), "../../..");

/** The version of an installed npm package, which its `exports` may not let a module import. */
export function packageVersion(name: string): string {
  return JSON.parse(readFileSync(`${root}/node_modules/${name}/package.json`, "utf8")).version;
}

export interface Machine {
  /** What the bare device does, measured before the stores in the same run. */
  device: DeviceRates;
  system: string;
  processor: string;
  processorCount: number;
  memoryGiB: number;
  fileSystem: string;
  bun: string | undefined;
  deno: string;
  commit: string;
}

export function describeMachine(directory: string, smoke: boolean): Machine {
  const processors = cpus();
  return {
    device: deviceRates(directory, smoke),
    system: `${platform()} ${release()} ${arch()}`,
    processor: processors[0]?.model ?? "unknown",
    processorCount: processors.length,
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    fileSystem: firstLine("stat", ["-f", "-c", "%T", directory]),
    bun: process.versions.bun,
    deno: packageVersion("deno"),
    commit: firstLine("git", ["-C", root, "describe", "--always", "--dirty"]),
  };
}

function firstLine(program: string, args: readonly string[]): string {
  const { status, stdout } = spawnSync(program, args, { encoding: "utf8" });
  return status === 0 ? stdout.split("\n")[0] : "unknown";
}
