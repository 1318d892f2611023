/** Many writers at once: they share syncs, keep their order, and never wait for each other in a circle. */
import assert from "node:assert/strict";
import { type Durability, Varve } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { soon, text } from "../api/support.ts";

/** Of 64 writers, so many share each sync at least. */
const PUTS_PER_SYNC_MIN = 56;
const TINY = { writeBufferSize: 64 * 1024, maxWriteBuffers: 2 };

for (const writerCount of [1, 4, 8, 64, 1_000]) {
  test(`${writerCount} durable writers at once make progress and are all there afterwards`, async () => {
    const path = temporaryDirectory();
    const rounds = Math.max(3, Math.floor(640 / writerCount));
    {
      await using db = await Varve.open(path);
      const write = async (writer: number) => {
        for (let round = 0; round < rounds; round++) {
          await db.put(`${writer}-${round}`, "v");
          assert.ok(db.hasSync(`${writer}-${round}`), "acknowledged means visible");
        }
      };
      await soon(Promise.all(Array.from({ length: writerCount }, (_, i) => write(i))), "writing");
      const { batches, syncGroups } = db.stats().write;
      assert.equal(batches, writerCount * rounds);
      assert.ok(syncGroups >= rounds);
      if (writerCount === 64) {
        assert.ok(
          batches / syncGroups >= PUTS_PER_SYNC_MIN,
          `${batches} puts, ${syncGroups} syncs`,
        );
      }
    }
    await using db = await Varve.open(path);
    assert.equal(await db.count(), writerCount * rounds);
  });
}

test("64 writers that do other things between their puts still share syncs", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const write = async (writer: number) => {
    for (let round = 0; round < 20; round++) {
      await db.put(`${writer}-${round}`, "v");
      await db.get(`${writer}-${round}`);
      await null;
    }
  };
  await soon(Promise.all(Array.from({ length: 64 }, (_, writer) => write(writer))), "writing");
  const { batches, syncGroups } = db.stats().write;
  assert.ok(batches / syncGroups >= PUTS_PER_SYNC_MIN, `${batches} puts, ${syncGroups} syncs`);
});

test("putSync between pending puts commits them first, in call order", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const pending: Promise<void>[] = [];
  for (let index = 0; index < 200; index++) {
    pending.push(db.put("k", `async ${index}`), db.put(`a${index}`, "v"));
    db.putSync(`s${index}`, "v");
    assert.equal(text(db.getSync("k")), `async ${index}`);
    assert.ok(db.hasSync(`a${index}`));
    if (index % 20 === 0) await pending.at(-1);
  }
  await soon(Promise.all(pending), "the pending puts");
  assert.equal(await db.count(), 401);
});

test("calls of every kind, pending and blocking, mixed in one turn, all end", async () => {
  await using db = await Varve.open(temporaryDirectory(), TINY);
  const pending: Promise<unknown>[] = [];
  for (let index = 0; index < 60; index++) {
    pending.push(db.put(`a${index}`, "v".repeat(500)));
    db.putSync(`s${index}`, "v".repeat(500));
    if (index % 10 !== 0) continue;
    pending.push(db.flush());
    db.flushSync();
    db.syncSync();
    pending.push(db.sync(), db.columnFamily(`f${index}`), db.verify(), db.count());
    db.columnFamilySync(`g${index}`);
    pending.push(db.dropColumnFamily(`g${index}`));
    db.countSync();
  }
  await soon(Promise.all(pending), "what was pending");
  assert.equal(db.columnFamilies().length, 7);
});

for (const durability of ["sync", "buffered", "volatile"] as const) {
  test(`${durability} writers that outrun the flushes wait for them, and end`, async () => {
    const path = temporaryDirectory();
    const value = "v".repeat(500);
    {
      await using db = await Varve.open(path, { ...TINY, durability });
      const other = await db.columnFamily("other");
      const write = async (writer: number) => {
        const family = writer % 2 === 0 ? db : other;
        for (let round = 0; round < 60; round++) await family.put(`${writer}-${round}`, value);
      };
      await soon(Promise.all(Array.from({ length: 64 }, (_, writer) => write(writer))), "writing");
      for (let index = 0; index < 500; index++) db.putSync(`s${index}`, value);
      assert.ok(db.stats().flush.count > 0);
    }
    await using db = await Varve.open(path);
    assert.equal(await db.count(), 32 * 60 + 500);
    assert.equal(await (await db.columnFamily("other")).count(), 32 * 60);
  });
}

test("a budget for all memtables makes writers wait, and not for ever", async () => {
  for (const durability of ["sync", "buffered", "volatile"] as const) {
    await using db = await Varve.open(temporaryDirectory(), {
      durability,
      totalWriteBufferSize: 64 * 1024,
      maxWriteBuffers: 1,
    });
    const other = await db.columnFamily("other");
    const writes = Array.from(
      { length: 1_000 },
      (_, index) => (index % 2 === 0 ? db : other).put(`k${index}`, "v".repeat(500)),
    );
    await soon(Promise.all(writes), `${durability} writes`);
    assert.equal(await db.count() + await other.count(), 1_000);
  }
});

test("an acknowledged buffered or volatile write behind a sync one waits for it", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const order: Durability[] = [];
  const put = (durability: Durability) =>
    db.put(durability, "v", { durability }).then(() => {
      order.push(durability);
      for (const earlier of order) assert.ok(db.hasSync(earlier));
    });
  for (let round = 0; round < 20; round++) {
    order.length = 0;
    const later: Durability = round % 2 === 0 ? "buffered" : "volatile";
    await soon(Promise.all([put("sync"), put(later)]), "both");
    assert.deepEqual(order, ["sync", later]);
    assert.equal(text(db.getSync("sync")), "v");
    await db.delete("sync");
    await db.delete(later);
  }
});

test("writes of one key end in call order, whatever their durability", async () => {
  await using db = await Varve.open(temporaryDirectory());
  const durabilities: Durability[] = ["volatile", "sync", "buffered"];
  for (let round = 0; round < 30; round++) {
    const pending = durabilities.map((durability, index) =>
      db.put("k", `${round}-${index}`, { durability })
    );
    await soon(Promise.all(pending), "the writes");
    assert.equal(text(db.getSync("k")), `${round}-2`);
  }
});

test("nobody reads a sync write before it is acknowledged as durable", async () => {
  await using db = await Varve.open(temporaryDirectory());
  for (let round = 0; round < 50; round++) {
    const before = db.stats().write.syncGroups;
    const write = db.put(`k${round}`, "v");
    while (!db.hasSync(`k${round}`)) await new Promise((resolve) => setTimeout(resolve, 0));
    assert.ok(db.stats().write.syncGroups > before);
    await write;
  }
});

test("readers see a batch whole, in all its families, while it is being written", async () => {
  await using db = await Varve.open(temporaryDirectory(), TINY);
  const other = await db.columnFamily("other");
  let writing = true;
  const write = async () => {
    for (let round = 0; round < 200; round++) {
      await db.batch().put("a", String(round)).put(other, "b", String(round)).write({
        durability: round % 3 === 0 ? "sync" : "buffered",
      });
    }
    writing = false;
  };
  const read = async () => {
    while (writing) {
      using snapshot = db.snapshot();
      const [a, b] = await Promise.all([
        db.get("a", { snapshot }),
        other.get("b", { snapshot }),
      ]);
      assert.equal(text(a), text(b));
      assert.equal(text(db.getSync("a")), text(other.getSync("b")));
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  };
  await soon(Promise.all([write(), read(), read()]), "writers and readers");
});
