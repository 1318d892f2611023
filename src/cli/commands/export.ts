/** `varve export`: entries to a file or stdout, or a tree of files. */
import { type Command, Option } from "commander";
import type { Varve } from "../../../mod.ts";
import type { Context } from "../context.ts";
import { exportTree } from "../directory/export_command.ts";
import { usageError } from "../failure.ts";
import { isStandard } from "../input.ts";
import { type DataOptions, familyOption, keyFormatOption } from "../options.ts";
import { Output } from "../output.ts";
import { Progress } from "../progress.ts";
import {
  formatOf,
  RECORD_FORMATS,
  type RecordFormat,
  type RecordFormatName,
} from "../records/format.ts";
import { keyFields, valueFields } from "../records/record.ts";
import { existingFamily, openToRead } from "../store.ts";

interface ExportOptions extends DataOptions {
  readonly format?: RecordFormatName;
  readonly dir?: string;
}

export function addExport(program: Command, context: Context): void {
  program.command("export")
    .description("write all entries of a family, or the tree of files that was imported")
    .argument("<store>", "directory of the store")
    .argument("[file]", "- or nothing: stdout")
    .addOption(familyOption())
    .addOption(keyFormatOption())
    .addOption(
      new Option("--format <format>", "of the file; default: by its extension")
        .choices(RECORD_FORMATS),
    )
    .addOption(
      new Option("--dir <directory>", "recreate the tree of `import --dir` there")
        .conflicts(["family", "keyFormat", "format"]),
    )
    .action(async (path: string, file: string | undefined, options: ExportOptions) => {
      if (options.dir === undefined) return await exportEntries(path, file, options, context);
      if (file !== undefined) throw usageError("Cannot export to both a file and --dir");
      await exportTree(path, options.dir, context.signal);
    });
}

async function exportEntries(
  path: string,
  file: string | undefined,
  options: ExportOptions,
  { output, signal }: Context,
): Promise<void> {
  const format = formatOf(file, options.format);
  await using db = await openToRead(path);
  if (isStandard(file)) {
    return await writeEntries(db, options, { output, signal }, format);
  }
  await existingFamily(db, options.family); // before an old file is replaced
  await Output.toFile(
    file,
    signal,
    (opened) => writeEntries(db, options, { output: opened, signal }, format),
  );
}

async function writeEntries(
  db: Varve,
  { family: name, keyFormat }: ExportOptions,
  { output, signal }: Context,
  format: RecordFormat,
): Promise<void> {
  const family = await existingFamily(db, name);
  const named = name === "default" ? {} : { family: name };
  const bytesTotal = Progress.isWatched ? await family.approximateSize({}) : undefined;
  using progress = new Progress("exported", bytesTotal);
  await output.write(format.header);
  for await (const [key, value] of family.entries({ signal })) {
    const fields = { ...named, ...keyFields(key, keyFormat), ...valueFields(value, "utf8") };
    await output.write(format.line(fields));
    progress.advance(1, key.length + value.length);
  }
  await output.flush();
  progress.note(`exported ${progress.summary("entries")}`);
}
