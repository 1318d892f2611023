/** What this version does not have yet says so: `ERR_UNSUPPORTED`, and nothing happens. */
import assert from "node:assert/strict";
import { Varve } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { coded, text } from "./support.ts";

test("what is not there yet is ERR_UNSUPPORTED, and changes nothing", async () => {
  const path = temporaryDirectory();
  await using db = await Varve.open(path);
  await db.put("k", "v");
  const asynchronous: [string, () => Promise<unknown>][] = [
    ["transfer", () => db.put("k", new Uint8Array(8), { transfer: true })],
  ];
  for (const [name, call] of asynchronous) {
    await assert.rejects(call(), coded("ERR_UNSUPPORTED"), name);
  }
  const synchronous: [string, () => unknown][] = [
    ["transfer", () => db.putSync("k", new Uint8Array(8), { transfer: true })],
    ["allocate", () => db.allocate(4096)],
    ["release", () => db.release(new Uint8Array(8))],
  ];
  for (const [name, call] of synchronous) assert.throws(call, coded("ERR_UNSUPPORTED"), name);
  assert.deepEqual([...db.entries()].map((row) => row.map(text)), [["k", "v"]]);
});
