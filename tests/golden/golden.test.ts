/** Files that this format's first version wrote still open, and hold what they held. */
import assert from "node:assert/strict";
import { cpSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Varve } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { COUNTER_OPTIONS, DEFAULT_OPTIONS, EXPECTED, rowsOf } from "./content.ts";

const GOLDEN = fileURLToPath(new URL("format_1", import.meta.url));

function copyOfGolden(): string {
  const path = join(temporaryDirectory(), "store");
  cpSync(GOLDEN, path, { recursive: true });
  return path;
}

const open = (path: string, readOnly = false) =>
  Varve.open(path, { ...DEFAULT_OPTIONS, readOnly, createIfMissing: false });

async function assertExpected(db: Awaited<ReturnType<typeof open>>): Promise<void> {
  assert.deepEqual(db.columnFamilies().toSorted(), ["counters", "default", "packed ✓"]);
  assert.deepEqual(rowsOf(db), EXPECTED.get("default"));
  const packed = await db.columnFamily("packed ✓", {
    keyEncoding: "utf8",
    valueEncoding: "utf8",
  });
  assert.deepEqual(rowsOf(packed), EXPECTED.get("packed ✓"));
  const counters = await db.columnFamily("counters", COUNTER_OPTIONS);
  assert.equal(counters.getSync("seen"), 42n);
}

test("the golden store has a file of every kind", () => {
  const kinds = new Set(readdirSync(GOLDEN).map((name) => name.replace(/\d+/, "N")));
  for (const kind of ["CURRENT", "MANIFEST-N", "N.log", "N.table", "N.blob"]) {
    assert.ok(kinds.has(kind), `${kind} is missing of ${[...kinds]}`);
  }
});

test("it opens, verifies and reads as it was written", async () => {
  await using db = await open(copyOfGolden());
  await db.verify();
  await assertExpected(db);
});

test("a read-only store changes none of its bytes", async () => {
  const path = copyOfGolden();
  const content = () =>
    readdirSync(path).filter((name) => name !== "LOCK").toSorted()
      .map((name) => [name, readFileSync(join(path, name)).toString("base64")]);
  const before = content();
  {
    await using db = await open(path, true);
    await assertExpected(db);
  }
  assert.deepEqual(content(), before);
});

test("it goes on: written to, compacted, repaired, and opened again", async () => {
  const path = copyOfGolden();
  {
    await using db = await open(path);
    await db.put("new", "value");
    await db.delete("new");
    await db.compact();
    await assertExpected(db);
  }
  await Varve.repair(path);
  await using db = await open(path);
  await assertExpected(db);
});
