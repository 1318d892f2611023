/** Runs another program to its end. */
import { spawnSync } from "node:child_process";
import { PeerUnavailable } from "./peer.ts";

const TIMEOUT_MS = 10 * 60_000;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Returns what the program printed, errors included.
 * @throws {PeerUnavailable} with `hint` when the program is not installed
 * @throws {Error} with the end of its output when it fails
 */
export function runProgram(program: string, args: readonly string[], hint = ""): string {
  const options = { encoding: "utf8", timeout: TIMEOUT_MS, maxBuffer: OUTPUT_BYTES_MAX } as const;
  const { error, status, stdout, stderr } = spawnSync(program, args, options);
  if ((error as NodeJS.ErrnoException | undefined)?.code === "ENOENT") {
    throw new PeerUnavailable(`${program} is not installed: ${hint}`);
  }
  if (error) throw error;
  const output = stdout + stderr;
  if (status !== 0) {
    throw new Error(`${program} ended with ${status}: ${output.slice(-500)}`);
  }
  return output;
}
