/** Runs another program to its end. */
import { spawn, spawnSync } from "node:child_process";
import { clearInterval, setInterval } from "node:timers";
import { memoryOf } from "../harness/process_counters.ts";
import { PeerUnavailable } from "./peer.ts";

const TIMEOUT_MS = 2 * 60 * 60_000;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
/** A peak only grows, so the last look misses no more than what came in so many milliseconds. */
const LOOK_MS = 20;

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
  return outputOf(program, status, stdout + stderr);
}

export interface Watched {
  output: string;
  /** The largest resident size that was seen, in bytes. */
  residentPeakBytes: number;
}

/** As `runProgram`, with an eye on its memory. */
export function watchProgram(program: string, args: readonly string[]): Promise<Watched> {
  return new Promise((resolve, reject) => {
    const running = spawn(program, args, {
      timeout: TIMEOUT_MS,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    let residentPeakBytes = 0;
    const look = setInterval(() => {
      residentPeakBytes = memoryOf(running.pid!)?.peak ?? residentPeakBytes;
    }, LOOK_MS);
    for (const stream of [running.stdout, running.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => output += text);
    }
    running.on("error", (error) => {
      clearInterval(look);
      reject(error);
    });
    running.on("close", (status) => {
      clearInterval(look);
      try {
        resolve({ output: outputOf(program, status, output), residentPeakBytes });
      } catch (error) {
        reject(error);
      }
    });
  });
}

function outputOf(program: string, status: number | null, output: string): string {
  if (status === 0) return output;
  throw new Error(`${program} ended with ${status}: ${output.slice(-500)}`);
}
