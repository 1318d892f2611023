/** A process is killed while several of its Workers commit at the log's tail at the same time. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Varve } from "../../mod.ts";
import { linesOf, soon, startChild } from "../api/support.ts";
import { temporaryDirectory, test } from "../harness.ts";

const CHILD = new URL("./kill_child.ts", import.meta.url);
const WORKER_COUNT = 3;
const KILL_COUNT = 6;
/** Lines, of a hundred puts each. */
const LINES_MAX = 60;

/** How many puts of each Worker had returned when the process was killed. */
async function killedAfter(path: string, generation: number): Promise<number[]> {
  const notes = temporaryDirectory();
  const child = startChild(CHILD, path, notes, String(generation));
  const ended = once(child, "close");
  let left = WORKER_COUNT + Math.floor(Math.random() * LINES_MAX);
  for await (const _ of linesOf(child)) if (--left === 0) child.kill("SIGKILL");
  const [, signal] = await ended;
  assert.equal(signal, "SIGKILL", "the child lives until it is killed");
  return Array.from({ length: WORKER_COUNT }, (_, index) => {
    const { buffer, byteOffset, byteLength } = new Uint8Array(readFileSync(`${notes}/${index}`));
    return byteLength === 0 ? 0 : new Float64Array(buffer, byteOffset, 1)[0] + 1;
  });
}

test("killed while Workers commit at the same time: what returned is there, and of each Worker at most one put more", async () => {
  const path = temporaryDirectory();
  for (let generation = 0; generation < KILL_COUNT; generation++) {
    const returned = await soon(killedAfter(path, generation), "the kill", 60_000);
    await using db = await soon(Varve.open(path), "recovery");
    const shared = await db.columnFamily("shared");
    for (const [index, count] of returned.entries()) {
      const own = await db.columnFamily(`worker ${index}`);
      const name = (number: number) => new TextEncoder().encode(`${generation} ${index} ${number}`);
      const valueOf = (number: number) => (number % 2 === 0 ? own : shared).getSync(name(number));
      for (let number = 0; number < count; number++) {
        const value = valueOf(number);
        const where = `put ${number} of ${count} by Worker ${index}, generation ${generation}`;
        assert.equal(value?.length, 20 + (number * 97) % 1500, where);
        assert.ok(value.every((byte) => byte === number % 256), where);
      }
      assert.equal(valueOf(count + 1), undefined);
    }
    await db.verify();
  }
});
