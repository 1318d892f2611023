/** `varve stats`: what the store says of itself. */
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { openToRead } from "../store.ts";
import { oneLine } from "../text.ts";

export function addStats(program: Command, { output }: Context): void {
  program.command("stats")
    .description("print the store's counters and shape")
    .argument("<store>", "directory of the store")
    .option("--json", "as JSON")
    .action(async (path: string, options: { json?: true }) => {
      await using db = await openToRead(path);
      const json = JSON.stringify(db.stats(), null, 2);
      if (options.json) return await output.write(`${json}\n`);
      const rows = [...leaves(JSON.parse(json), "")];
      const nameWidth = Math.max(...rows.map(([name]) => name.length));
      for (const [name, value] of rows) {
        await output.write(`${name.padEnd(nameWidth)}  ${value}\n`);
      }
    });
}

/** Every value in the tree with its path: `levels.0.files`. */
function* leaves(node: unknown, path: string): Generator<[string, string]> {
  if (typeof node !== "object" || node === null) {
    yield [oneLine(path), oneLine(String(node))];
    return;
  }
  for (const [name, child] of Object.entries(node)) {
    yield* leaves(child, path === "" ? name : `${path}.${name}`);
  }
}
