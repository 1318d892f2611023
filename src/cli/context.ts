/** What every command is given. */
import type { Output } from "./output.ts";

/** The process around a command. */
export interface Context {
  /** Standard output. */
  readonly output: Output;
  /** Aborted when the command is to release what it holds and end. */
  readonly signal: AbortSignal;
}
