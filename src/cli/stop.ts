/**
 * The two reasons for which a command stops before its end without having failed. Both abort one
 * signal; what a command holds, the store first, is released on the way out.
 */
import process from "node:process";
import type { Writable } from "node:stream";

/** The reason of the signal. Nothing is printed for it. */
export class Stop extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.name = "Stop";
    this.exitCode = exitCode;
  }
}

/**
 * A signal that SIGINT aborts, and `stdout` when nobody reads it any more. A second SIGINT finds no listener and
 * ends the process at once.
 */
export function listenForStop(stdout?: Writable): AbortSignal {
  const controller = new AbortController();
  process.once("SIGINT", () => controller.abort(new Stop("interrupted", 130)));
  stdout?.on("error", (error: NodeJS.ErrnoException) => {
    const closed = error.code === "EPIPE";
    controller.abort(closed ? new Stop("nobody reads the output", 0) : error);
  });
  return controller.signal;
}
