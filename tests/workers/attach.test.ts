/** A store that one Worker has open, opened by others: by any spelling, from either kind of Worker. */
import assert from "node:assert/strict";
import { mkdirSync, symlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { Varve } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { KINDS, Peer } from "./support.ts";

const TEXT = { keyEncoding: "utf8", valueEncoding: "utf8" } as const;

for (const kind of KINDS) {
  test(`a ${kind} Worker attaches to a running store by string, relative path, symlink and URL`, async () => {
    const path = join(temporaryDirectory(), "store");
    const link = join(temporaryDirectory(), "link");
    await using db = await Varve.open(path, TEXT);
    await db.put("key", "value");
    symlinkSync(path, link);
    const directory = process.cwd();
    using _back = { [Symbol.dispose]: () => process.chdir(directory) };
    process.chdir(dirname(path));
    await using peer = await Peer.start(kind);
    for (const spelling of [path, `./${basename(path)}/.`, link, pathToFileURL(path).href]) {
      const found = await peer.run(
        async (varve, state, [spelling]) => {
          const where = spelling.startsWith("file:") ? new URL(spelling) : spelling;
          state.db = await varve.open(where, {
            keyEncoding: "utf8",
            valueEncoding: "utf8",
          }) as never;
          const found = state.db.getSync("key") as unknown as string;
          await state.db.put("spelling", spelling);
          await state.db.close();
          return found;
        },
        spelling,
      );
      assert.equal(found, "value", spelling);
      assert.equal(db.getSync("spelling"), spelling);
    }
  });

  test(`a host in a loop of putSync serves a ${kind} Worker's durable writes meanwhile`, async () => {
    const path = temporaryDirectory();
    // What is lent at a time takes some 80,000 of these puts.
    const options = { writeBufferSize: 256 << 20 };
    await using host = await Peer.start(kind);
    await host.open(path, options);
    await using guest = await Peer.start(kind);
    await guest.open(path, options);
    const isServed = new Int32Array(new SharedArrayBuffer(4));
    const looping = host.run((_varve, { db }, [isServed]) => {
      const key = new Uint8Array([1]);
      let puts = 0;
      for (; Atomics.load(isServed, 0) === 0; puts++) {
        db.putSync(key, key, { durability: "buffered" });
      }
      return puts;
    }, isServed);
    const writes = 50;
    await guest.run(
      (_varve, { db }, [isServed, writes]) => {
        const key = new Uint8Array([2]);
        for (let count = 0; count < writes; count++) db.putSync(key, key, { durability: "sync" });
        Atomics.store(isServed, 0, 1);
      },
      isServed,
      writes,
    );
    const puts = await looping;
    assert.ok(puts < writes * 20_000, `the host made ${puts} puts meanwhile`);
  });

  test(`a ${kind} Worker's openSync attaches while the first Worker's event loop turns`, async () => {
    const path = temporaryDirectory();
    await using db = await Varve.open(path, TEXT);
    await using peer = await Peer.start(kind);
    await peer.run((varve, state, [path]) => {
      state.db = varve.openSync(path);
      state.db.putSync("key", "value");
    }, path);
    assert.equal(db.getSync("key"), "value");
    await peer.run((_varve, state) => state.db.closeSync());
  });

  test(`everybody sees at once what a ${kind} Worker or the first one has acknowledged`, async () => {
    const path = temporaryDirectory();
    await using db = await Varve.open(path, { ...TEXT, writeBufferSize: 65536 });
    await using peer = await Peer.start(kind);
    await peer.open(path, TEXT);
    for (let round = 0; round < 20; round++) {
      const value = `${round}:${"x".repeat(5000)}`;
      await db.put("own", value, { durability: "buffered" });
      const [seen, listed] = await peer.run(
        async (_varve, state, [round, value]) => {
          const seen = state.db.getSync("own") as unknown as string;
          await state.db.put("peer", value, { durability: round % 2 === 0 ? "sync" : "volatile" });
          for (let index = 0; index < 5; index++) {
            state.db.putSync(`filler ${index}`, value, { durability: "buffered" });
          }
          return [seen, [...state.db.keys()] as unknown as string[]] as const;
        },
        round,
        value,
      );
      assert.equal(seen, value);
      assert.equal(db.getSync("peer"), value);
      assert.deepEqual(listed, [...db.keys()]);
    }
    assert.ok(db.stats().flush.count > 0, "memtables were rotated and flushed meanwhile");
  });

  test(`batches, deletes, ranges, merges and ttl of a ${kind} Worker are the store's`, async () => {
    const path = temporaryDirectory();
    await using db = await Varve.open(path, TEXT);
    await using peer = await Peer.start(kind);
    await peer.open(path, TEXT);
    await peer.run(async (_varve, state) => {
      const { db } = state;
      const counts = await db.columnFamily("counts", { mergeOperator: "add", keyEncoding: "utf8" });
      const logs = await db.columnFamily("logs", {
        mergeOperator: "append",
        keyEncoding: "utf8",
        valueEncoding: "utf8",
      });
      await Promise.all([1, 2, 3].map((by) => counts.merge("visits", by)));
      logs.mergeSync("day", "a");
      logs.mergeSync("day", "b");
      await db.batch().put("a", "1").put("b", "2").put("c", "3").put(logs, "x", "y").write();
      await db.delete("a");
      db.deleteSync("never");
      await db.deleteRange({ gte: "c", lt: "d" });
      db.putSync("soon", "gone", { ttl: 0.001 });
      await db.put("later", "there", { ttl: 1e9 });
    });
    const counts = await db.columnFamily("counts", { mergeOperator: "add", keyEncoding: "utf8" });
    const logs = await db.columnFamily("logs", { ...TEXT, mergeOperator: "append" });
    assert.equal(counts.getSync("visits"), 6n);
    assert.equal(logs.getSync("day"), "ab");
    assert.equal(logs.getSync("x"), "y");
    assert.deepEqual([...db.entries()], [["b", "2"], ["later", "there"]]);
  });

  test(`families, snapshots, iterators, flush, compact, sync, verify and stats work in a ${kind} Worker`, async () => {
    const path = temporaryDirectory();
    await using db = await Varve.open(path, TEXT);
    await using peer = await Peer.start(kind);
    await peer.open(path, TEXT);
    const made = await db.columnFamily("made", TEXT);
    await made.put("key", "before");
    const said = await peer.run(async (_varve, state) => {
      const { db } = state;
      const families = db.columnFamilies();
      const made = await db.columnFamily("made", { keyEncoding: "utf8", valueEncoding: "utf8" });
      using snapshot = db.snapshot();
      const iterator = made.entries()[Symbol.iterator]();
      await made.put("key", "after");
      await db.flush();
      await db.compact();
      await db.sync();
      db.syncSync();
      db.flushSync();
      await db.verify();
      const seen = [
        made.getSync("key", { snapshot }),
        made.getSync("key"),
        ...iterator.next().value!,
        ...await made.getMany(["key", "none"]),
        await made.count(),
      ];
      const { flush, columnFamilies, sequence } = db.stats();
      return { families, seen, flushes: flush.count, known: Object.keys(columnFamilies), sequence };
    });
    assert.deepEqual(said.families, ["default", "made"]);
    assert.deepEqual(said.seen, ["before", "after", "key", "before", "after", undefined, 1]);
    const stats = db.stats();
    assert.equal(said.flushes, stats.flush.count);
    assert.equal(said.sequence, stats.sequence);
    assert.deepEqual(said.known, ["default", "made"]);
    await peer.run((_varve, state) => state.db.dropColumnFamily("made"));
    await assert.rejects(made.get("key"), { code: "ERR_COLUMN_FAMILY_DROPPED" });
    assert.deepEqual(db.columnFamilies(), ["default"]);
  });

  test(`errors of a ${kind} Worker have codes, its own and the host's`, async () => {
    const path = temporaryDirectory();
    await using db = await Varve.open(path, TEXT);
    await db.columnFamily("logs", { mergeOperator: "append" });
    await using peer = await Peer.start(kind);
    await peer.open(path, TEXT);
    const codes = await peer.run(
      async (varve, state, [path]) => {
        const { db } = state;
        const codes: (string | undefined)[] = [];
        const note = async (attempt: () => unknown) => {
          try {
            await attempt();
            codes.push("none");
          } catch (error) {
            codes.push((error as { code?: string }).code);
          }
        };
        await note(() => varve.open(path, { errorIfExists: true }));
        await note(() => db.dropColumnFamily("none"));
        await note(() => db.dropColumnFamily("default"));
        await note(() => db.columnFamily("logs", { mergeOperator: "max" }));
        await note(() => db.checkpoint(path));
        await note(() => db.put("key", 5 as never));
        const dropped = await db.columnFamily("short-lived");
        await db.dropColumnFamily("short-lived");
        await note(() => dropped.put("key", "value"));
        await note(() => dropped.getSync("key"));
        await db.close();
        await note(() => db.get("key"));
        return codes;
      },
      path,
    );
    assert.deepEqual(codes, [
      "ERR_EXISTS",
      "ERR_NOT_FOUND",
      "ERR_INVALID_ARGUMENT",
      "ERR_INVALID_ARGUMENT",
      "ERR_EXISTS",
      "ERR_INVALID_ARGUMENT",
      "ERR_COLUMN_FAMILY_DROPPED",
      "ERR_COLUMN_FAMILY_DROPPED",
      "ERR_CLOSED",
    ]);
  });
}

test("durable writes of several Workers share groups and syncs", async () => {
  const path = temporaryDirectory();
  await using db = await Varve.open(path, TEXT);
  const peers = await Promise.all(KINDS.map((kind) => Peer.start(kind)));
  for (const peer of peers) await peer.open(path, TEXT);
  const before = db.stats().write;
  await Promise.all(peers.map((peer, number) =>
    peer.run(
      async (_varve, state, [number]) => {
        await Promise.all(Array.from({ length: 16 }, async (_, writer) => {
          for (let index = 0; index < 25; index++) {
            await state.db.put(`${number} ${writer} ${index}`, "value");
          }
        }));
      },
      number,
    )
  ));
  const after = db.stats().write;
  assert.equal(after.batches - before.batches, 2 * 16 * 25);
  assert.ok(after.groups - before.groups <= 2 * 25 + 10, `${after.groups - before.groups} groups`);
  assert.equal([...db.keys()].length, 2 * 16 * 25);
  for (const peer of peers) {
    await peer.run((_varve, state) => state.db.close());
    await peer.terminate();
  }
});

test("a read-only store is shared by readers, and takes no writer", async () => {
  const path = join(temporaryDirectory(), "store");
  mkdirSync(path);
  await using made = await Varve.open(path, TEXT);
  await made.put("key", "value");
  await made.close();
  await using db = await Varve.open(path, { ...TEXT, readOnly: true });
  await using peer = await Peer.start("node");
  await assert.rejects(peer.open(path), { code: "ERR_READ_ONLY" });
  await peer.open(path, { ...TEXT, readOnly: true });
  assert.equal(await peer.run((_varve, state) => state.db.get("key") as never), "value");
  await assert.rejects(peer.run((_varve, state) => state.db.put("key", "other")), {
    code: "ERR_READ_ONLY",
  });
  await peer.run((_varve, state) => state.db.close());
  assert.equal(db.getSync("key"), "value");
});

test("while the host's program computes, guests read on, and their writes wait for it", async () => {
  const path = temporaryDirectory();
  await using db = await Varve.open(path, TEXT);
  await db.put("key", "value");
  await using peer = await Peer.start("web");
  await peer.open(path, TEXT);
  const shared = new Int32Array(new SharedArrayBuffer(4));
  const said = peer.run(
    async (_varve, state, [shared]) => {
      const { db } = state;
      Atomics.wait(shared, 0, 0); // until the host computes
      const read = db.getSync("key") as unknown as string;
      let settled = false;
      const writing = db.put("written", "value").then(() => settled = true);
      await new Promise((resolve) => setTimeout(resolve, 50));
      const early = settled;
      Atomics.store(shared, 0, 2);
      await writing;
      return [read, early];
    },
    shared,
  );
  await new Promise((resolve) => setTimeout(resolve, 50));
  Atomics.store(shared, 0, 1);
  Atomics.notify(shared, 0);
  while (Atomics.load(shared, 0) !== 2);
  assert.deepEqual(await said, ["value", false]);
  assert.equal(db.getSync("written"), "value");
  await peer.run((_varve, state) => state.db.close());
});
