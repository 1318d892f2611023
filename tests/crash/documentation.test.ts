/** Examples of `varve/testing`, run as they are printed. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { temporaryDirectory, test } from "../harness.ts";
import { type Ended, runFile } from "../native/child.ts";

const ROOT = new URL("../../", import.meta.url);
/** Where a reader's own program has these from. */
const PACKAGES = [
  ["varve", "mod.ts"],
  ["varve/testing", "testing.ts"],
  ["fast-check", "node_modules/fast-check/lib/fast-check.js"],
];

/** The TypeScript in a text that is fenced as such; in a comment without the stars before it. */
function examplesOf(path: string): string[] {
  const text = readFileSync(new URL(path, ROOT), "utf8");
  const lines = path.endsWith(".md") ? text : text.replaceAll(/^ *\* ?/gm, "");
  return [...lines.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, example]) => example);
}

function runExample(example: string): Promise<Ended> {
  let program = example;
  for (const [name, path] of PACKAGES) {
    program = program.replaceAll(`from "${name}"`, `from "${new URL(path, ROOT).href}"`);
  }
  const file = join(temporaryDirectory(), "example.ts");
  writeFileSync(file, program);
  // The packages of this repository, though the program is somewhere else.
  return runFile(file, {
    permissions: ["--allow-all", "--config", fileURLToPath(new URL("deno.json", ROOT))],
  });
}

test("the example of docs/crash-safety.md finds the bug that is planted in it, and says what is printed below it", async () => {
  const [example] = examplesOf("docs/crash-safety.md").filter((text) =>
    text.includes("everyCrash")
  );
  const printed = /^\/\/ (CrashFailure: .*)$/m.exec(example);
  assert.ok(printed !== null);
  const { code, stderr } = await runExample(example);
  assert.equal(code, 1, stderr);
  let from = 0;
  for (const part of printed[1].replace("CrashFailure: ", "").split("…")) {
    const at = stderr.indexOf(part, from);
    assert.ok(at >= 0, `'${part}' is not in: ${stderr}`);
    from = at + part.length;
  }
});

const SOURCES = readdirSync(new URL("src/testing/", ROOT)).map((name) => `src/testing/${name}`);

for (const path of SOURCES) {
  const examples = examplesOf(path);
  if (examples.length === 0) continue;
  test(`the examples in ${path} do what they say`, async () => {
    for (const example of examples) {
      const { code, stderr } = await runExample(example);
      assert.equal(code, 0, `${example}\n${stderr}`);
    }
  });
}
