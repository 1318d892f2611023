/** Many short lives of one store: each leaves a log segment behind, and from the thirteenth on one is let go of. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { type Durability, Varve } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { soon } from "../api/support.ts";

const SESSIONS = 60;
const WRITES = 3;

const SCHEDULES: [string, (session: number) => Durability][] = [
  ["sync", () => "sync"],
  ["buffered", () => "buffered"],
  // Volatile ones are flushed at close, so that no memtable needs any segment.
  ["volatile", () => "volatile"],
  ["mixed", (session) => (["buffered", "sync", "volatile"] as const)[session % 3]],
];

for (const [name, durabilityOf] of SCHEDULES) {
  test(`${SESSIONS} sessions with a few ${name} writes each keep every write, and the log short`, async () => {
    const path = temporaryDirectory();
    for (let session = 0; session < SESSIONS; session++) {
      const db = await soon(Varve.open(path), "open");
      const durability = durabilityOf(session);
      await soon(
        Promise.all(
          Array.from(
            { length: WRITES },
            (_, write) => db.put(`${session}-${write}`, "v", { durability }),
          ),
        ),
        "the writes",
      );
      assert.equal(await db.count(), WRITES * (session + 1), `in session ${session}`);
      await soon(db.close(), "close");
    }
    await using db = await Varve.open(path);
    assert.equal(await db.count(), WRITES * SESSIONS);
    await db.verify();
    const logs = readdirSync(path).filter((file) => file.endsWith(".log"));
    assert.ok(logs.length <= 16, `${logs.length} segments`);
  });
}

test("a flush without any later write, then sessions without writes, then one with", async () => {
  const path = temporaryDirectory();
  {
    await using db = await Varve.open(path);
    await db.put("a", "1");
    await db.flush();
  }
  for (let round = 0; round < 3; round++) {
    await using db = await Varve.open(path);
    await db.flush();
    assert.equal(await db.count(), 1);
  }
  {
    await using db = await Varve.open(path);
    await db.put("b", "2");
  }
  await using db = await Varve.open(path);
  assert.equal(await db.count(), 2);
});
