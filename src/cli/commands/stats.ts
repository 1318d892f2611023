/** `varve stats`: the shape of a store, and what it says of itself. */
import { setTimeout } from "node:timers/promises";
import { type Command, InvalidArgumentError } from "commander";
import type { Context } from "../context.ts";
import { picture } from "../stats/picture.ts";
import { statsOrShape } from "../stats/shape.ts";

const WATCH_SECONDS = 2;
/** To the upper left corner, and empty what is below. */
const REDRAW = "\u001b[H\u001b[J";

interface StatsOptions {
  readonly json?: true;
  /** Seconds, or `true` for the default. */
  readonly watch?: number | true;
}

export function addStats(program: Command, { output, signal }: Context): void {
  program.command("stats")
    .description(
      "draw the store's tree: levels, tables, bytes; of one that another process writes to, by its manifest",
    )
    .argument("<store>", "directory of the store")
    .option("--json", "everything, as JSON; with --watch one line each time")
    .option("--watch [seconds]", `again every so many seconds (${WATCH_SECONDS})`, secondsOf)
    .action(async (path: string, { json, watch }: StatsOptions) => {
      for (;;) {
        const stats = await statsOrShape(path);
        if (json) {
          await output.write(`${JSON.stringify(stats, null, watch === undefined ? 2 : 0)}\n`);
        } else {
          if (watch !== undefined && output.isTerminal) await output.write(REDRAW);
          await output.write(`${picture(stats).join("\n")}\n`);
          if (watch !== undefined && !output.isTerminal) await output.write("\n");
        }
        if (watch === undefined) return;
        await output.flush();
        const seconds = watch === true ? WATCH_SECONDS : watch;
        await setTimeout(seconds * 1000, undefined, { signal }).catch(() =>
          signal.throwIfAborted()
        );
      }
    });
}

function secondsOf(text: string): number {
  const seconds = Number(text);
  if (seconds >= 0.1 && seconds <= 86_400) return seconds;
  throw new InvalidArgumentError("Takes seconds from 0.1 to 86400.");
}
