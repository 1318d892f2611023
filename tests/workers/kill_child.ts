/**
 * Workers that commit at the log's tail at the same time, each in a loop of `putSync` on its own family and on a shared one, until the
 * process is killed. Each notes in a file of its own how many of its puts have returned; the kernel keeps that when the process dies.
 */
import process from "node:process";
import { Peer } from "./support.ts";

const [path, notes, generation] = process.argv.slice(2);

const workers = await Promise.all(["web", "web", "web"].map(() => Peer.start("web")));
for (const worker of workers) await worker.open(path, { durability: "buffered" });
await Promise.all(workers.map((worker, index) =>
  worker.run(
    async (_varve, { db }, [notes, generation, index]) => {
      const { openSync, writeSync } = await import("node:fs");
      const own = await db.columnFamily(`worker ${index}`);
      const shared = await db.columnFamily("shared");
      const note = openSync(`${notes}/${index}`, "w");
      const count = new Float64Array(1);
      for (;; count[0]++) {
        const family = count[0] % 2 === 0 ? own : shared;
        const key = new TextEncoder().encode(`${generation} ${index} ${count[0]}`);
        family.putSync(key, new Uint8Array(20 + (count[0] * 97) % 1500).fill(count[0]));
        writeSync(note, count, 0, 8, 0);
        if (count[0] % 100 === 99) writeSync(1, `${index}\n`);
      }
    },
    notes,
    generation,
    index,
  )
));
