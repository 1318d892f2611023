/** Holds the store named by its argument open until stdin ends. Says `open` once it has it, or the error's code. */
import process from "node:process";
import { Varve } from "../../mod.ts";

const [path, mode] = process.argv.slice(2);
try {
  const db = await Varve.open(path, { readOnly: mode === "readOnly" });
  console.log("open");
  process.stdin.resume();
  await new Promise((resolve) => process.stdin.on("end", resolve));
  await db.close();
} catch (error) {
  console.log((error as { code?: string }).code ?? String(error));
}
