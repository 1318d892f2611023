/** From repeats to figures, from figures to judgements: nothing is made better than it was. */
import assert from "node:assert/strict";
import { type Entry, planEntries } from "../../bench/harness/plan.ts";
import { summarize } from "../../bench/harness/summary.ts";
import { judge, timesRocksDb } from "../../bench/harness/target.ts";
import { peerNamed, peers } from "../../bench/peers/registry.ts";
import { workloadNamed, workloads } from "../../bench/workloads/registry.ts";
import { test } from "../harness.ts";
import { outcome, row } from "./rows.ts";

const ENDLESS_DISK = { seed: 1, freeBytes: Infinity };

function entryOf(id: string): Entry {
  const [entry] = planEntries(workloadNamed(id), [peerNamed("varve")], {
    scale: "smoke",
    ...ENDLESS_DISK,
  });
  return entry;
}

test("a figure is the median of its repeats, and one that was run", () => {
  const outcomes = [4, 1, 3, 2].map((seconds) => outcome({ operations: 12, seconds }));
  const { rows: [{ figure }] } = summarize(workloadNamed("W1"), [entryOf("W1")], [outcomes]);
  assert.deepEqual(figure, { median: 4, min: 3, max: 12, samples: [3, 12, 4, 6] });
});

test("where less is better, an even number of repeats is rounded to the worse one", () => {
  const outcomes = [0.004, 0.001].map((seconds) => outcome({ seconds }));
  const { rows: [{ figure }] } = summarize(workloadNamed("W14"), [entryOf("W14")], [outcomes]);
  assert.equal(figure!.median, 4);
});

test("one repeat that breaks takes the figure with it, and says why", () => {
  const outcomes = [outcome({ seconds: 1 }), { status: "failed", why: "it broke" } as const];
  const { rows } = summarize(workloadNamed("W1"), [entryOf("W1")], [outcomes]);
  assert.equal(rows[0].figure, undefined);
  assert.equal(rows[0].notMeasured, "failed: it broke");
});

test("what this version does not have is named as that", () => {
  const outcomes = [{ status: "unsupported", why: "no Workers" } as const];
  const { rows } = summarize(workloadNamed("W13"), [entryOf("W13")], [outcomes]);
  assert.equal(rows[0].notMeasured, "not supported by this version: no Workers");
});

test("each part of a case is a row of its own", () => {
  const outcomes = [outcome({ operations: 8 }, { operations: 2 })];
  const { rows } = summarize(workloadNamed("W8"), [entryOf("W8")], [outcomes]);
  assert.deepEqual(rows.map(({ part, figure }) => [part, figure!.median]), [
    ["found", 8],
    ["missing", 2],
  ]);
});

test("a target is held against the fastest RocksDB of the same form and number of writers", () => {
  const rows = [
    row("varve", 60, { role: "subject", writers: 2 }),
    row("rocksdb", 10, { role: "rocksdb", writers: 2 }),
    row("db_bench", 30, { role: "rocksdb", writers: 2 }),
    row("rocksdb of 8", 1000, { role: "rocksdb", writers: 8 }),
    row("lmdb", 1000, { writers: 2 }),
  ];
  const [judgement] = judge(timesRocksDb(3, {}), rows);
  assert.equal(judgement.value, 2);
  assert.equal(judgement.reached, false);
  assert.equal(judge(timesRocksDb(2, {}), rows)[0].reached, true);
});

test("slower in every repeat, or only in some: the best repeat is held against the other row's worst", () => {
  const target = {
    text: "not in every repeat slower",
    of: { variant: "b" },
    figure: "largest",
    against: { roles: ["subject"] as const, variant: "a", figure: "smallest" },
    least: 1,
  };
  const of = (variant: string, ...repeats: number[]) => {
    const [min, max] = [Math.min(...repeats), Math.max(...repeats)];
    const figure = { median: repeats[0], min, max, samples: repeats };
    return row("varve", 0, { role: "subject", variant, figure });
  };
  const [overlapping] = judge(target, [of("a", 100, 95, 110), of("b", 90, 85, 96)]);
  assert.equal(overlapping.reached, true);
  const [apart] = judge(target, [of("a", 100, 97, 110), of("b", 90, 85, 96)]);
  assert.equal(apart.reached, false);
});

test("a target without anything to compare with is not judged, and neither is a row without a figure", () => {
  const rows = [row("varve", 60, { role: "subject" })];
  assert.match(judge(timesRocksDb(3, {}), rows)[0].notJudged!, /nothing to compare/);
  const missing = [
    row("varve", 1, { role: "subject", figure: undefined, notMeasured: "no" }),
    row("rocksdb", 10, { role: "rocksdb" }),
  ];
  assert.equal(judge(timesRocksDb(3, {}), missing)[0].notJudged, "no");
});

test("one repeat has no variance to be proud of", () => {
  const target = { text: "at most 10 %", of: {}, figure: "spread", most: 0.1 };
  const samples = (...values: number[]) => ({
    median: values[0],
    min: Math.min(...values),
    max: Math.max(...values),
    samples: values,
  });
  const judged = (figure: ReturnType<typeof samples>) =>
    judge(target, [row("varve", 0, { role: "subject", figure })])[0];
  assert.equal(judged(samples(100)).reached, undefined);
  assert.equal(judged(samples(100, 95, 104)).reached, true);
  assert.equal(judged(samples(100, 85, 104)).reached, false);
});

test("every workload of the plan is there, and every peer has a row or a reason in each", () => {
  const ids = workloads.map(({ id }) => id);
  for (let number = 1; number <= 16; number++) assert.ok(ids.includes(`W${number}`), `W${number}`);
  for (const workload of workloads) {
    const entries = planEntries(workload, peers, { scale: "smoke", ...ENDLESS_DISK });
    for (const { name } of peers) {
      const own = entries.filter(({ peer }) => peer.name === name);
      assert.ok(own.length > 0, `${workload.id} forgets ${name}`);
      assert.ok(own.every(({ run, whyNot }) => (run === undefined) !== (whyNot === undefined)));
    }
  }
});

test("a workload that the disk has no room for is made smaller, and never smaller than it must be", () => {
  const countWith = (freeBytes: number) => {
    const options = { scale: 1, seed: 1, freeBytes };
    return planEntries(workloadNamed("W12"), [peerNamed("varve")], options)[0].run!.count;
  };
  assert.equal(countWith(Infinity), 256_000);
  assert.equal(countWith(100 * 2 ** 30), Math.floor(0.4 * 100 * 1024));
});
