/**
 * A store of 20 families with ten tables each, in a process that may have 64 descriptors; says how many entries it reads.
 *
 * Environment: `STORE` (its directory).
 */
import process from "node:process";
import { Varve } from "../../mod.ts";

const db = await Varve.open(process.env.STORE ?? "", { maxOpenFiles: 16 });
const families = await Promise.all(
  Array.from({ length: 20 }, (_, index) =>
    // Tiers of more than ten: nothing is compacted, and the tables stay.
    db.columnFamily(`family ${index}`, { compactionStyle: "tiered" })),
);
for (let round = 0; round < 10; round++) {
  for (const family of families) await family.put(`k${round}`, "v");
  await db.flush();
}
let entries = 0;
for (const family of families) entries += await family.count();
console.log(JSON.stringify({ entries }));
await db.close();
