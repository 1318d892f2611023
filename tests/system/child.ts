/**
 * Runs the programs of this folder in processes of their own, under a tool that breaks their system calls or takes something
 * away from them, and reads what they say: one JSON object a line.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Ended, runFile } from "../native/child.ts";

export interface Told extends Ended {
  readonly lines: readonly Record<string, unknown>[];
}

export async function run(
  program: string,
  environment: Record<string, string>,
  wrapper: readonly string[] = [],
): Promise<Told> {
  const file = fileURLToPath(new URL(program, import.meta.url));
  const ended = await runFile(file, { environment, wrapper });
  const lines = ended.stdout.split("\n").filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));
  assert.equal(ended.code, 0, `${program} ended with ${ended.signal}: ${ended.stderr}`);
  return { ...ended, lines };
}

/** Why a command cannot be used here; `undefined`: it can. */
export function lackOf(command: string, ...args: string[]): string | undefined {
  const { error, status, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (error !== undefined) return `${command} cannot be run (${error.message})`;
  return status === 0 ? undefined : `${command} fails (${stderr.trim()})`;
}
