/** `varve repair`: makes a store whose manifest is damaged or gone one that opens again. */
import type { Command } from "commander";
import { Varve } from "../../../mod.ts";
import type { Context } from "../context.ts";
import { oneLine } from "../text.ts";

export function addRepair(program: Command, { output }: Context): void {
  program.command("repair")
    .description(
      "rebuild the manifest from tables and logs; what cannot be used goes to the directory 'lost' in the store's",
    )
    .argument("<store>", "directory of the store; better of a copy")
    .option("--json", "what was found, as JSON")
    .action(async (path: string, options: { json?: true }) => {
      const report = await Varve.repair(path);
      if (options.json) return await output.write(`${JSON.stringify(report, null, 2)}\n`);
      const { tables, logs, blobs, entries, columnFamilies } = report;
      const lost = [...report.lostTables, ...report.lostLogs, ...report.lostBlobs];
      for (const { path: file, reason } of lost) {
        await output.write(`lost  ${oneLine(file)}: ${oneLine(reason)}\n`);
      }
      const names = columnFamilies.map((name) => oneLine(name, true)).join(", ");
      const segments = blobs === 0 ? "" : `, ${counted(blobs, "blob segment")}`;
      await output.write(
        `kept  ${counted(tables, "table")}${segments}, ${counted(logs, "log segment")}`,
      );
      await output.write(` with ${counted(entries, "entry", "entries")}; ${names}\n`);
    });
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
