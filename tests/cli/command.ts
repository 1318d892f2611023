/** Runs `varve` as a user would: in a process of its own, in the runtime that runs the tests. */
import { Buffer } from "node:buffer";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { runtime } from "../harness.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

/** How a command ended and what it said. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Starts `varve` with `args`. */
export function startVarve(...args: string[]): ChildProcessWithoutNullStreams {
  const runtimeArguments = runtime === "deno" ? ["run", "-A", MAIN] : [MAIN];
  return spawn(process.execPath, [...runtimeArguments, ...args]);
}

/** Runs `varve` with `args` and `stdin` to its end. */
export async function runVarve(
  args: string[],
  stdin: string | Uint8Array = "",
): Promise<Ended> {
  const child = startVarve(...args);
  const ended = once(child, "close");
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  child.stdin.on("error", ignoreClosedPipe);
  child.stdin.end(stdin);
  const [code] = await ended;
  return { code, stdout: await stdout, stderr: (await stderr).toString() };
}

/** Runs `varve`, which is expected to succeed, and returns its stdout as text. */
export async function varve(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runVarve(args);
  if (code !== 0) throw new Error(`varve ${args.join(" ")} ended with ${code}: ${stderr}`);
  return stdout.toString();
}

/** Everything that `stream` says. */
export async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** A command that wants no input may end before it is given any. */
export function ignoreClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE" && error.code !== "ECONNRESET") throw error;
}
