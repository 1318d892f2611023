import assert from "node:assert/strict";
import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory, test } from "../harness.ts";
import { runVarve, varve } from "./command.ts";

test("put and get: the value's raw bytes, from the command line and from stdin", async () => {
  const store = join(temporaryDirectory(), "deep", "store");
  await varve("put", store, "text", "välue");
  assert.equal(await varve("get", store, "text"), "välue");
  const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => i * 7);
  for (const args of [["put", store, "bytes"], ["put", store, "bytes", "-"]]) {
    assert.equal((await runVarve(args, bytes)).code, 0);
    assert.deepEqual(new Uint8Array((await runVarve(["get", store, "bytes"])).stdout), bytes);
  }
});

test("put and get: the empty key, the empty value, a hex key, a key like an option", async () => {
  const store = temporaryDirectory();
  await varve("put", store, "", "empty key");
  assert.equal(await varve("get", store, ""), "empty key");
  await varve("put", store, "empty", "");
  assert.equal(await varve("get", store, "empty"), "");
  await varve("put", store, "ff00", "hex", "--key-format", "hex");
  assert.equal(await varve("get", store, "FF00", "--key-format", "hex"), "hex");
  await varve("put", store, "--", "--json", "-v");
  assert.equal(await varve("get", store, "--", "--json"), "-v");
});

test("families are separate, and made by put alone", async () => {
  const store = temporaryDirectory();
  await varve("put", store, "k", "1", "--family", "../users");
  const missing = await runVarve(["get", store, "k"]);
  assert.equal(missing.code, 1);
  assert.equal(await varve("get", store, "k", "--family", "../users"), "1");
  for (const command of ["get", "delete"]) {
    const ended = await runVarve([command, store, "k", "--family", "other"]);
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, /^varve: .*other.*\(ERR_NOT_FOUND\)\n$/);
  }
  assert.deepEqual((await varve("families", store)).split("\n"), ["default", "../users", ""]);
});

test("get: a missing key is exit code 1, one line on stderr and nothing on stdout", async () => {
  const store = temporaryDirectory();
  await varve("put", store, "k", "1");
  const { code, stdout, stderr } = await runVarve(["get", store, "k\n2"]);
  assert.equal(code, 1);
  assert.equal(stdout.length, 0);
  assert.match(stderr, /^varve: [^\n]+\(ERR_NOT_FOUND\)\n$/);
});

test("delete removes a key, and does not mind a missing one", async () => {
  const store = temporaryDirectory();
  await varve("put", store, "k", "1");
  await varve("delete", store, "k");
  await varve("delete", store, "k");
  assert.equal((await runVarve(["get", store, "k"])).code, 1);
});

test("a path that is no store is ERR_NOT_FOUND, and stays as it is", async () => {
  const directory = temporaryDirectory();
  const path = join(directory, "missing");
  const file = join(directory, "out.csv");
  const commands = [
    ["get", path, "k"],
    ["delete", path, "k"],
    ["scan", path],
    ["export", path, file],
    ["export", path, "--dir", join(directory, "out")],
    ["families", path],
    ["stats", path],
    ["verify", path],
    ["repair", path],
  ];
  for (const args of commands) {
    const { code, stdout, stderr } = await runVarve(args);
    assert.equal(code, 1, args.join(" "));
    assert.equal(stdout.length, 0);
    assert.match(stderr, /^varve: [^\n]+ \(ERR_NOT_FOUND\)\n$/);
  }
  for (const each of [path, file, join(directory, "out")]) assert.ok(!existsSync(each), each);
});

test("repair says what it kept, what it lost, and leaves a store that opens", async () => {
  const store = join(temporaryDirectory(), "store");
  await varve("put", store, "k", "1", "--family", "users");
  await varve("put", store, "k", "2");
  const log = readdirSync(store).find((name) => name.endsWith(".log"))!;
  writeFileSync(join(store, "000900.log"), "nothing of a log");
  for (const name of readdirSync(store)) {
    if (/^(MANIFEST|CURRENT)/.test(name)) rmSync(join(store, name));
  }
  assert.equal((await runVarve(["get", store, "k"])).code, 1);
  assert.match(log, /^\d+\.log$/);
  assert.equal(
    await varve("repair", store),
    `lost  ${join(store, "lost", "000900.log")}: it has no header, or is no segment at all\n` +
      "kept  0 tables, 2 log segments with 2 entries; default, users\n",
  );
  assert.equal(await varve("get", store, "k"), "2");
  assert.equal(await varve("get", store, "k", "--family", "users"), "1");
  assert.equal(JSON.parse(await varve("repair", store, "--json")).entries, 2);
  assert.equal(await varve("verify", store), "ok\n");
});

test("stats as text and as JSON, and verify", async () => {
  const store = temporaryDirectory();
  await varve("put", store, "k", "1");
  assert.match(await varve("stats", store), /^default {2}0 B in 0 tables$/m);
  assert.equal(typeof JSON.parse(await varve("stats", store, "--json")).write.groups, "number");
  assert.equal(await varve("verify", store), "ok\n");
});
