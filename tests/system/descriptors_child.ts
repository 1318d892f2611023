/**
 * Takes every file descriptor that the process may have, uses a store meanwhile, and gives them back. Says what became of each
 * step: `"ok"` or an error's code.
 *
 * Environment: `STORE` (its directory), `LIMIT` (descriptors that the process may have, which whoever starts it enforces).
 */
import { closeSync, openSync } from "node:fs";
import process from "node:process";
import { Varve, VarveError } from "../../mod.ts";

const { STORE = "" } = process.env;

async function outcomeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "ok";
  } catch (error) {
    if (!(error instanceof VarveError)) throw error;
    return error.code;
  }
}

function say(line: Record<string, unknown>): void {
  console.log(JSON.stringify(line));
}

const taken: number[] = [];
function takeAll(): void {
  for (;;) {
    try {
      taken.push(openSync("/dev/null", "r"));
    } catch {
      return;
    }
  }
}

const small = { walSegmentSize: 64 * 1024, writeBufferSize: 64 * 1024 };
const db = await Varve.open(STORE, small);
await db.put("before", "1");
await db.flush();

takeAll();
const outcomes: string[] = [];
for (let index = 0; index < 40; index++) {
  outcomes.push(await outcomeOf(db.put(`k${index}`, "x".repeat(5_000))));
}
say({ without: outcomes, taken: taken.length });
say({ flush: await outcomeOf(db.flush()) });
say({ read: new TextDecoder().decode(await db.get("before")) });
say({ open: await outcomeOf(Varve.open(`${STORE}-other`)) });

for (const descriptor of taken.splice(0)) closeSync(descriptor);
say({ put: await outcomeOf(db.put("after", "2")) });
say({ flushed: await outcomeOf(db.flush()) });
say({ other: await outcomeOf(Varve.open(`${STORE}-other`).then((other) => other.close())) });
const there: number[] = [];
for (const [index] of outcomes.entries()) {
  if (await db.has(`k${index}`)) there.push(index);
}
say({ there });
say({ close: await outcomeOf(db.close()) });
