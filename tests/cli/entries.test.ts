import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ndjsonLine } from "../../src/cli/records/ndjson.ts";
import { keyFields, valueFields } from "../../src/cli/records/record.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { runVarve, varve } from "./command.ts";
import { ODD_ENTRIES } from "./data.ts";

/** A store with every odd entry, and its NDJSON. */
async function oddStore(): Promise<{ directory: string; store: string; exported: string }> {
  const directory = temporaryDirectory();
  const store = join(directory, "store");
  const lines = ODD_ENTRIES.map(([key, value]) =>
    ndjsonLine({ ...keyFields(key, "utf8"), ...valueFields(value, "utf8") })
  );
  assert.equal((await runVarve(["import", store], lines.join(""))).code, 0);
  const exported = await varve("export", store);
  assert.deepEqual(exported.split("\n").sort(), lines.join("").split("\n").sort());
  return { directory, store, exported };
}

for (const extension of ["ndjson", "jsonl", "csv"]) {
  test(`a .${extension} file holds every byte of every entry`, async () => {
    const { directory, store, exported } = await oddStore();
    const file = join(directory, `entries.${extension}`);
    const copy = join(directory, "copy");
    await varve("export", store, file);
    await varve("import", copy, file, "--writers", "3", "--durability", "buffered");
    assert.equal(await varve("export", copy), exported);
  });
}

test("--format goes before the extension, and an unknown extension needs it", async () => {
  const { directory, store } = await oddStore();
  const file = join(directory, "entries.csv");
  await varve("export", store, file, "--format", "ndjson", "--key-format", "hex");
  assert.match(readFileSync(file, "utf8"), /^\{"key":"","keyEncoding":"hex","value":""\}\n/);
  for (const command of ["import", "export"]) {
    assert.equal((await runVarve([command, store, join(directory, "x.txt")])).code, 2);
  }
});

test("a family's entries say which it is; others go where --family says", async () => {
  const store = temporaryDirectory();
  const lines = '{"key":"a","value":"1","family":"one"}\n{"key":"b","value":"2"}\n';
  assert.equal((await runVarve(["import", store, "-", "--family", "two"], lines)).code, 0);
  assert.equal(await varve("get", store, "a", "--family", "one"), "1");
  assert.equal(await varve("get", store, "b", "--family", "two"), "2");
  const exported = await varve("export", store, "-", "--family", "one");
  assert.equal(exported, '{"family":"one","key":"a","value":"1"}\n');
});

test("the last of several values for a key stays, whatever the number of writers", async () => {
  const store = temporaryDirectory();
  const lines = Array.from({ length: 500 }, (_, i) => `{"key":"k","value":"${i}"}\n`).join("");
  assert.equal((await runVarve(["import", store], lines)).code, 0);
  assert.equal(await varve("get", store, "k"), "499");
});

test("import: a bad line ends it with its number, and what was acknowledged stays", async () => {
  const store = temporaryDirectory();
  const { code, stderr } = await runVarve(["import", store], '{"key":"a","value":"1"}\nnonsense\n');
  assert.equal(code, 1);
  assert.match(stderr, /^stopped after 1 entries\nvarve: .*line 2.*\(ERR_INVALID_ARGUMENT\)\n$/);
  assert.equal(await varve("get", store, "a"), "1");
});

test("import: a missing file is reported, and no store is created for it", async () => {
  const directory = temporaryDirectory();
  const store = join(directory, "store");
  const missing = await runVarve(["import", store, join(directory, "no.csv")]);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /^varve: [^\n]*\(ENOENT\)\n$/);
  assert.match((await runVarve(["verify", store])).stderr, /ERR_NOT_FOUND/);
});

test("export replaces an older file, but not when the family is missing", async () => {
  const { directory, store } = await oddStore();
  const file = join(directory, "entries.csv");
  writeFileSync(file, "old");
  assert.equal((await runVarve(["export", store, file, "--family", "none"])).code, 1);
  assert.equal(readFileSync(file, "utf8"), "old");
  await varve("export", store, file);
  assert.match(readFileSync(file, "utf8"), /^"key","value"/);
  const bad = await runVarve(["export", store, join(directory, "no", "such.csv")]);
  assert.equal(bad.code, 1);
  assert.match(bad.stderr, /\(ENOENT\)\n$/);
});
