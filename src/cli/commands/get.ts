/** `varve get`: the raw bytes of one value. */
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { CommandError } from "../failure.ts";
import { type DataOptions, familyOption, keyFormatOption, parseKey } from "../options.ts";
import { existingFamily, openToRead } from "../store.ts";
import { printable } from "../text.ts";

export function addGet(program: Command, { output }: Context): void {
  program.command("get")
    .description("write the value of a key to stdout, as it is")
    .argument("<store>", "directory of the store")
    .argument("<key>")
    .addOption(familyOption())
    .addOption(keyFormatOption())
    .action(async (path: string, keyText: string, options: DataOptions) => {
      const key = parseKey(keyText, options.keyFormat);
      await using db = await openToRead(path);
      const family = await existingFamily(db, options.family);
      const value = await family.get(key);
      if (value === undefined) {
        throw new CommandError("ERR_NOT_FOUND", `Cannot get "${printable(key)}": no such key`);
      }
      await output.write(value);
      if (output.isTerminal) await output.write("\n");
    });
}
