/** Results are the caller's to keep: no collection, flush, rotation or later write changes them. */
import assert from "node:assert/strict";
import { runtime, temporaryDirectory, test } from "../harness.ts";
import { Varve } from "../../mod.ts";

/** Makes garbage until collections must have run, and asks for one where the runtime takes requests. */
function collect(): void {
  if (runtime === "bun") {
    (globalThis as unknown as { Bun: { gc(force: boolean): void } }).Bun.gc(true);
  }
  let garbage: unknown[] = [];
  for (let index = 0; index < 20_000; index++) {
    garbage.push(new Uint8Array(index % 1500), { index });
    if (garbage.length > 4000) garbage = [];
  }
}

function valueOf(index: number): Uint8Array {
  // Of sizes around the small-array limit, the slab's limit and the value area's.
  const length = [0, 1, 100, 999, 1001, 4095, 4096, 70_000][index % 8];
  return Uint8Array.from({ length }, (_, at) => (at + index) & 0xff);
}

test("kept results survive storms of collections, writes, rotations and flushes", async () => {
  await using db = await Varve.open(temporaryDirectory(), {
    writeBufferSize: 65_536,
    durability: "buffered",
  });
  const kept = new Map<number, Uint8Array>();
  const rows: [Uint8Array, Uint8Array][] = [];
  for (let index = 0; index < 400; index++) {
    await db.put(`key ${index}`, valueOf(index));
    kept.set(
      index,
      index % 2 === 0 ? db.getSync(`key ${index}`)! : (await db.get(`key ${index}`))!,
    );
    if (index % 100 === 99) {
      collect();
      await db.flush();
      rows.push(...db.entries({ limit: 20 }) as Iterable<[Uint8Array, Uint8Array]>);
    }
  }
  for (let index = 0; index < 400; index++) db.putSync(`key ${index}`, "overwritten");
  await db.flush();
  collect();
  for (const [index, value] of kept) assert.deepEqual(value, valueOf(index), `key ${index}`);
  for (const [key, value] of rows) {
    const index = Number(new TextDecoder().decode(key).slice(4));
    assert.deepEqual(value, valueOf(index), `row ${index}`);
  }
});

test("a result that the caller writes to changes neither the store nor its neighbours", () => {
  using db = Varve.openSync(temporaryDirectory(), { durability: "buffered" });
  for (let index = 0; index < 50; index++) db.putSync(`key ${index}`, valueOf(2));
  db.flushSync();
  for (const where of ["tables", "memtable"]) {
    if (where === "memtable") { for (let i = 0; i < 50; i++) db.putSync(`key ${i}`, valueOf(2)); }
    const values = Array.from({ length: 50 }, (_, index) => db.getSync(`key ${index}`)!);
    values[20].fill(0xff);
    assert.deepEqual(values[19], valueOf(2), where);
    assert.deepEqual(values[21], valueOf(2), where);
    assert.deepEqual(db.getSync("key 20"), valueOf(2), where);
  }
});

test("collections while puts are pending lose and change nothing", async () => {
  await using db = await Varve.open(temporaryDirectory());
  for (let round = 0; round < 5; round++) {
    const pending: Promise<void>[] = [];
    for (let index = 0; index < 200; index++) {
      pending.push(db.put(`round ${round} key ${index}`, valueOf(index)));
      if (index % 50 === 0) collect();
    }
    collect();
    await Promise.all(pending);
  }
  collect();
  for (let round = 0; round < 5; round++) {
    for (let index = 0; index < 200; index++) {
      assert.deepEqual(db.getSync(`round ${round} key ${index}`), valueOf(index));
    }
  }
});
