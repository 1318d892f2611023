/** What keeps a process alive: a call that somebody awaits, and nothing else. */
import assert from "node:assert/strict";
import { test } from "../harness.ts";
import { runChild } from "./child.ts";

/** A loop that nobody ends would be killed after a minute; both programs take a fraction of a second. */
const PROMPT_MS = 10_000;

test("an open, idle store lets the process end", async () => {
  const started = performance.now();
  const { code, signal, stdout, stderr } = await runChild(`
    const db = await Varve.open(directory, { syncInterval: 60_000 });
    await db.put("key", "value");
    db.putSync("buffered", "value", { durability: "buffered" });
    console.log("idle");
  `);
  assert.deepEqual([code, signal, stdout], [0, null, "idle\n"], stderr);
  assert.ok(performance.now() - started < PROMPT_MS);
});

test("background work alone does not keep the process alive", async () => {
  const { code, signal, stdout, stderr } = await runChild(`
    const db = await Varve.open(directory, { writeBufferSize: 65536, durability: "buffered" });
    for (let index = 0; index < 3000; index++) db.putSync("key " + index, new Uint8Array(200));
    console.log("flushing");
  `);
  assert.deepEqual([code, signal, stdout], [0, null, "flushing\n"], stderr);
});

test("a pending put, get, flush and close keep the process alive until they settle", async () => {
  const { code, signal, stdout, stderr } = await runChild(`
    const db = await Varve.open(directory);
    for (let index = 0; index < 100; index++) db.putSync("key " + index, "value");
    db.put("pending", new Uint8Array(1 << 20)).then(() => {
      console.log("put");
      db.flush().then(() => {
        console.log("flushed");
        db.get("key 7").then((value) => {
          console.log("got", value.length);
          db.close().then(() => console.log("closed"));
        });
      });
    });
  `);
  assert.deepEqual([code, signal, stdout], [0, null, "put\nflushed\ngot 5\nclosed\n"], stderr);
});

test("a process that ends with unawaited puts in flight ends in order, and loses none that was acknowledged", async () => {
  const { code, signal, stdout, stderr } = await runChild(`
    const db = await Varve.open(directory);
    await db.put("acknowledged", "value");
    for (let index = 0; index < 100; index++) db.put("key " + index, new Uint8Array(10_000));
    process.exit(0);
  `);
  assert.deepEqual([code, signal, stdout], [0, null, ""], stderr);
});
