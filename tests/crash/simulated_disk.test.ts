/** `varve/testing` as its users meet it. */
import assert from "node:assert/strict";
import { Varve, type VarveError } from "../../mod.ts";
import { CrashFailure, everyCrash, SimulatedDisk } from "../../testing.ts";
import { test } from "../harness.ts";

test("everyCrash() finds a planted bug in a program of its user, and says how to see it again", async () => {
  // The total and its copy belong together, and are not written together.
  const program = async (disk: SimulatedDisk): Promise<void> => {
    await using db = await Varve.open("/shop", { disk });
    for (let total = 1; total <= 3; total++) {
      await db.put("total", String(total));
      await db.put("copy", String(total));
    }
  };
  const check = async (disk: SimulatedDisk): Promise<void> => {
    await using db = await Varve.open("/shop", { disk });
    const [total, copy] = (await db.getMany(["total", "copy"])).map((value) => value?.[0]);
    assert.equal(total, copy);
  };
  const failure = await everyCrash(program, check, { seed: 7 }).then(
    () => undefined,
    (error) => error,
  );
  assert.ok(failure instanceof CrashFailure, String(failure));
  const again = await everyCrash(program, check, {
    seed: failure.seed,
    operation: failure.operation,
    outcomes: 1,
  })
    .then(() => undefined, (error) => error);
  assert.equal(again?.message, failure.message);
  assert.deepEqual(again.operations, failure.operations);
});

test("everyCrash() says so when the program itself fails", async () => {
  const broken = everyCrash(() => Promise.reject(new TypeError("mine")), () => {});
  await assert.rejects(broken, TypeError);
});

test("crash() ends pending and later calls with ERR_CLOSED, in order with a close or an open under way", async () => {
  using disk = new SimulatedDisk({ seed: 1 });
  const closed = { name: "VarveError", code: "ERR_CLOSED" };
  const db = await Varve.open("/data", { disk });
  await db.put("a", "1");
  const iterator = db.entries()[Symbol.iterator]();
  iterator.next();
  const snapshot = db.snapshot();
  const pending = [db.put("b", "2"), db.flush(), db.columnFamily("f"), db.sync()];
  disk.crash();
  for (const promise of pending) await assert.rejects(promise, closed);
  for (const call of [() => db.getSync("a"), () => db.putSync("a", "1"), () => iterator.next()]) {
    assert.throws(call, closed);
  }
  await assert.rejects(db.get("a"), closed);
  snapshot[Symbol.dispose]();
  await db.close();

  const opening = Varve.open("/data", { disk });
  disk.crash();
  await assert.rejects(opening, closed);
  const again = await Varve.open("/data", { disk });
  const closing = again.close();
  disk.crash();
  await closing.catch((error) => assert.equal((error as VarveError).code, "ERR_CLOSED"));
  using last = Varve.openSync("/data", { disk });
  assert.equal(last.getSync("a")?.[0], 49);
});

test("stores are known by disk and path, and a disk's clock is its own", async () => {
  using left = new SimulatedDisk({ seed: 1 });
  using right = new SimulatedDisk({ seed: 1 });
  const one = await Varve.open("/data", { disk: left });
  const other = await Varve.open("/data", { disk: right });
  const deep = await Varve.open("/data/deep/er", { disk: left });
  const same = await Varve.open("/x/../data/.", { disk: left });
  await one.put("a", "1");
  assert.equal(await other.get("a"), undefined);
  assert.equal(await deep.get("a"), undefined);
  assert.equal((await same.get("a"))?.[0], 49);
  left.clock = 5;
  assert.equal(left.clock, 5);
  assert.notEqual(right.clock, 5);
  right.crash();
  assert.equal((await one.get("a"))?.[0], 49);
});

test("what a disk does not take is refused with the reason", async () => {
  const invalid = { name: "VarveError", code: "ERR_INVALID_ARGUMENT" };
  for (const seed of [-1, 0.5, NaN]) assert.throws(() => new SimulatedDisk({ seed }), invalid);
  using disk = new SimulatedDisk();
  assert.throws(() => disk.failNext("fly" as never), invalid);
  assert.throws(() => disk.failNext("sync", "ENONSENSE"), invalid);
  assert.throws(() => disk.failOften("sync", 2), invalid);
  assert.throws(() => disk.crashAfter(-1), invalid);
  await assert.rejects(Varve.open("/data", { disk: {} }), invalid);
});
