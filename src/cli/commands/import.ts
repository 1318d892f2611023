/** `varve import`: entries from a file or stdin, or a tree of files. */
import { stat } from "node:fs/promises";
import { type Command, Option } from "commander";
import type { Context } from "../context.ts";
import { importTree } from "../directory/import_command.ts";
import { IN_FLIGHT_BYTES_MAX } from "../directory/layout.ts";
import { usageError } from "../failure.ts";
import { forEachInFlight } from "../in_flight.ts";
import { isStandard, readChunks } from "../input.ts";
import {
  type DataOptions,
  durabilityOption,
  familyOption,
  keyFormatOption,
  writersOption,
} from "../options.ts";
import { Progress } from "../progress.ts";
import { formatOf, RECORD_FORMATS, type RecordFormatName } from "../records/format.ts";
import type { Entry } from "../records/record.ts";
import { createFamily, type Durability, type Family, openToWrite } from "../store.ts";

/** The options of `varve import`. */
export interface ImportOptions extends DataOptions {
  readonly format?: RecordFormatName;
  readonly dir?: string;
  readonly writers: number;
  readonly durability: Durability;
}

export function addImport(program: Command, context: Context): void {
  program.command("import")
    .description("store entries, or a tree of files; creates store and families when missing")
    .argument("<store>", "directory of the store")
    .argument("[file]", "- or nothing: stdin")
    .addOption(familyOption())
    .addOption(keyFormatOption())
    .addOption(
      new Option("--format <format>", "of the file; default: by its extension")
        .choices(RECORD_FORMATS),
    )
    .addOption(
      new Option("--dir <directory>", "import its files; run again, it goes on where it was")
        .conflicts(["family", "keyFormat", "format"]),
    )
    .addOption(writersOption())
    .addOption(durabilityOption())
    .action(async (path: string, file: string | undefined, options: ImportOptions) => {
      if (options.dir === undefined) return await importEntries(path, file, options, context);
      if (file !== undefined) throw usageError("Cannot import both a file and --dir");
      await importTree(path, options.dir, options, context.signal);
    });
}

async function importEntries(
  path: string,
  file: string | undefined,
  options: ImportOptions,
  { signal }: Context,
): Promise<void> {
  const format = formatOf(file, options.format);
  const bytesTotal = isStandard(file) ? undefined : (await stat(file)).size;
  await using db = await openToWrite(path);
  using progress = new Progress("imported", bytesTotal);
  const families = new Map<string, Family>();
  const entries = format.read(counted(readChunks(file, signal), progress), options.keyFormat);
  const { writers, durability } = options;
  const bounds = {
    jobsMax: writers,
    weightMax: IN_FLIGHT_BYTES_MAX,
    weigh: ({ entry }: { entry: Entry }) => entry.value.length,
  };
  let acknowledged = 0;
  try {
    await forEachInFlight(withFamilies(), bounds, async ({ family, entry }) => {
      await family.put(entry.key, entry.value, { durability });
      acknowledged++;
      progress.advance(1, 0);
    });
  } catch (error) {
    progress.note(`stopped after ${acknowledged} entries`);
    throw error;
  }
  progress.note(`imported ${progress.summary("entries")}`);

  /** Families are opened in the input's order, one at a time, before any put that needs them. */
  async function* withFamilies(): AsyncGenerator<{ family: Family; entry: Entry }> {
    for await (const entry of entries) {
      const name = entry.family ?? options.family;
      const family = families.get(name) ?? await createFamily(db, name);
      families.set(name, family);
      yield { family, entry };
    }
  }
}

async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  progress: Progress,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    progress.advance(0, chunk.length);
    yield chunk;
  }
}
