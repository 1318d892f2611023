/**
 * A process is killed under load, again and again on the same store. Afterwards the store holds exactly what was
 * acknowledged, plus, of each writer, the one write that was in flight or nothing of it.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { Varve } from "../../mod.ts";
import { type Child, linesOf, soon, startChild, text } from "../api/support.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { type Effect, effectsOf, FAMILIES, WRITER_COUNT } from "./kill_load.ts";

const CHILD = new URL("./kill_child.ts", import.meta.url);
const KILL_COUNT = 10;
const ACKNOWLEDGED_MAX = 2_000;
/** Opening takes a few milliseconds: kills are spread over it. */
const OPENING_MILLISECONDS_MAX = 40;

/** Key → value of each family. */
type Contents = Map<string, string>[];

/** The last acknowledged round of each writer; -1: none. */
type Acknowledged = number[];

function nobody(): Acknowledged {
  return new Array(WRITER_COUNT).fill(-1);
}

function emptyContents(): Contents {
  return FAMILIES.map(() => new Map<string, string>());
}

function apply(contents: Contents, effects: readonly Effect[]): void {
  for (const { family, key, value } of effects) {
    if (value === undefined) contents[family].delete(key);
    else contents[family].set(key, value);
  }
}

function afterRounds(generation: number, writer: number, last: number): Contents {
  const contents = emptyContents();
  for (let round = 0; round <= last; round++) apply(contents, effectsOf(generation, writer, round));
  return contents;
}

function sameContents(a: Contents, b: Contents): boolean {
  return a.every((family, index) =>
    family.size === b[index].size &&
    [...family].every(([key, value]) => b[index].get(key) === value)
  );
}

/** Reads what the child says until `enough`, kills it, and reads what it had said before it died. */
async function killWhen(
  child: Child,
  acknowledged: Acknowledged,
  enough: (acknowledgedCount: number, line: string) => boolean | Promise<boolean>,
): Promise<number> {
  const ended = once(child, "close");
  let count = 0;
  let killed = false;
  for await (const line of linesOf(child)) {
    const match = /^(\d+) (\d+)$/.exec(line);
    if (match !== null) {
      const [writer, round] = [Number(match[1]), Number(match[2])];
      assert.equal(round, acknowledged[writer] + 1);
      acknowledged[writer] = round;
      count++;
    }
    if (!killed && await enough(count, line)) {
      killed = true;
      child.kill("SIGKILL");
    }
  }
  const [, signal] = await ended;
  assert.equal(signal, "SIGKILL", "the child lives until it is killed");
  return count;
}

/** Opens the store, compares all it holds, and adds what this generation left to `settled`. */
async function check(
  path: string,
  settled: Contents,
  generation: number,
  acknowledged: Acknowledged,
): Promise<void> {
  await using db = await soon(Varve.open(path), "recovery");
  const found = emptyContents();
  const ofWriter = Array.from({ length: WRITER_COUNT }, emptyContents);
  for (const [index, name] of FAMILIES.entries()) {
    const family = await db.columnFamily(name);
    for (const [keyBytes, valueBytes] of family.entries()) {
      const key = text(keyBytes)!;
      const [ownGeneration, writer] = key.split("-");
      const into = Number(ownGeneration) === generation ? ofWriter[Number(writer)] : found;
      into[index].set(key, text(valueBytes)!);
    }
  }
  assert.deepEqual(found, settled, "earlier generations are as they were found");
  for (let writer = 0; writer < WRITER_COUNT; writer++) {
    const last = acknowledged[writer];
    const outcomes = [last, last + 1].map((round) => afterRounds(generation, writer, round));
    const outcome = outcomes.find((contents) => sameContents(contents, ofWriter[writer]));
    if (outcome === undefined) assert.deepEqual(ofWriter[writer], outcomes[0], `writer ${writer}`);
    for (const [index, family] of outcome!.entries()) {
      for (const [key, value] of family) settled[index].set(key, value);
    }
  }
  await soon(db.verify(), "verify");
}

test("ten kills under load on one store lose nothing that was acknowledged, and tear no batch", async () => {
  const path = temporaryDirectory();
  const settled = emptyContents();
  let total = 0;
  for (let generation = 0; generation < KILL_COUNT; generation++) {
    const target = 1 + Math.floor(Math.random() * ACKNOWLEDGED_MAX);
    const acknowledged = nobody();
    const child = startChild(CHILD, path, String(generation));
    const count = await soon(
      killWhen(child, acknowledged, (count) => count >= target),
      `generation ${generation}`,
      20_000,
    );
    total += count;
    try {
      await check(path, settled, generation, acknowledged);
    } catch (error) {
      console.error(`kill: generation ${generation}, ${count} acknowledged, store ${path}`);
      throw error;
    }
  }
  assert.ok(total >= KILL_COUNT);
  const tables = readdirSync(path).filter((name) => name.endsWith(".table"));
  assert.ok(tables.length > FAMILIES.length, "flushes ran");
});

test("kills during open and recovery, several in a row, change nothing", async () => {
  const path = temporaryDirectory();
  const settled = emptyContents();
  for (let generation = 0; generation < 2; generation++) {
    const acknowledged = nobody();
    const load = startChild(CHILD, path, String(generation));
    await soon(killWhen(load, acknowledged, (count) => count >= 500), "the load", 20_000);
    // Nothing is checked in between: each of these meets what the one before left of its recovery.
    for (let round = 0; round < 4; round++) {
      const wait = Math.random() * OPENING_MILLISECONDS_MAX;
      await soon(
        killWhen(startChild(CHILD, path), nobody(), async (_, line) => {
          if (line !== "opening") return line === "open";
          await delay(wait);
          return true;
        }),
        "a killed open",
        20_000,
      );
    }
    await check(path, settled, generation, acknowledged).catch((error) => {
      console.error(`kill: generation ${generation}, store ${path}`);
      throw error;
    });
  }
});
