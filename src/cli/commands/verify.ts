/** `varve verify`: reads the whole store and checks every checksum. */
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { openToRead } from "../store.ts";

export function addVerify(program: Command, { output }: Context): void {
  program.command("verify")
    .description("check every checksum; damage is named with its file and offset")
    .argument("<store>", "directory of the store")
    .action(async (path: string) => {
      await using db = await openToRead(path);
      await db.verify();
      await output.write("ok\n");
    });
}
