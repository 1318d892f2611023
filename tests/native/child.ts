/** Runs a program in a process of its own, in the runtime that runs the tests: for what may end or hang a process. */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { runtime, temporaryDirectory } from "../harness.ts";

const MOD = new URL("../../mod.ts", import.meta.url).href;
const TIMEOUT_MS = 60_000;

/** How a process ended and what it said. */
export interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ChildOptions {
  readonly environment?: Record<string, string>;
  /** Deno's permission flags; Bun has none. */
  readonly permissions?: readonly string[];
  /** Stands before the runtime: `strace` and its arguments. */
  readonly wrapper?: readonly string[];
}

/** Runs TypeScript that finds `Varve` and `directory` (an empty one) in scope, and top-level `await` allowed. */
export function runChild(body: string, options: ChildOptions = {}): Promise<Ended> {
  const directory = temporaryDirectory();
  const file = join(directory, "program.ts");
  const store = JSON.stringify(join(directory, "store"));
  writeFileSync(
    file,
    `import process from "node:process";\nimport { Varve } from ${
      JSON.stringify(MOD)
    };\nconst directory = ${store};\n${body}\n`,
  );
  return runFile(file, options);
}

/** Runs a file. A process that does not end in a minute is killed, and its signal says so. */
export function runFile(file: string, options: ChildOptions = {}): Promise<Ended> {
  const { environment = {}, permissions = ["--allow-all"], wrapper = [] } = options;
  const arguments_ = runtime === "deno"
    ? ["run", "--no-check", ...permissions, file]
    : ["run", file];
  const [command, ...rest] = [...wrapper, process.execPath, ...arguments_];
  return new Promise((resolve, reject) => {
    const child = spawn(command, rest, {
      env: { ...process.env, NO_COLOR: "1", ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Uint8Array) => stdout += new TextDecoder().decode(chunk));
    child.stderr.on("data", (chunk: Uint8Array) => stderr += new TextDecoder().decode(chunk));
    const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, stdout, stderr });
    });
  });
}
