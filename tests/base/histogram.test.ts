/** Latency histograms: right to three per cent, whatever is recorded. */
import assert from "node:assert/strict";
import { Histogram } from "../../src/base/histogram.ts";
import { test } from "../harness.ts";

test("nothing recorded is all zeros", () => {
  assert.deepEqual(new Histogram().summary(), {
    samples: 0,
    p50: 0,
    p90: 0,
    p99: 0,
    "p99.9": 0,
    max: 0,
  });
});

test("one duration is every percentile", () => {
  for (const milliseconds of [0, 0.0001, 0.0031, 0.0032, 0.0063, 0.0064, 1, 12.3456, 214_000]) {
    const histogram = new Histogram();
    histogram.record(milliseconds);
    for (const share of [0, 0.5, 0.999, 1]) {
      const found = histogram.quantile(share);
      assert.ok(Math.abs(found - milliseconds) <= 0.0001, `${found} for ${milliseconds}`);
    }
  }
});

test("percentiles of many durations are those of the sorted list, to three per cent", () => {
  for (const octaves of [3, 12, 27]) {
    const histogram = new Histogram();
    const all: number[] = [];
    let state = octaves;
    for (let index = 0; index < 20_000; index++) {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
      const milliseconds = 2 ** (octaves * state / 2 ** 31) / 10_000;
      all.push(milliseconds);
      histogram.record(milliseconds);
    }
    all.sort((a, b) => a - b);
    for (const share of [0.001, 0.1, 0.5, 0.9, 0.99, 0.999]) {
      const exact = all[Math.ceil(share * all.length) - 1];
      const found = histogram.quantile(share);
      const error = Math.abs(found - exact) - 0.0001;
      assert.ok(error <= exact / 32, `${found} for ${exact}, at ${share} of ${octaves} octaves`);
    }
    const { samples, p50, max } = histogram.summary();
    assert.equal(samples, all.length);
    assert.ok(Math.abs(max - all.at(-1)! * 1000) < 0.1);
    assert.ok(p50 < max);
  }
});

test("a weight counts as often, a negative duration as none, a very long one is known by its maximum", () => {
  const histogram = new Histogram();
  histogram.record(1, 99);
  histogram.record(1_000_000);
  assert.ok(Math.abs(histogram.quantile(0.99) - 1) < 0.04);
  assert.equal(histogram.summary().max, 1e9);
  assert.equal(histogram.summary().samples, 100);
  const backward = new Histogram();
  backward.record(-5);
  assert.deepEqual([backward.quantile(1), backward.summary().samples], [0, 1]);
});
