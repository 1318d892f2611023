/** Runs the import in a process of its own, and kills that half-way. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { CommandError } from "../cli/failure.ts";
import { readLines } from "../cli/records/lines.ts";
import { type Acknowledgement, decodeAcknowledgement } from "./acknowledgement.ts";

/** The import to run. */
export interface KilledImportOptions {
  /** Arguments of `import_child.ts`. */
  readonly arguments: readonly string[];
  /** Whether the process is to be killed now. */
  isHalfWay(filesAcknowledged: number): boolean;
  onAcknowledged(acknowledgement: Acknowledgement): void;
  readonly signal: AbortSignal;
}

/** What the process had done when it was killed. */
export interface KilledImport {
  /** Every key that it acknowledged, the last moments included. */
  readonly keys: ReadonlySet<string>;
  readonly bytes: number;
  /** From its start to its end. */
  readonly milliseconds: number;
}

/** Resolves when the process is dead and all that it had said was read. */
export async function runKilledImport(options: KilledImportOptions): Promise<KilledImport> {
  const script = fileURLToPath(new URL("./import_child.ts", import.meta.url));
  const startedAt = performance.now();
  const child = spawn(process.execPath, [...runtimeArguments(), script, ...options.arguments], {
    stdio: ["ignore", "pipe", "inherit"],
    signal: options.signal,
    killSignal: "SIGKILL",
  });
  const ended = once(child, "exit") as Promise<[code: number | null, signal: string | null]>;
  const keys = new Set<string>();
  let bytes = 0;
  let killed = false;
  for await (const line of readLines(child.stdout, { wholeOnly: true })) {
    const acknowledgement = decodeAcknowledgement(line);
    keys.add(acknowledgement.key);
    bytes += acknowledgement.bytes;
    options.onAcknowledged(acknowledgement);
    if (!killed && options.isHalfWay(keys.size)) {
      killed = true;
      // By its pid: after `child.kill(signal)` Deno reports that signal, however the child ended.
      if (child.pid !== undefined) process.kill(child.pid, "SIGKILL");
    }
  }
  const [code, signal] = await ended;
  options.signal.throwIfAborted();
  if (signal !== "SIGKILL") {
    throw new CommandError("ERR_DEMO", `The import ended by itself (${code}) before it was killed`);
  }
  return { keys, bytes, milliseconds: performance.now() - startedAt };
}

/** What comes between the runtime and the script. */
function runtimeArguments(): string[] {
  return "deno" in process.versions ? ["run", "-A"] : [];
}
