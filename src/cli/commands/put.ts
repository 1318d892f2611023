/** `varve put`: one key and its value, from the command line or from stdin. */
import { Buffer } from "node:buffer";
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { isStandard, readStandardInput } from "../input.ts";
import { type DataOptions, familyOption, keyFormatOption, parseKey } from "../options.ts";
import { createFamily, openToWrite } from "../store.ts";

export function addPut(program: Command, { signal }: Context): void {
  program.command("put")
    .description("store a value durably; creates the store and the family when missing")
    .argument("<store>", "directory of the store")
    .argument("<key>")
    .argument("[value]", "text; - or nothing: the bytes of stdin")
    .addOption(familyOption())
    .addOption(keyFormatOption())
    .action(
      async (path: string, keyText: string, text: string | undefined, options: DataOptions) => {
        const key = parseKey(keyText, options.keyFormat);
        const value = isStandard(text) ? await readStandardInput(signal) : Buffer.from(text);
        await using db = await openToWrite(path);
        const family = await createFamily(db, options.family);
        await family.put(key, value);
      },
    );
}
