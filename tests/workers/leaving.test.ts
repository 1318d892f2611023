/** Closing a store that several Workers have open: in any order, with writes under way, and the last close is one. */
import assert from "node:assert/strict";
import { Varve } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { type Kind, KINDS, Peer } from "./support.ts";

const TEXT = { keyEncoding: "utf8", valueEncoding: "utf8" } as const;

/** Destroying is refused while any Worker has the store open. */
async function assertClosed(path: string): Promise<void> {
  await Varve.destroy(path);
  await assert.rejects(Varve.open(path, { createIfMissing: false }), { code: "ERR_NOT_FOUND" });
}

for (const kind of KINDS) {
  test(`when the first Worker closes, a ${kind} Worker goes on with everything, and its close is the last`, async () => {
    const path = temporaryDirectory();
    const db = await Varve.open(path, TEXT);
    await using peer = await Peer.start(kind);
    await db.columnFamily("family");
    await db.put("logged", "1");
    await db.put("volatile", "2", { durability: "volatile" });
    await peer.open(path, TEXT);
    await peer.run((_varve, state) => {
      state.snapshot = state.db.snapshot();
      state.iterator = state.db.entries()[Symbol.iterator]();
    });
    await db.put("logged", "changed");
    await db.close();
    await assert.rejects(Varve.destroy(path), { code: "ERR_LOCKED" });
    // Before anybody hosts again: by what the last host left, tables and memory.
    assert.deepEqual(await peer.run((_varve, state) => [...state.db.entries()] as unknown[]), [
      ["logged", "changed"],
      ["volatile", "2"],
    ]);
    assert.equal(
      await peer.run((_varve, state) => state.db.getSync("volatile") as unknown as string),
      "2",
    );
    const said = await peer.run(async (_varve, state) => {
      const { db } = state;
      const before = [...db.entries()];
      db.putSync("own", "3");
      await db.put("other", "4");
      const made = await db.columnFamily("made");
      await made.put("key", "value");
      await db.flush();
      // A host that is busy for longer than statistics wait says what it said last.
      while (db.stats().flush.count === 0) await new Promise((resolve) => setTimeout(resolve, 10));
      return {
        before,
        after: [...db.entries()],
        snapshot: db.getSync("logged", { snapshot: state.snapshot as never }),
        iterated: [...state.iterator as Iterable<unknown>],
        families: db.columnFamilies(),
      };
    });
    assert.deepEqual(said.before, [["logged", "changed"], ["volatile", "2"]]);
    assert.deepEqual(said.after, [
      ["logged", "changed"],
      ["other", "4"],
      ["own", "3"],
      ["volatile", "2"],
    ]);
    assert.equal(said.snapshot, "1");
    assert.deepEqual(said.iterated, [["logged", "1"], ["volatile", "2"]]);
    assert.deepEqual(said.families, ["default", "family", "made"]);
    await peer.run((_varve, state) => state.db.close());
    await assertClosed(path);
  });
}

test("the first Worker comes back as a guest of the one that went on", async () => {
  const path = temporaryDirectory();
  await using peer = await Peer.start("web");
  for (let round = 0; round < 4; round++) {
    const db = await Varve.open(path, TEXT);
    await db.put(`first ${round}`, "value");
    if (round === 0) await peer.open(path, TEXT);
    await peer.run(
      async (_varve, state, [round]) => {
        await state.db.put(`peer ${round}`, "value");
      },
      round,
    );
    assert.equal(db.getSync(`peer ${round}`), "value");
    await db.close();
    await peer.run((_varve, state) => state.db.put("alone", "value"));
  }
  assert.equal(await peer.run((_varve, state) => [...state.db.keys()].length), 9);
  await peer.run((_varve, state) => state.db.close());
  await assertClosed(path);
});

test("writes that are under way when the host closes are committed by the next one, in order", async () => {
  const path = temporaryDirectory();
  const db = await Varve.open(path, TEXT);
  const kinds: Kind[] = ["web", "node", "web"];
  const peers = await Promise.all(kinds.map((kind) => Peer.start(kind)));
  for (const peer of peers) await peer.open(path, TEXT);
  const writing = peers.map((peer, number) =>
    peer.run(
      async (_varve, state, [number]) => {
        const { db } = state;
        for (let index = 0; index < 300; index++) {
          const durability = (["sync", "buffered", "volatile"] as const)[index % 3];
          if (index % 5 === 0) db.putSync(`${number}`, `${index}`, { durability });
          else {
            await Promise.all([
              db.put(`${number}`, `${index}`, { durability }),
              db.put(`${number} ${index}`, "value", { durability }),
            ]);
          }
          const seen = db.getSync(`${number}`) as unknown as string;
          if (seen !== `${index}`) throw new Error(`write ${index} is not seen, but ${seen}`);
        }
      },
      number,
    )
  );
  await new Promise((resolve) => setTimeout(resolve, 50));
  await db.close();
  await Promise.all(writing);
  const seen = await peers[0].run((_varve, state) =>
    [...state.db.entries()] as unknown as [string, string][]
  );
  assert.equal(seen.length, 3 * (240 + 1));
  for (const number of ["0", "1", "2"]) {
    assert.equal(seen.find(([key]) => key === number)![1], "299");
  }
  for (const peer of peers) {
    await peer.run((_varve, state) => state.db.close());
    await peer.terminate();
  }
  await assertClosed(path);
});

test("guests that close at the same time as the host leave nothing open", async () => {
  for (let round = 0; round < 5; round++) {
    const path = temporaryDirectory();
    const db = await Varve.open(path, TEXT);
    const peers = await Promise.all(KINDS.map((kind) => Peer.start(kind)));
    await Promise.all(peers.map((peer) => peer.open(path, TEXT)));
    await Promise.all(
      peers.map((peer) => peer.run((_varve, state) => state.db.put("key", "value"))),
    );
    await Promise.all([
      db.close(),
      ...peers.map((peer) => peer.run((_varve, state) => state.db.close())),
    ]);
    for (const peer of peers) await peer.terminate();
    await assertClosed(path);
  }
});
