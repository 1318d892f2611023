/** Loading the library: whatever is not ours is `ERR_NATIVE`, with a line that says what to do, and no prompt. */
import assert from "node:assert/strict";
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { ABI_HASH } from "../../src/native/layout.gen.ts";
import { libraryFileName, platformName } from "../../src/native/platform.ts";
import { runtime, temporaryDirectory, test } from "../harness.ts";
import { type ChildOptions, runChild } from "./child.ts";

const library = fileURLToPath(
  new URL(`../../build/${platformName()}/${libraryFileName()}`, import.meta.url),
);

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
  const copy = join(temporaryDirectory(), libraryFileName());
  copyFileSync(library, copy);
  chmodSync(copy, 0o700);
  const bytes = readFileSync(copy);
  const wanted = new Uint8Array(new Uint32Array([ABI_HASH]).buffer);
  let found = 0;
  for (let at = bytes.indexOf(wanted); at >= 0; at = bytes.indexOf(wanted, at + 1)) {
    bytes[at] ^= 1;
    found++;
  }
  assert.ok(found > 0, "the hash stands in the library as one constant");
  writeFileSync(copy, bytes);
  const said = await refusal(copy);
  assert.match(said, /its layout is [0-9a-f]+, this module's is [0-9a-f]+; build it again/);
});

test("a file that is no library, a missing one and a directory are refused by name", async () => {
  const directory = temporaryDirectory();
  const text = join(directory, "libvarve.txt");
  writeFileSync(text, "I am not a library.\n");
  for (const path of [text, join(directory, "missing.so"), directory]) await refusal(path);
});

test("a library without our symbols is refused", async () => {
  if (process.platform !== "linux") return;
  await refusal("libc.so.6");
});

test("a library cut in half is refused, and does not end the process", async () => {
  const half = join(temporaryDirectory(), libraryFileName());
  const bytes = readFileSync(library);
  // Only the file's first page: a loader that maps the rest would meet SIGBUS.
  writeFileSync(half, bytes.subarray(0, 4096));
  await refusal(half);
});

test("an empty VARVE_LIBRARY is none", async () => {
  const { stdout } = await runChild(OPEN, { environment: { VARVE_LIBRARY: "" } });
  assert.equal(stdout, "opened\n");
});

test("Deno without --allow-ffi: ERR_NATIVE that names the flag, and no prompt", async () => {
  if (runtime !== "deno") return;
  const grants = [["--allow-read", "--allow-write", "--allow-env"], []];
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
