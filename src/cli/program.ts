/** The command line of `varve`: its commands, and what holds for all of them. */
import { Command } from "commander";
import manifest from "../../package.json" with { type: "json" };
import { addDelete } from "./commands/delete.ts";
import { addDump } from "./commands/dump.ts";
import { addExport } from "./commands/export.ts";
import { addFamilies } from "./commands/families.ts";
import { addGet } from "./commands/get.ts";
import { addImport } from "./commands/import.ts";
import { addPut } from "./commands/put.ts";
import { addRepair } from "./commands/repair.ts";
import { addScan } from "./commands/scan.ts";
import { addStats } from "./commands/stats.ts";
import { addVerify } from "./commands/verify.ts";
import type { Context } from "./context.ts";

/** The parser. It throws instead of ending the process, and leaves errors to be printed by `main`. */
export function program(context: Context): Command {
  const command = new Command("varve")
    .description("Reads and writes Varve stores.")
    .version(manifest.version)
    .option("--debug", "print the stack of an error")
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .configureHelp({ showGlobalOptions: true });
  const adders = [
    addGet,
    addPut,
    addDelete,
    addScan,
    addImport,
    addExport,
    addFamilies,
    addStats,
    addVerify,
    addRepair,
    addDump,
  ];
  for (const add of adders) add(command, context);
  return command;
}
