/**
 * The main job, from end to end: import a real directory with 64 writers, each put awaited as
 * durable; kill the importing process half-way; open the store again; prove that no acknowledged
 * write is lost; go on where the import was; prove that every byte of every file came back.
 */
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Command, CommanderError } from "commander";
import { importFiles } from "../cli/directory/import_files.ts";
import type { FoundFile } from "../cli/directory/walk.ts";
import { CommandError, describeFailure, exitCodeOf } from "../cli/failure.ts";
import { wholeNumber } from "../cli/options.ts";
import { Progress } from "../cli/progress.ts";
import { CONTENT_FAMILY } from "../cli/directory/layout.ts";
import { listenForStop } from "../cli/stop.ts";
import { existingFamily, openToWrite } from "../cli/store.ts";
import { checkFiles, type CheckResult } from "./check.ts";
import { type KilledImport, runKilledImport } from "./killed_import.ts";
import { printReport } from "./report.ts";
import { sample, type SampleLimits } from "./sample.ts";

const WRITERS = 64;
const BYTES_PER_MEGABYTE = 1_000_000;
const INSTALLED_PACKAGES = fileURLToPath(new URL("../../node_modules", import.meta.url));

interface DemoOptions {
  readonly files: number;
  readonly megabytes: number;
  readonly keep?: true;
}

const command = new Command("demo")
  .description("import a directory, kill the importer half-way, and prove that nothing was lost")
  .argument("[directory]", "what to import", INSTALLED_PACKAGES)
  .option("--files <count>", "at most so many", (text) => wholeNumber(text, 2), 20_000)
  .option("--megabytes <count>", "at most so many", (text) => wholeNumber(text, 1), 600)
  .option("--keep", "leave the store where it is")
  .exitOverride()
  .configureOutput({ outputError: () => {} })
  .action(demonstrate);

async function demonstrate(directory: string, options: DemoOptions): Promise<void> {
  const signal = listenForStop();
  const root = await realpath(directory);
  const temporary = await mkdtemp(join(tmpdir(), "varve-demo-"));
  try {
    const limits = {
      filesMax: options.files,
      bytesMax: options.megabytes * BYTES_PER_MEGABYTE,
    };
    await runMainJob(join(temporary, "store"), root, limits, signal);
  } finally {
    if (options.keep) process.stdout.write(`the store is kept in ${temporary}\n`);
    else await rm(temporary, { recursive: true, force: true });
  }
}

async function runMainJob(
  store: string,
  root: string,
  limits: SampleLimits,
  signal: AbortSignal,
): Promise<void> {
  const files: FoundFile[] = [];
  for await (const file of sample(root, limits)) files.push(file);
  const bytesTotal = files.reduce((sum, file) => sum + file.bytes, 0);
  const killed = await importAndKill(store, root, limits, files.length, bytesTotal, signal);

  const openedAt = performance.now();
  await using db = await openToWrite(store);
  const recoveryMilliseconds = performance.now() - openedAt;

  const acknowledged = files.filter((file) => killed.keys.has(file.key));
  const afterKill = await check("acknowledged files checked", acknowledged);

  const resumedAt = performance.now();
  let resumedFiles = 0, resumedBytes = 0, unchangedFiles = 0, failedFiles = 0;
  {
    using progress = new Progress("files imported", bytesTotal);
    await importFiles(db, sample(root, limits), {
      writers: WRITERS,
      durability: "sync",
      signal,
      onImported(file) {
        resumedFiles++;
        resumedBytes += file.bytes;
        progress.advance(1, file.bytes);
      },
      onUnchanged(file) {
        unchangedFiles++;
        progress.pass(file.bytes);
      },
      onFailed: () => void failedFiles++,
    });
  }
  const resumedMilliseconds = performance.now() - resumedAt;
  const writing = db.stats().write;

  const atTheEnd = await check("files read back", files);
  const storedFiles = await (await existingFamily(db, CONTENT_FAMILY)).count({});

  printReport({
    root,
    files: files.length,
    bytes: bytesTotal,
    killed,
    recoveryMilliseconds,
    afterKill,
    resumed: { files: resumedFiles, bytes: resumedBytes, milliseconds: resumedMilliseconds },
    unchangedFiles,
    failedFiles,
    writing,
    atTheEnd,
    storedFiles,
  });
  const lost = afterKill.lost.length + atTheEnd.lost.length;
  if (lost > 0) throw new CommandError("ERR_DEMO", `${lost} files were lost or differ`);

  async function check(verb: string, checked: FoundFile[]): Promise<CheckResult> {
    const bytes = checked.reduce((sum, file) => sum + file.bytes, 0);
    using progress = new Progress(verb, bytes);
    return await checkFiles(db, checked, signal, (file) => progress.advance(1, file.bytes));
  }
}

async function importAndKill(
  store: string,
  root: string,
  limits: SampleLimits,
  filesTotal: number,
  bytesTotal: number,
  signal: AbortSignal,
): Promise<KilledImport> {
  using progress = new Progress("files imported, to be killed at half", bytesTotal);
  return await runKilledImport({
    arguments: [store, root, String(limits.filesMax), String(limits.bytesMax), String(WRITERS)],
    // By number: a few huge files would put half of the bytes before nearly all of the files.
    isHalfWay: (files) => files >= filesTotal / 2,
    onAcknowledged: ({ bytes }) => progress.advance(1, bytes),
    signal,
  });
}

async function main(): Promise<number> {
  try {
    await command.parseAsync(process.argv.slice(2), { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0; // --help
    const line = describeFailure(error, true);
    if (line !== undefined) process.stderr.write(`${line}\n`);
    return exitCodeOf(error);
  }
}

process.exit(await main());
