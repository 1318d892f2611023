/** `varve families`: the names of the column families, one a line. */
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { openToRead } from "../store.ts";
import { oneLine } from "../text.ts";

export function addFamilies(program: Command, { output }: Context): void {
  program.command("families")
    .description("list the column families")
    .argument("<store>", "directory of the store")
    .action(async (path: string) => {
      await using db = await openToRead(path);
      for (const name of db.columnFamilies()) await output.write(`${oneLine(name, true)}\n`);
    });
}
