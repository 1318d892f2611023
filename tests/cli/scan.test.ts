import assert from "node:assert/strict";
import { temporaryDirectory, test } from "../harness.ts";
import { runVarve, varve } from "./command.ts";

async function letters(): Promise<string> {
  const store = temporaryDirectory();
  const lines = ["a", "b", "ba", "c"].map((key) => JSON.stringify({ key, value: `${key}!` }));
  assert.equal((await runVarve(["import", store], lines.join("\n"))).code, 0);
  return store;
}

test("scan: every bound, all together, reversed and limited", async () => {
  const store = await letters();
  const cases: [string[], string][] = [
    [[], "a b ba c"],
    [["--prefix", "b"], "b ba"],
    [["--gte", "b"], "b ba c"],
    [["--gt", "b"], "ba c"],
    [["--lt", "ba"], "a b"],
    [["--lte", "ba"], "a b ba"],
    [["--prefix", "b", "--gt", "b"], "ba"],
    [["--reverse", "--limit", "2"], "c ba"],
    [["--limit", "0"], ""],
    [["--gte", "6261", "--key-format", "hex"], "ba c"],
  ];
  for (const [args, expected] of cases) {
    const printed = await varve("scan", store, "--keys", ...args);
    assert.equal(printed.trim().split("\n").join(" "), expected, args.join(" "));
  }
});

test("scan: what a row looks like", async () => {
  const store = await letters();
  const row = (...args: string[]) => varve("scan", store, "--limit", "1", ...args);
  assert.equal(await row(), "a\ta!\n");
  assert.equal(await row("--values"), "a!\n");
  assert.equal(await row("--format", "hex"), "61\t6121\n");
  assert.equal(await row("--json"), '{"key":"a","value":"a!"}\n');
  assert.equal(await row("--json", "--keys"), '{"key":"a"}\n');
  assert.equal(
    await row("--json", "--format", "hex"),
    '{"key":"61","keyEncoding":"hex","value":"6121","encoding":"hex"}\n',
  );
});
