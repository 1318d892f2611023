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
    ["deleteRange", () => db.deleteRange({})],
    ["merge", () => db.merge("k", "v")],
    ["ttl", () => db.put("k", "w", { ttl: 1 })],
    ["transfer", () => db.put("k", new Uint8Array(8), { transfer: true })],
    ["compact", () => db.compact()],
    ["deleteRange in a batch", () => db.batch([{ type: "deleteRange", range: {} }])],
    ["merge in a batch", () => db.batch([{ type: "merge", key: "k", value: "v" }])],
  ];
  for (const [name, call] of asynchronous) {
    await assert.rejects(call(), coded("ERR_UNSUPPORTED"), name);
  }
  const synchronous: [string, () => unknown][] = [
    ["deleteRangeSync", () => db.deleteRangeSync({})],
    ["mergeSync", () => db.mergeSync("k", "v")],
    ["ttl", () => db.putSync("k", "w", { ttl: 1 })],
    ["transfer", () => db.putSync("k", new Uint8Array(8), { transfer: true })],
    ["allocate", () => db.allocate(4096)],
    ["release", () => db.release(new Uint8Array(8))],
    ["deleteRange of a batch", () => db.batch().deleteRange({})],
    ["merge of a batch", () => db.batch().merge("k", "v")],
  ];
  for (const [name, call] of synchronous) assert.throws(call, coded("ERR_UNSUPPORTED"), name);
  assert.deepEqual([...db.entries()].map((row) => row.map(text)), [["k", "v"]]);
});
