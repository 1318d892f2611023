/** `varve delete`: removes one key. A missing key is no failure, as in the engine. */
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { type DataOptions, familyOption, keyFormatOption, parseKey } from "../options.ts";
import { existingFamily, openExisting } from "../store.ts";

export function addDelete(program: Command, _context: Context): void {
  program.command("delete")
    .description("remove a key durably, whether or not it is there")
    .argument("<store>", "directory of the store")
    .argument("<key>")
    .addOption(familyOption())
    .addOption(keyFormatOption())
    .action(async (path: string, keyText: string, options: DataOptions) => {
      const key = parseKey(keyText, options.keyFormat);
      await using db = await openExisting(path);
      const family = await existingFamily(db, options.family);
      await family.delete(key);
    });
}
