/**
 * Makes the golden store of this version: `bun tests/golden/make.ts`. Only a change of the format needs another one, beside those
 * that are there, which every later version still opens.
 */
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { makeGolden } from "./content.ts";

const path = fileURLToPath(new URL("format_1", import.meta.url));
rmSync(path, { recursive: true, force: true });
await makeGolden(path);
rmSync(`${path}/LOCK`);
