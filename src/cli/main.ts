#!/usr/bin/env bun
/**
 * The command `varve`: runs one command and turns its end into an exit code. 0: done (or nobody
 * reads the output any more), 1: failure, 2: usage, 130: SIGINT. Runs unchanged in Bun and in Deno.
 */
import process from "node:process";
import { CommanderError } from "commander";
import { describeFailure, exitCodeOf } from "./failure.ts";
import { Output, standardOutput } from "./output.ts";
import { program } from "./program.ts";
import { listenForStop } from "./stop.ts";

async function main(args: string[]): Promise<number> {
  const stdout = standardOutput();
  const signal = listenForStop(stdout);
  const output = Output.standard(stdout, signal);
  const command = program({ output, signal });
  try {
    await command.parseAsync(args, { from: "user" });
    await output.flush();
    return 0;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0; // --help, --version
    const line = describeFailure(error, command.opts().debug === true);
    if (line !== undefined) process.stderr.write(`${line}\n`);
    return exitCodeOf(error);
  }
}

process.exit(await main(process.argv.slice(2)));
