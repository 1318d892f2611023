/** The bare device by the plainest loop there is (`bench/device/plain_loop.zig`), built on first use. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Case } from "../harness/case.ts";
import type { ProgramDriver, ProgramMeasurement } from "./peer.ts";
import { runProgram } from "./program.ts";

const DURABLE_BLOCK_BYTES = 4096;

const root = resolve(fileURLToPath(import.meta.url), "../../..");

export function load(): ProgramDriver {
  const program = build();
  return {
    kind: "program",
    version: "bench/device/plain_loop.zig",
    measure: (run) => Promise.resolve(measure(program, run)),
  };
}

/** Named by its source, so that a changed one is built anew. */
function build(): string {
  const source = join(root, "bench/device/plain_loop.zig");
  const hash = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 12);
  const directory = join(root, "build/bench");
  const program = join(directory, `plain_loop-${hash}`);
  if (existsSync(program)) return program;
  mkdirSync(directory, { recursive: true });
  const unfinished = `${program}.${process.pid}`;
  const zig = join(root, "node_modules/.bin/zig");
  const flags = ["-O", "ReleaseFast", "-lc", `-femit-bin=${unfinished}`];
  runProgram(zig, ["build-exe", ...flags, source], "run node .ci/setup.mjs");
  renameSync(unfinished, program);
  return program;
}

function measure(program: string, run: Case): ProgramMeasurement {
  const isDurable = run.durability === "sync";
  const mode = isDurable ? "durable" : run.variant === "buffered" ? "buffered" : "direct";
  const blockBytes = isDurable ? DURABLE_BLOCK_BYTES : run.valueBytes;
  const args = [mode, `${run.directory}/probe`, String(blockBytes), String(run.count)];
  const seconds = Number(runProgram(program, args)) / 1e9;
  return {
    settings: `${mode}, ${blockBytes} B at a time, one thread`,
    warnings: [],
    measurements: [{
      operations: run.count,
      seconds,
      bytes: run.count * blockBytes,
      verification: "none",
      warmUp: isDurable ? "the file was written before" : "none",
      notDone: ["no keys, no checksums, nothing to read back"],
    }],
  };
}
