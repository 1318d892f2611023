import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory, test } from "../harness.ts";
import { runVarve, varve } from "./command.ts";

test("nonsense is exit code 2, one line on stderr, and touches nothing", async () => {
  const store = join(temporaryDirectory(), "store");
  const commands = [
    ["nonsense"],
    ["--nonsense"],
    ["get"],
    ["get", store],
    ["get", store, "k", "extra"],
    ["get", store, "k", "--nonsense"],
    ["get", store, "k", "--family"],
    ["get", store, "k", "--family", ""],
    ["get", store, "abc", "--key-format", "hex"],
    ["get", store, "k", "--key-format", "base64"],
    ["put", store],
    ["put", store, "k", "v", "extra"],
    ["put", store, "xx", "v", "--key-format", "hex"],
    ["delete", store],
    ["delete", store, "0", "--key-format", "hex"],
    ["scan"],
    ["scan", store, "--limit", "-1"],
    ["scan", store, "--limit", "1.5"],
    ["scan", store, "--limit", "many"],
    ["scan", store, "--keys", "--values"],
    ["scan", store, "--format", "xml"],
    ["scan", store, "--gte", "x", "--key-format", "hex"],
    ["import"],
    ["import", store, "a.csv", "b.csv"],
    ["import", store, "--writers", "0"],
    ["import", store, "--writers", "1e3"],
    ["import", store, "--writers", "100000"],
    ["import", store, "--durability", "maybe"],
    ["import", store, "--format", "xml"],
    ["import", store, "file.unknown"],
    ["import", store, "a.csv", "--dir", "."],
    ["import", store, "--dir", ".", "--family", "x"],
    ["import", store, "--dir", ".", "--format", "csv"],
    ["export"],
    ["export", store, "file.unknown"],
    ["export", store, "a.csv", "--dir", "."],
    ["export", store, "--dir", ".", "--key-format", "hex"],
    ["families"],
    ["stats", store, "extra"],
    ["verify"],
  ];
  for (const args of commands) {
    const { code, stdout, stderr } = await runVarve(args);
    assert.equal(code, 2, `${args.join(" ")}: ${stderr}`);
    assert.equal(stdout.length, 0, args.join(" "));
    assert.match(stderr, /^varve: [^\n]+ \(ERR_USAGE\)\n$/, args.join(" "));
  }
  assert.ok(!existsSync(store));
});

test("no command at all is the help on stderr and exit code 2", async () => {
  const { code, stdout, stderr } = await runVarve([]);
  assert.equal(code, 2);
  assert.equal(stdout.length, 0);
  assert.match(stderr, /^Usage: varve/);
});

test("--help and --version go to stdout with exit code 0", async () => {
  assert.match(await varve("--version"), /^\d+\.\d+\.\d+\n$/);
  for (const args of [["--help"], ["help"], ["help", "scan"], ["import", "--help"]]) {
    assert.match(await varve(...args), /^Usage: varve/);
  }
});

test("--debug shows the stack below the line", async () => {
  const store = join(temporaryDirectory(), "store");
  const { stderr } = await runVarve(["--debug", "get", store, "k"]);
  assert.match(stderr, /^varve: [^\n]+ \(ERR_NOT_FOUND\)\n[^]*\n +at /);
});
