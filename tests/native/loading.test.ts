/** Loading the library: whatever is not ours is `ERR_NATIVE`, with a line that says what to do, and no prompt. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { libraryFileName } from "../../src/native/platform.ts";
import { SYMBOLS } from "../../src/native/symbols.gen.ts";
import { runtime, temporaryDirectory, test } from "../harness.ts";
import { type ChildOptions, runChild } from "./child.ts";

const zig = fileURLToPath(new URL("../../node_modules/.bin/zig", import.meta.url));

const OPEN = `
try {
  (await Varve.open(directory)).closeSync();
  console.log("opened");
} catch (error) {
  console.log(error.name, error.code, error.path, error.message);
}`;

async function refusal(path: string, options: ChildOptions = {}): Promise<string> {
  const environment = { ...options.environment, VARVE_LIBRARY: path };
  const { code, stdout, stderr } = await runChild(OPEN, { ...options, environment });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^VarveError ERR_NATIVE /);
  assert.ok(stdout.includes(path), stdout);
  return stdout;
}

test("a library of another layout is refused before its first real call", async () => {
  const directory = temporaryDirectory();
  const copy = join(directory, libraryFileName());
  const source = join(directory, "foreign.c");
  // All of our names, and one answer to everything.
  const lines = Object.entries(SYMBOLS)
    .filter(([, symbol]) => !("nonblocking" in symbol))
    .map(([name, { result }]) => `${result === "f64" ? "double" : "int"} ${name}() { return 7; }`);
  writeFileSync(source, lines.join("\n"));
  const made = spawnSync(zig, ["cc", "-shared", "-nostdlib", "-w", "-o", copy, source]);
  assert.equal(made.status, 0, String(made.stderr));
  const said = await refusal(copy);
  assert.match(said, /its layout is 7, this module's is [0-9a-f]+; build it again/);
});

test("a file that is no library, a missing one and a directory are refused by name", async () => {
  const directory = temporaryDirectory();
  const text = join(directory, "libvarve.txt");
  writeFileSync(text, "I am not a library.\n");
  const empty = join(directory, "empty.so");
  writeFileSync(empty, "");
  for (const path of [text, empty, join(directory, "missing.so"), directory]) await refusal(path);
});

test("a library without our symbols is refused", async () => {
  if (process.platform !== "linux") return;
  await refusal("libc.so.6");
});

test("an empty VARVE_LIBRARY is none", async () => {
  const { stdout } = await runChild(OPEN, { environment: { VARVE_LIBRARY: "" } });
  assert.equal(stdout, "opened\n");
});

test("Deno without --allow-ffi: ERR_NATIVE that names the flag, and no prompt", async () => {
  if (runtime !== "deno") return;
  // A flag of some kind there must be: Deno adds `--allow-all` to a child of its own that has none.
  const grants = [["--allow-read", "--allow-write", "--allow-env"], ["--allow-sys"]];
  for (const permissions of grants) {
    const { code, stdout, stderr } = await runChild(OPEN, { permissions });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^VarveError ERR_NATIVE .*--allow-ffi/);
    assert.ok(!/prompt|Allow\?|requests/i.test(stderr), stderr);
  }
});

test("Deno with --allow-ffi alone opens a store: nothing else is asked for", async () => {
  if (runtime !== "deno") return;
  const { code, stdout, stderr } = await runChild(OPEN, { permissions: ["--allow-ffi"] });
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "opened\n");
});
