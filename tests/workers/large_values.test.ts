/** Large values of several Workers: who hosts writes them to segments, everybody reads them, and a successor keeps them. */
import assert from "node:assert/strict";
import { Varve } from "../../mod.ts";
import { assertBytes } from "../api/large_support.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { KINDS, Peer } from "./support.ts";

const OPTIONS = { walSegmentSize: 256 * 1024, writeBufferSize: 16 * 1024 * 1024 };

/** As the Workers make them: the first four, which are volatile, fill a segment. */
function valueOf(index: number): Uint8Array {
  return new Uint8Array((index < 4 ? 300_000 : 70_000) + index).fill(index);
}

for (const kind of KINDS) {
  test(`a successor has the large values of a ${kind} Worker that is gone, volatile ones too, and collects no more than their garbage`, async () => {
    const path = temporaryDirectory();
    const first = await Peer.start(kind);
    await first.open(path, OPTIONS);
    const write = (from: number, to: number) =>
      first.run(
        (_varve, { db }, [from, to]) => {
          for (let index = from; index < to; index++) {
            const logged = index % 2 === 0 ? "sync" : "buffered";
            const durability = index < 4 ? "volatile" : logged;
            const bytes = (index < 4 ? 300_000 : 70_000) + index;
            const value = new Uint8Array(bytes).fill(index);
            db.putSync(`key ${index}`, value, { durability });
          }
        },
        from,
        to,
      );
    await write(0, 5);
    const db = await Varve.open(path, OPTIONS);
    await write(5, 6);
    const check = async (store: Varve, count: number, where: string) => {
      for (let index = 0; index < count; index++) {
        const what = `${where}: ${index}`;
        assertBytes(store.getSync(`key ${index}`), valueOf(index), what);
        assertBytes(await store.get(`key ${index}`), valueOf(index), `${what}, awaited`);
      }
      const rows = [...store.values({ prefix: "key" })];
      assert.equal(rows.length, count, where);
      rows.forEach((row, index) => assertBytes(row, valueOf(index), `${where}: row ${index}`));
    };
    await check(db, 6, "a guest");
    await db.put("key 6", valueOf(6));
    const handed = db.allocate(70_007);
    handed.set(valueOf(7));
    db.putSync("key 7", handed, { transfer: true });
    assert.equal(handed.length, 0);
    await first.terminate();
    await db.put("key 8", valueOf(8));
    // Segments are looked through, while the memtables are as they were found.
    await db.columnFamily("dropped");
    await db.dropColumnFamily("dropped");
    await check(db, 9, "the successor");
    for (let round = 0; round < 3; round++) {
      for (let index = 0; index < 8; index++) db.putSync(`other ${index}`, valueOf(100 + round));
      await db.compact();
    }
    await check(db, 9, "compacted");
    await db.verify();
    await db.close();
    const again = await Varve.open(path, OPTIONS);
    await check(again, 9, "reopened");
    await again.close();
  });
}
