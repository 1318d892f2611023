/** Workers: one that ends while native work is in flight must not take the process with it (hazards 2 and 8). */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory, test } from "../harness.ts";
import { runChild } from "./child.ts";

const MOD = new URL("../../mod.ts", import.meta.url).href;

/** A Worker's module file with `Varve` in scope. */
function worker(body: string): string {
  const file = join(temporaryDirectory(), "worker.ts");
  writeFileSync(file, `import { Varve } from ${JSON.stringify(MOD)};\n${body}\n`);
  return JSON.stringify(`file://${file}`);
}

const MESSAGE = `
function message(worker) {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = (event) => reject(new Error(event.message));
  });
}`;

test("a Worker terminated while it writes, flushes and reads leaves the process and its stores whole", async () => {
  const writing = worker(`
    self.onmessage = async ({ data: directory }) => {
      const db = await Varve.open(directory, { writeBufferSize: 65536 });
      for (let index = 0; index < 2000; index++) {
        db.putSync("key " + index, new Uint8Array(200), { durability: "buffered" });
      }
      self.postMessage("ready");
      for (let round = 0;; round++) {
        const work = [db.flush()];
        for (let index = 0; index < 200; index++) {
          work.push(db.put("key " + round + index, new Uint8Array(500)));
          work.push(db.get("key " + index * 7));
        }
        await Promise.all(work);
      }
    };`);
  const { code, signal, stdout, stderr } = await runChild(`
    ${MESSAGE}
    const own = await Varve.open(directory); // the library is loaded here first
    for (let round = 0; round < 3; round++) {
      const writer = new Worker(${writing}, { type: "module" });
      const ready = message(writer);
      writer.postMessage(directory + "-" + round);
      if (await ready !== "ready") throw new Error("not ready");
      await new Promise((resolve) => setTimeout(resolve, 30));
      writer.terminate();
      await own.put("after " + round, "value");
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
    for (let index = 0; index < 50; index++) await own.put("key " + index, "value");
    await own.close();
    const again = await Varve.open(directory);
    console.log(again.hasSync("after 2"), [...again.keys()].length);
    await again.close();
    process.exit(0);
  `);
  assert.equal(signal, null, stderr);
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "true 53\n");
});

test("a Worker that ends by itself with its store open does no harm", async () => {
  const leaving = worker(`
    self.onmessage = async ({ data: directory }) => {
      const db = await Varve.open(directory);
      db.put("in flight", new Uint8Array(100_000));
      self.postMessage("left");
      self.close();
    };`);
  const { code, signal, stdout, stderr } = await runChild(`
    ${MESSAGE}
    await (await Varve.open(directory)).close();
    const leaver = new Worker(${leaving}, { type: "module" });
    const left = message(leaver);
    leaver.postMessage(directory + "-other");
    console.log(await left);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const db = await Varve.open(directory);
    await db.put("key", "value");
    await db.close();
    console.log("whole");
    process.exit(0);
  `);
  assert.equal(signal, null, stderr);
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "left\nwhole\n");
});
