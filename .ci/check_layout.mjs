/** Generates the layout again and fails if it differs from what is committed. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { program, root } from "./setup.mjs";

const files = ["layout", "symbols"].map((name) => join(root, "src", "native", `${name}.gen.ts`));
const before = files.map((file) => readFileSync(file, "utf8"));
const { status } = spawnSync(program("zig"), ["build", "layout"], {
  cwd: join(root, "zig"),
  stdio: "inherit",
});
if (status !== 0) process.exit(status ?? 1);
const changed = files.filter((file, index) => readFileSync(file, "utf8") !== before[index]);
if (changed.length > 0) {
  console.error(`generated anew, and different: ${changed.join(", ")}`);
  process.exit(1);
}
