/** `varve dump`: one file of a store, for people and for programs. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory, test } from "../harness.ts";
import { runVarve, varve } from "./command.ts";

async function fill(): Promise<{ log: string; manifest: string; pointer: string }> {
  const store = join(temporaryDirectory(), "store");
  await varve("put", store, "k\u001b[2J", "1");
  await varve("put", store, "long", "x".repeat(100));
  const find = (pattern: RegExp) =>
    join(store, readdirSync(store).sort().find((name) => pattern.test(name))!);
  return { log: find(/log$/), manifest: find(/^MANIFEST/), pointer: find(/^CURRENT/) };
}

test("dump shows offsets, checksums and what a file says, one part a line, and never moves the cursor", async () => {
  const { log, manifest, pointer } = await fill();
  const lines = (await varve("dump", log)).trimEnd().split("\n");
  assert.match(lines[0], /^ +0 {2}header {2}4096 bytes {2}crc [0-9a-f]{8} {2}blocks /);
  const frame = lines.find((line) => /frame/.test(line))!;
  assert.match(frame, /^ +4096 {2}frame {2}\d+ bytes {2}crc [0-9a-f]{8} {2}chain 00000000 /);
  assert.ok(lines.some((line) => line.includes(String.raw`key "k\x1b[2J"  value "1"`)));
  assert.ok(lines.every((line) => !line.includes("\u001b")));
  assert.match(
    await varve("dump", manifest),
    /record .*createdFamilies \[\{id 0, name "default"\}\]/,
  );
  assert.match(await varve("dump", pointer), /^ +0 {2}pointer {2}25 bytes {2}manifest 1\n$/);
});

test("dump --json keeps every byte, --format hex too; long values are cut for people, --whole is not", async () => {
  const { log } = await fill();
  const parts = (await varve("dump", log, "--json")).trimEnd().split("\n")
    .map((line) => JSON.parse(line));
  const entry = parts.find(({ kind }) => kind === "entry");
  assert.deepEqual(entry.fields, {
    family: 0,
    type: "put",
    sequence: 1,
    key: "k\u001b[2J",
    value: "1",
  });
  assert.equal(typeof parts.find(({ kind }) => kind === "frame").checksum, "number");
  const hex = await varve("dump", log, "--json", "--format", "hex");
  assert.match(hex, /"key":"6b1b5b324a","keyEncoding":"hex"/);
  const all = readdirSync(join(log, "..")).filter((name) => name.endsWith(".log")).sort()
    .map((name) => join(log, "..", name));
  const text = async (...options: string[]) =>
    (await Promise.all(all.map((file) => varve("dump", file, ...options)))).join("");
  assert.match(await text(), /value "x{64}"… \(100 bytes\)/);
  assert.match(await text("--whole"), /value "x{100}"\n/);
  assert.doesNotMatch(await text("--no-entries"), / entry {2}/);
});

test("dump of a damaged file prints what is sound, then says where it is damaged, with exit code 1", async () => {
  const { log } = await fill();
  const bytes = readFileSync(log);
  bytes[4096 + 50] ^= 1;
  const copy = join(temporaryDirectory(), "000007.copy");
  writeFileSync(copy, bytes);
  const { code, stdout, stderr } = await runVarve(["dump", copy]);
  assert.equal(code, 1);
  assert.match(stdout.toString(), /^ +0 {2}header/);
  assert.match(
    stderr,
    /^varve: Cannot read '.*000007\.copy' at offset 4096: [^\n]+ \(ERR_CORRUPTION\)\n$/,
  );
  const missing = await runVarve(["dump", `${copy}.gone`]);
  assert.match(missing.stderr, /\(ERR_NOT_FOUND\)\n$/);
});
