/**
 * Fills a store in a fixed order and says what became of each step: `{"put": n, "outcome": …}`, then what readers see, then how
 * the close went. An outcome is `"ok"` or an error's code.
 *
 * Environment: `STORE` (its directory), `BUFFERED` (every so manieth put is; the others are `sync`).
 */
import process from "node:process";
import { Varve, VarveError } from "../../mod.ts";

const { STORE = "" } = process.env;
const BUFFERED = Number(process.env.BUFFERED);
const STEPS = 20;

function say(line: Record<string, unknown>): void {
  console.log(JSON.stringify(line));
}

async function outcomeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "ok";
  } catch (error) {
    if (!(error instanceof VarveError)) throw error;
    return error.code;
  }
}

let db: Varve | undefined;
say({
  open: await outcomeOf(
    Varve.open(STORE, { walSegmentSize: 64 * 1024, writeBufferSize: 64 * 1024 })
      .then((opened) => db = opened),
  ),
});
if (db !== undefined) {
  for (let number = 0; number < STEPS; number++) {
    const value = `${number}:`.padEnd(5_000, "x");
    const durability = number % BUFFERED === 1 ? "buffered" : "sync";
    say({
      put: number,
      durability,
      outcome: await outcomeOf(db.put(`k${number}`, value, { durability })),
    });
    if (number % 8 === 7) say({ flush: await outcomeOf(db.flush()) });
  }
  const seen: number[] = [];
  const read = (async () => {
    const decoder = new TextDecoder();
    for await (const value of db.values()) seen.push(parseInt(decoder.decode(value)));
  })();
  say({ read: await outcomeOf(read), seen: seen.sort((a, b) => a - b) });
  say({ failure: db.stats().failure === null ? null : "final" });
  say({ close: await outcomeOf(db.close()) });
}
