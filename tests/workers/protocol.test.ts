/** The protocol, through every interleaving of its steps within bounds, with deaths after any step. */
import assert from "node:assert/strict";
import { test } from "../harness.ts";
import {
  begin,
  type Bounds,
  check,
  checkEnd,
  type Mistake,
  type State,
  steps,
  Violation,
} from "./protocol_model.ts";

interface Explored {
  readonly states: number;
  readonly violation: string | undefined;
}

/** Every state that can be reached, each once. Stops at the first that breaks a promise. */
function explore(bounds: Bounds, mistake?: Mistake): Explored {
  const first = begin(bounds);
  const seen = new Set([JSON.stringify(first)]);
  const open: State[] = [first];
  try {
    for (let state = open.pop(); state !== undefined; state = open.pop()) {
      let last = true;
      for (const step of steps(state, bounds, mistake)) {
        last = false;
        const next = structuredCloneOf(state);
        step(next);
        check(next);
        const key = JSON.stringify(next);
        if (seen.has(key)) continue;
        seen.add(key);
        open.push(next);
      }
      if (last || !canProgress(state, bounds, mistake)) checkEnd(state);
    }
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    return { states: seen.size, violation: error.message };
  }
  return { states: seen.size, violation: undefined };
}

/** Faster than `structuredClone` for what the model is made of. */
function structuredCloneOf(state: State): State {
  return JSON.parse(JSON.stringify(state)) as State;
}

/** Whether anything but a death or a read is left to happen: those help nobody who waits. */
function canProgress(state: State, bounds: Bounds, mistake: Mistake | undefined): boolean {
  const { deaths } = state;
  const without = { ...bounds, deaths };
  for (const step of steps(state, without, mistake)) {
    const next = structuredCloneOf(state);
    step(next);
    const isRead = next.workers.some(({ reading, pinned }, index) =>
      reading !== state.workers[index].reading || pinned !== state.workers[index].pinned
    );
    if (!isRead) return true;
  }
  return false;
}

const DEATHS: Bounds = { workers: 3, writes: 1, deaths: 2, rotations: 0, reads: false };
const ORDER: Bounds = { workers: 2, writes: 2, deaths: 1, rotations: 0, reads: false };
const READS: Bounds = { workers: 2, writes: 1, deaths: 1, rotations: 2, reads: true };

for (
  const [name, bounds] of Object.entries({ "two deaths": DEATHS, "order": ORDER, "readers": READS })
) {
  test(`no interleaving loses, repeats, reorders or shows too early a write, or waits for ever: ${name}`, () => {
    const { states, violation } = explore(bounds);
    assert.equal(violation, undefined);
    assert.ok(states > 1_000, `only ${states} states`);
  });
}

const MISTAKES: readonly (readonly [Mistake, Bounds])[] = [
  ["settles before the log", ORDER],
  ["visible before the log", ORDER],
  ["releases without looking at pins", READS],
  ["looks at pins before it publishes", READS],
  ["successor forgets taken writes", DEATHS],
  ["successor commits taken writes again", DEATHS],
  ["successor settles before it publishes", DEATHS],
  ["successor shows numbers that nothing was written under", DEATHS],
  ["takes writes while the tail is lent", ORDER],
  ["takes the tail back from under a commit", ORDER],
  ["ends commits at the tail out of their order", ORDER],
  ["successor leaves old memtables active", READS],
  ["nobody succeeds", DEATHS],
];

for (const [mistake, bounds] of MISTAKES) {
  test(`the check finds it when ${mistake.startsWith("successor") ? "a " : ""}${mistake}`, () => {
    assert.notEqual(explore(bounds, mistake).violation, undefined);
  });
}
