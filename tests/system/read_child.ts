/**
 * Reads every entry of a store twice, one by one, and says what became of it: `"ok"`, `"wrong"` or an error's code.
 *
 * Environment: `STORE` (its directory), `COUNT` (entries in it).
 */
import process from "node:process";
import { Varve, VarveError } from "../../mod.ts";

const { STORE = "", COUNT = "0" } = process.env;

async function codeOf(promise: Promise<string>): Promise<string> {
  try {
    return await promise;
  } catch (error) {
    if (!(error instanceof VarveError)) throw error;
    return error.code;
  }
}

async function read(db: Varve, index: number): Promise<string> {
  const value = new TextDecoder().decode(await db.get(`k${index}`));
  return value.startsWith(`${index}:`) && value.length === 5_000 ? "ok" : "wrong";
}

await using db = await Varve.open(STORE, { readOnly: true });
for (let round = 0; round < 2; round++) {
  const outcomes: string[] = [];
  for (let index = 0; index < Number(COUNT); index++) outcomes.push(await codeOf(read(db, index)));
  console.log(JSON.stringify({ outcomes }));
}
