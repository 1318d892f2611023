/** What other processes, permissions and the system's clock do to a store. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { Varve } from "../../mod.ts";
import { linesOf, soon, startChild } from "../api/support.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { lackOf, run } from "./child.ts";

/** Root without the right to write everywhere, or whoever runs the tests. */
const WITHOUT_RIGHTS = process.getuid?.() === 0
  ? ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
  : [];
const missing = process.platform === "linux" && WITHOUT_RIGHTS.length > 0
  ? lackOf(WITHOUT_RIGHTS[0], ...WITHOUT_RIGHTS.slice(1), "true")
  : undefined;

test(
  "a directory that may not be written: a writer gets ERR_IO and changes nothing, a reader reads",
  async () => {
    const directory = join(temporaryDirectory(), "store");
    {
      await using db = await Varve.open(directory);
      await db.put("k", "v");
    }
    const before = contentOf(directory);
    for (const name of readdirSync(directory)) chmodSync(join(directory, name), 0o400);
    chmodSync(directory, 0o500);
    try {
      const { lines } = await run("access_child.ts", { STORE: directory }, WITHOUT_RIGHTS);
      assert.deepEqual(lines, [{ write: "ERR_IO" }, { below: "ERR_IO" }, { read: "v" }]);
      assert.deepEqual(contentOf(directory), before);
    } finally {
      chmodSync(directory, 0o700);
      for (const name of readdirSync(directory)) chmodSync(join(directory, name), 0o600);
    }
    await using db = await Varve.open(directory);
    await db.put("k2", "v");
  },
  missing,
);

test("another process gets ERR_LOCKED under every spelling of the path, and its failed opens free nobody's lock", async () => {
  const parent = temporaryDirectory();
  const directory = join(parent, "store");
  mkdirSync(join(parent, "beside"));
  symlinkSync(directory, join(parent, "link"));
  const spellings = ["store", "beside/../store", "./store/.", "link"];
  await using db = await Varve.open(directory);
  for (const round of [1, 2]) {
    for (const spelling of spellings) {
      const child = startChild(HOLDER, `${parent}/${spelling}`);
      const { value } = await soon(linesOf(child).next(), "the other process");
      assert.equal(value, "ERR_LOCKED", `${spelling}, round ${round}`);
    }
    await db.put(`k${round}`, "v");
  }
});

test("a killed process leaves no lock behind, though a child of its lives on", async () => {
  const directory = join(temporaryDirectory(), "store");
  const holder = startChild(new URL("parent_child.ts", import.meta.url), directory);
  const lines = linesOf(holder);
  const grandchild = Number((await soon(lines.next(), "the child's child")).value);
  const ended = once(holder, "exit");
  try {
    await assert.rejects(Varve.open(directory), { code: "ERR_LOCKED" });
    holder.kill("SIGKILL");
    await ended;
    assert.ok(process.kill(grandchild, 0), "the child of the dead process lives");
    await using db = await Varve.open(directory);
    await db.put("k", "v");
  } finally {
    process.kill(grandchild, "SIGKILL");
  }
});

test("a clock that goes back and forth changes nothing but when an entry with a ttl expires", async () => {
  const directory = join(temporaryDirectory(), "store");
  const { lines } = await run("clock_child.ts", { STORE: directory });
  assert.deepEqual(lines, [{ entries: 60, expired: true, flushed: true }]);
  await using db = await Varve.open(directory);
  assert.equal(await db.count(), 60);
  assert.equal(await db.get("short"), undefined);
  await db.verify();
});

const HOLDER = new URL("../api/holder_child.ts", import.meta.url);

/** Every file with its content and the time at which it was last changed. */
function contentOf(directory: string): [string, string, number][] {
  return readdirSync(directory).sort().map((name) => {
    const path = join(directory, name);
    return [name, readFileSync(path).toString("base64"), statSync(path).mtimeMs];
  });
}
