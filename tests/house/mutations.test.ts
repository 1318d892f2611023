/** The mutations of the crash tests are run by hand: code that moves away from under one would leave it behind unseen. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "../harness.ts";
import { MUTATIONS } from "../crash/mutation_list.ts";

test("every mutation has its place in the code, once", () => {
  for (const { name, file, from } of MUTATIONS) {
    const text = readFileSync(fileURLToPath(new URL(`../../${file}`, import.meta.url)), "utf8");
    assert.equal(text.split(from).length - 1, 1, `${name}: in ${file}`);
  }
});
