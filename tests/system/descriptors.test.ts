/** No file descriptors left, and fewer of them than tables. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { Varve } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { lackOf, run } from "./child.ts";

const missing = process.platform === "linux"
  ? lackOf("prlimit", "--nofile=64:64", "true")
  : "prlimit is for Linux";
const LIMITED = ["prlimit", "--nofile=64:64"];

test(
  "no descriptors left: each put is acknowledged or throws, reads go on, and all works again when they come back",
  async () => {
    const directory = join(temporaryDirectory(), "store");
    const { lines } = await run("descriptors_child.ts", { STORE: directory }, LIMITED);
    const told = Object.assign({}, ...lines);
    assert.ok(told.taken > 0);
    const outcomes: string[] = told.without;
    assert.ok(
      outcomes.every((outcome) => ["ok", "ERR_IO"].includes(outcome)),
      String(outcomes),
    );
    assert.ok(outcomes.includes("ok"), "what needs no new file works");
    assert.ok(outcomes.some((outcome) => outcome !== "ok"), "what needs one does not");
    assert.equal(told.read, "1");
    assert.notEqual(told.open, "ok");
    assert.deepEqual(
      [told.put, told.flushed, told.other, told.close],
      ["ok", "ok", "ok", "ok"],
      JSON.stringify(told),
    );
    const acknowledged = [...outcomes.keys()].filter((index) => outcomes[index] === "ok");
    assert.deepEqual(told.there, acknowledged);
    await using db = await Varve.open(directory);
    for (const index of acknowledged) assert.ok(await db.has(`k${index}`), `put ${index}`);
    assert.ok(await db.has("after"));
  },
  missing,
);

test("200 tables of 20 families are read by a process that may have 64 descriptors", async () => {
  const directory = join(temporaryDirectory(), "store");
  const { lines } = await run("many_files_child.ts", { STORE: directory }, LIMITED);
  assert.deepEqual(lines, [{ entries: 200 }]);
  const tables = readdirSync(directory).filter((name) => name.endsWith(".table"));
  assert.equal(tables.length, 200);
}, missing);
