/** Power fails while the log is synced beside the writers: for a flush, while others go on behind the mark. */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { test } from "../harness.ts";
import { Varve, VarveError } from "../../mod.ts";
import { SimulatedDisk } from "../../testing.ts";
import { crashes, seed, seeded, SMALL } from "./support.ts";

const PATH = "/store";
const SYNC_STEPS_MAX = 60;

interface Put {
  durable: boolean;
  /** Turns of the event loop before it, each at most one step of the disk. */
  turns: number;
}

interface Round {
  before: number;
  meanwhile: Put[];
  awaited: boolean;
}

const rounds: fc.Arbitrary<Round[]> = fc.array(
  fc.record({
    before: fc.nat(3),
    meanwhile: fc.array(
      fc.record({
        durable: fc.nat(5).map((chance) => chance === 0),
        turns: fc.nat(6),
      }),
      { maxLength: 12 },
    ),
    awaited: fc.boolean(),
  }),
  { minLength: 1, maxLength: 4 },
);

test("a crash during a sync beside the writers leaves a prefix, with all that was promised", () =>
  seeded(() =>
    fc.assert(
      fc.asyncProperty(fc.nat(), rounds, checkRounds),
      { seed, numRuns: crashes(400) },
    )
  ));

async function checkRounds(diskSeed: number, story: Round[]): Promise<void> {
  using disk = new SimulatedDisk({ seed: diskSeed });
  const db = await Varve.open(PATH, { ...SMALL, disk, durability: "buffered" });
  let written = 0;
  let promised = 0;
  const put = async (durable: boolean): Promise<void> => {
    const value = new Uint8Array(10 + 37 * (written % 40)).fill(written);
    await db.put(keyOf(written), value, { durability: durable ? "sync" : "buffered" });
    written++;
    if (durable) promised = written;
  };
  for (const { before, meanwhile, awaited } of story) {
    for (let count = 0; count <= before; count++) await put(false);
    disk.delay("sync", [0, SYNC_STEPS_MAX]);
    const flushed = db.flush().catch((error) => {
      if (!(error instanceof VarveError) || error.code !== "ERR_CLOSED") throw error;
    });
    for (const { durable, turns } of meanwhile) {
      for (let turn = 0; turn < turns; turn++) await setImmediate();
      await put(durable);
    }
    disk.delay("sync", 0);
    if (awaited) await flushed;
  }
  disk.crash();

  const again = await Varve.open(PATH, { ...SMALL, disk });
  let found = 0;
  while (again.getSync(keyOf(found)) !== undefined) found++;
  for (let index = found; index < written; index++) {
    assert.equal(again.getSync(keyOf(index)), undefined, `${index} is there, ${found} is not`);
  }
  assert.ok(found >= promised, `${found} of ${promised} promised puts`);
  await again.close();
}

function keyOf(index: number): string {
  return `key ${index}`;
}
