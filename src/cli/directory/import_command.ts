/** `varve import --dir`: from a tree on disk to a store, with progress and a summary. */
import { realpath, stat } from "node:fs/promises";
import { CommandError, incomplete, messageOf } from "../failure.ts";
import { Progress } from "../progress.ts";
import { type Durability, openToWrite } from "../store.ts";
import { oneLine } from "../text.ts";
import { importFiles } from "./import_files.ts";
import { walk } from "./walk.ts";

/** Imports the files below `directory` into the store at `path`. */
export async function importTree(
  path: string,
  directory: string,
  options: { readonly writers: number; readonly durability: Durability },
  signal: AbortSignal,
): Promise<void> {
  const root = await directoryPath(directory); // before a store is created
  await using db = await openToWrite(path);
  const excluded = await realpath(path);
  const bytesTotal = Progress.isWatched ? await bytesBelow(root, excluded, signal) : undefined;
  using progress = new Progress("files imported", bytesTotal);
  let unchanged = 0, skipped = 0, failed = 0;
  await importFiles(db, walk(root, excluded), {
    writers: options.writers,
    durability: options.durability,
    signal,
    onImported: (file) => progress.advance(1, file.bytes),
    onUnchanged(file) {
      unchanged++;
      progress.pass(file.bytes);
    },
    onSkipped(key, what) {
      skipped++;
      progress.note(`skipped ${oneLine(key)}: ${what}`);
    },
    onFailed(key, error) {
      failed++;
      progress.note(`failed ${oneLine(key)}: ${messageOf(error)}`);
    },
  });
  progress.note(
    `imported ${progress.summary("files")}; ` +
      `${unchanged} unchanged, ${skipped} skipped, ${failed} failed`,
  );
  if (failed > 0) throw incomplete(failed, "imported");
}

async function directoryPath(directory: string): Promise<string> {
  const path = await realpath(directory);
  if ((await stat(path)).isDirectory()) return path;
  throw new CommandError("ENOTDIR", `Cannot import "${oneLine(directory)}": it is no directory`);
}

async function bytesBelow(root: string, excluded: string, signal: AbortSignal): Promise<number> {
  let bytes = 0;
  for await (const entry of walk(root, excluded)) {
    signal.throwIfAborted();
    if (entry.kind === "file") bytes += entry.bytes;
  }
  return bytes;
}
