/** Workers that end without closing: the others go on, and what was acknowledged stays. */
import assert from "node:assert/strict";
import { Varve } from "../../mod.ts";
import { WorkerState } from "../../src/native/layout.gen.ts";
import { attachSession, openDirectory, REAL_DISK } from "../../src/native/store_handle.ts";
import { Foundation } from "../../src/store/store.ts";
import { CoreWords } from "../../src/workers/core_words.ts";
import { runtime, temporaryDirectory, test } from "../harness.ts";
import { type Kind, KINDS, Peer } from "./support.ts";

const TEXT = { keyEncoding: "utf8", valueEncoding: "utf8" } as const;

/** Deno's `terminate` waits for synchronous code to end: there a loop that never yields is a Worker that lives on. */
const YIELD_EVERY = runtime === "deno" ? 64 : Infinity;

/** Opening again is refused to another process, and destroying to this one, until nobody has the store. */
async function destroyed(path: string): Promise<void> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    try {
      return await Varve.destroy(path);
    } catch (error) {
      if ((error as { code?: string }).code !== "ERR_LOCKED" || performance.now() > deadline) {
        throw error;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/**
 * Until the Worker that runs this is the only one left that has the store open. Deno's `terminate` resolves before that: a Worker that
 * still lives may host, and when it dies with the store open that is no close, which would keep volatile writes.
 */
async function untilAlone(path: string): Promise<void> {
  const core = openDirectory(REAL_DISK, path, false, false, 1).handle;
  const foundation = new Foundation(attachSession(core, 1, path)!, path, REAL_DISK, false);
  const words = new CoreWords(foundation.core);
  const living = () =>
    [...words.occupied()].filter((slot) => words.stateOf(slot) === WorkerState.alive).length;
  // The handle that the test has, and this one.
  while (living() > 2) await new Promise((resolve) => setTimeout(resolve, 5));
  foundation.release();
}

for (const kind of KINDS) {
  test(`when the ${kind} Worker that opened the store first is terminated, the others go on`, async () => {
    const path = temporaryDirectory();
    const first = await Peer.start(kind);
    await first.open(path, { ...TEXT, writeBufferSize: 65536 });
    await first.run(async (_varve, state) => {
      const { db } = state;
      const family = await db.columnFamily("family", { keyEncoding: "utf8" });
      for (let index = 0; index < 400; index++) {
        const durability = (["sync", "buffered", "volatile"] as const)[index % 3];
        db.putSync(`key ${index % 150}`, `${index} ${"x".repeat(300)}`, { durability });
        if (index % 40 === 0) family.putSync(`key ${index}`, "value", { durability });
      }
      db.deleteRangeSync({ gte: "key 140", lt: "key 1499" }, { durability: "volatile" });
    });
    const db = await Varve.open(path, TEXT);
    using snapshot = db.snapshot();
    const before = [...db.entries()];
    const iterator = db.entries()[Symbol.iterator]();
    iterator.next();
    assert.equal(before.length, 140);
    const family = await db.columnFamily("family", TEXT);
    await first.terminate();
    await db.put("own", "value");
    db.putSync("own too", "value", { durability: "buffered" });
    assert.deepEqual([...db.entries()].filter(([key]) => key.startsWith("key")), before);
    assert.deepEqual([...db.entries({ snapshot })], before);
    assert.equal([...iterator].length, before.length - 1);
    assert.equal(family.countSync(), 10);
    await db.flush();
    await db.columnFamily("another");
    // Who was terminated may still have done it: counters begin again with each host, tables do not.
    const hasTables = () => db.stats().columnFamilies.default.levels.some(({ files }) => files > 0);
    // A host that is busy for longer than statistics wait says what it said last.
    while (!hasTables()) await new Promise((resolve) => setTimeout(resolve, 10));
    await db.close();
    const again = await Varve.open(path, TEXT);
    assert.deepEqual([...again.entries()].filter(([key]) => key.startsWith("key")), before);
    assert.deepEqual(again.columnFamilies(), ["default", "another", "family"]);
    await again.close();
    await destroyed(path);
  });

  test(`a ${kind} Worker terminated in a loop of putSync, as host and as guest, loses nothing that it was told`, async () => {
    for (const role of ["host", "guest"]) {
      const path = temporaryDirectory();
      let db: Varve<string, string, string, string> | undefined;
      if (role === "guest") db = await Varve.open(path, TEXT);
      const looping = await Peer.start(kind);
      await looping.open(path, { ...TEXT, writeBufferSize: 65536 });
      if (role === "host") db = await Varve.open(path, TEXT);
      const told = new Int32Array(new SharedArrayBuffer(8));
      const loop = looping.run(
        async (_varve, state, [told, yieldEvery]) => {
          for (let index = 1;; index++) {
            if (index % yieldEvery === 0) await new Promise((resolve) => setTimeout(resolve));
            state.db.putSync(`${index % 1000}`, `${index}`, {
              durability: index % 100 === 0 ? "sync" : "buffered",
            });
            Atomics.store(told, 0, index);
          }
        },
        told,
        YIELD_EVERY,
      );
      loop.catch(() => {});
      const deadline = performance.now() + 20_000;
      while (Atomics.load(told, 0) < 500 && performance.now() < deadline) {
        await db!.put("beside", "value", { durability: "buffered" });
      }
      await looping.terminate();
      await db!.put("after", "value");
      const last = Atomics.load(told, 0);
      assert.ok(last >= 500, `${role}: ${last} writes`);
      for (let index = Math.max(1, last - 999); index <= last; index++) {
        const found = Number(db!.getSync(`${index % 1000}`));
        assert.ok(
          found === index || found === index + 1000,
          `${role}: ${index} of ${last}: ${found}`,
        );
      }
      assert.equal(db!.getSync("after"), "value");
      await db!.close();
      await destroyed(path);
    }
  });
}

for (const close of ["close", "closeSync"] as const) {
  test(`whoever ${close}s last keeps the volatile writes of a host that was terminated`, async () => {
    const path = temporaryDirectory();
    const host = await Peer.start("node");
    await host.open(path, TEXT);
    const db = await Varve.open(path, TEXT);
    await host.run((_varve, state) => state.db.put("key", "value", { durability: "volatile" }));
    await host.terminate();
    await untilAlone(path);
    assert.equal(db.getSync("key"), "value");
    await db[close]();
    await using again = await Varve.open(path, TEXT);
    assert.equal(again.getSync("key"), "value");
  });
}

test("a store whose only Worker was terminated can be opened again, and be destroyed", async () => {
  for (const kind of KINDS) {
    const path = temporaryDirectory();
    const only = await Peer.start(kind);
    await only.open(path, TEXT);
    await only.run((_varve, state) => state.db.put("key", "value"));
    await only.terminate();
    const db = await Varve.open(path, TEXT);
    assert.equal(db.getSync("key"), "value");
    await db.put("own", "value");
    await db.close();
    await destroyed(path);
  }
});

test("a Worker that ends by itself with the store open is as good as one that is terminated", async () => {
  const path = temporaryDirectory();
  const leaving = await Peer.start("node");
  await leaving.open(path, TEXT);
  await using db = await Varve.open(path, TEXT);
  await leaving.run((_varve, state) => {
    state.db.putSync("key", "value");
    setTimeout(() => (globalThis as unknown as { process: { exit(): void } }).process.exit());
  });
  for (let index = 0; index < 20; index++) await db.put(`key ${index}`, "value");
  assert.equal([...db.keys()].length, 21);
});

test("Workers terminated at random, in loops of putSync and of put, lose no acknowledged write", async () => {
  const path = temporaryDirectory();
  const writers = 24;
  const keys = 50;
  /** The last write of each writer that was acknowledged. */
  const told = new Int32Array(new SharedArrayBuffer(4 * writers));
  const alive: Peer[] = [];
  let next = 0;
  const start = async (): Promise<void> => {
    const writer = next++;
    const peer = await Peer.start(KINDS[writer % 2] as Kind);
    await peer.open(path, { ...TEXT, writeBufferSize: 65536 });
    alive.push(peer);
    const writing = peer.run(
      async (_varve, state, [writer, keys, told, yieldEvery]) => {
        const { db } = state;
        const value = "x".repeat(100);
        for (let index = 1;; index++) {
          if (index % yieldEvery === 0) await new Promise((resolve) => setTimeout(resolve));
          const durability = (["sync", "buffered", "volatile"] as const)[(index >> 4) % 3];
          const key = `${writer}:${index % keys}`;
          if (writer % 3 === 0) await db.put(key, `${index} ${value}`, { durability });
          else db.putSync(key, `${index} ${value}`, { durability });
          Atomics.store(told, writer, index);
        }
      },
      writer,
      keys,
      told,
      YIELD_EVERY,
    );
    writing.catch(() => {});
  };
  await Promise.all([start(), start(), start()]);
  const db = await Varve.open(path, TEXT);
  while (next < writers) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const [victim] = alive.splice(next % alive.length, 1);
    await victim.terminate();
    await start();
    await db.put("beside", `${next}`, { durability: "buffered" });
  }
  for (const peer of alive) await peer.terminate();
  await untilAlone(path);
  await db.put("after", "value");
  /** `lasts`: what was told before the reads. A terminated Worker may still end what it was at. */
  const check = (lasts: Int32Array, read: (key: string) => string | undefined): void => {
    for (const [writer, last] of lasts.entries()) {
      for (let index = Math.max(1, last - keys + 2); index <= last; index++) {
        const found = parseInt(read(`${writer}:${index % keys}`) ?? "0");
        assert.ok(found >= index, `writer ${writer}: ${index} of ${last}, found ${found}`);
      }
    }
  };
  let lasts = told.slice();
  check(lasts, (key) => db.getSync(key));
  const all = new Map(db.entries());
  check(lasts, (key) => all.get(key));
  lasts = told.slice();
  await db.close();
  const again = await Varve.open(path, TEXT);
  check(lasts, (key) => again.getSync(key));
  await again.close();
  await destroyed(path);
});
