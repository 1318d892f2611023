/** What tests of the public contract share: errors by code, bytes as text, and a limit on waiting. */
import assert from "node:assert/strict";
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { VarveErrorCode } from "../../mod.ts";
import { runtime } from "../harness.ts";

/** For `assert.throws` and `assert.rejects`. */
export function coded(code: VarveErrorCode): { name: string; code: VarveErrorCode } {
  return { name: "VarveError", code };
}

export function text(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
}

export function bytes(...values: number[]): Uint8Array {
  return new Uint8Array(values);
}

/** The key of number `index`, in the order of numbers. */
export function keyOf(index: number): string {
  return String(index).padStart(8, "0");
}

/** The promise's outcome, or a failure that says what was waited for: a hang must not hang the tests. */
export async function soon<T>(promise: Promise<T>, what: string, milliseconds = 8_000): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`${what} takes longer than ${milliseconds} ms`)),
      milliseconds,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A promise's error code, or `"ok"`. */
export async function outcomeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "ok";
  } catch (error) {
    assert(error instanceof Error && "code" in error, `an error without a code: ${error}`);
    return String(error.code);
  }
}

/** How many of each there are. */
export function tally(values: Iterable<string>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}

/** Every file below a directory with its size and times. */
export function listing(directory: string, stat: (path: string) => unknown): [string, unknown][] {
  return readdirSync(directory).sort().map((name) => [name, stat(`${directory}/${name}`)]);
}

/** Open file descriptors of this process, or `undefined` where the system does not tell. */
export function openDescriptors(): number | undefined {
  return existsSync("/proc/self/fd") ? readdirSync("/proc/self/fd").length : undefined;
}

/** A line of `/proc/self/status` in its unit, `"VmRSS"` or `"Threads"` say. */
export function processStatus(name: string): number | undefined {
  if (!existsSync("/proc/self/status")) return undefined;
  const match = new RegExp(`^${name}:\\s*(\\d+)`, "m")
    .exec(readFileSync("/proc/self/status", "utf8"));
  return match === null ? undefined : Number(match[1]);
}

export type Child = ChildProcessByStdio<Writable, Readable, null>;

/** Runs a module beside the tests in a process of its own, in the runtime that runs the tests. */
export function startChild(module: URL, ...args: string[]): Child {
  const runtimeArguments = runtime === "deno" ? ["run", "-A", "--no-check"] : [];
  return spawn(process.execPath, [...runtimeArguments, fileURLToPath(module), ...args], {
    stdio: ["pipe", "pipe", "inherit"],
  });
}

/** What a child wrote to stdout, line by line. */
export async function* linesOf({ stdout }: Child): AsyncGenerator<string> {
  let rest = "";
  stdout.setEncoding("utf8");
  for await (const chunk of stdout) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== "") yield rest;
}
