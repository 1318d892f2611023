/**
 * Opens a store that it may not write, to write and to read, and one below it that would have to be made.
 *
 * Environment: `STORE` (its directory).
 */
import process from "node:process";
import { Varve, VarveError } from "../../mod.ts";

const { STORE = "" } = process.env;

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "ok";
  } catch (error) {
    if (!(error instanceof VarveError)) throw error;
    return error.code;
  }
}

console.log(JSON.stringify({ write: await codeOf(Varve.open(STORE)) }));
console.log(JSON.stringify({ below: await codeOf(Varve.open(`${STORE}/below`)) }));
await using db = await Varve.open(STORE, { readOnly: true });
console.log(JSON.stringify({ read: new TextDecoder().decode(await db.get("k")) }));
