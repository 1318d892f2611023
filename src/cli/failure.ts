/** What ends a command early, as an exit code and as one line for stderr. */
import { CommanderError } from "commander";
import { Stop } from "./stop.ts";
import { oneLine } from "./text.ts";

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;

/** A failure that the command itself finds, as opposed to the store or the system. */
export class CommandError extends Error {
  /** What to branch on, printed in parentheses behind the message. */
  readonly code: string;
  readonly exitCode: number;

  constructor(code: string, message: string, exitCode: number = EXIT_FAILURE) {
    super(message);
    this.name = "CommandError";
    this.code = code;
    this.exitCode = exitCode;
  }
}

/** The command line cannot be carried out, whatever the store holds. */
export function usageError(message: string): CommandError {
  return new CommandError("ERR_USAGE", message, EXIT_USAGE);
}

/** Some of a tree's files could not be taken over; each was named when it failed. */
export function incomplete(failed: number, verb: string): CommandError {
  const files = failed === 1 ? "1 file was" : `${failed} files were`;
  return new CommandError("ERR_INCOMPLETE", `${files} not ${verb}`);
}

/** The exit code for `error`. */
export function exitCodeOf(error: unknown): number {
  const first = firstOf(error);
  if (first instanceof Stop || first instanceof CommandError) return first.exitCode;
  return first instanceof CommanderError ? EXIT_USAGE : EXIT_FAILURE;
}

/** `varve: <message> (<CODE>)`, with the stack below if `debug`; nothing for a wanted stop. */
export function describeFailure(error: unknown, debug: boolean): string | undefined {
  const first = firstOf(error);
  if (first instanceof Stop) return undefined;
  const line = `varve: ${messageOf(first)}`;
  return debug && first instanceof Error ? `${line}\n${first.stack}` : line;
}

/** `<message> (<CODE>)` on one line. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return oneLine(String(error));
  if (error instanceof CommanderError && error.code === "commander.help") {
    return "a command is missing (ERR_USAGE)"; // its own message is "(outputHelp)"
  }
  const code = codeOf(error);
  const message = oneLine(error.message.replace(/^error: /, ""));
  if (code === undefined) return message;
  const prefix = `${code}: `; // how node words system errors
  return `${message.startsWith(prefix) ? message.slice(prefix.length) : message} (${code})`;
}

/** The stable code that an error carries, if it has one. */
export function codeOf(error: unknown): string | undefined {
  if (error instanceof CommanderError) return "ERR_USAGE";
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/**
 * When closing the store fails after the command did, the runtime wraps both: the command's own
 * failure, which came first, is the one to report. Known by name: Bun brings a class of its own.
 */
function firstOf(error: unknown): unknown {
  let first = error;
  while (first instanceof Error && first.name === "SuppressedError" && "suppressed" in first) {
    first = first.suppressed;
  }
  return first;
}
