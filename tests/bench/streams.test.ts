/** What the workloads draw, and what they read of other programs. */
import assert from "node:assert/strict";
import { ComputedDataSet, HeldDataSet, randomSource } from "../../bench/harness/data_set.ts";
import { zipfianSource } from "../../bench/harness/zipfian.ts";
import { quietSeconds, timeOf } from "../../bench/peers/db_bench/report.ts";
import { parseTable } from "../../bench/work/traced.ts";
import { drawOperations, Kind, mixes } from "../../bench/work/ycsb_operations.ts";
import { test } from "../harness.ts";

test("the same seed gives the same keys and values, and no key comes twice", () => {
  for (const Set_ of [HeldDataSet, ComputedDataSet]) {
    const [one, two] = [1, 2].map(() => new Set_({ count: 5000, valueBytes: 20, seed: 7 }));
    const keys = new Set<string>();
    for (let index = 0; index < one.count; index++) {
      assert.deepEqual(one.key(index), two.key(index));
      assert.deepEqual(one.value(index), two.value(index));
      keys.add(String(one.key(index)));
    }
    assert.equal(keys.size, 5000);
  }
});

test("verification finds a missing entry, and one with another value", () => {
  const data = new ComputedDataSet({ count: 10, valueBytes: 20, seed: 7 });
  let index = 0;
  const right = () => data.value(index++);
  assert.match(data.verify(right), /^10 of 10/);
  assert.throws(() => data.verify(() => undefined), /Entry 0 reads back as missing/);
  assert.throws(() => data.verify(() => new Uint8Array(20)), /Entry 0 reads back another value/);
});

test("zipfian ranks: the first of a thousand is drawn as often as the law says", () => {
  const rank = zipfianSource(1000, randomSource(1));
  const counts = new Uint32Array(1000);
  for (let turn = 0; turn < 100_000; turn++) counts[rank()]++;
  let zeta = 0;
  for (let one = 1; one <= 1000; one++) zeta += 1 / one ** 0.99;
  const expected = 100_000 / zeta;
  assert.ok(Math.abs(counts[0] - expected) < 0.05 * expected, `${counts[0]}, not ${expected}`);
  assert.ok(counts[0] > counts[10] && counts[10] > counts[500]);
});

test("YCSB's mixes have their shares, inserts are new entries, and D reads the latest", () => {
  const shareOf = (name: string, kind: number) => {
    const { kinds } = drawOperations(mixes[name], 20_000, 1000, 1);
    return kinds.filter((one) => one === kind).length / 20_000;
  };
  assert.ok(Math.abs(shareOf("A", Kind.update) - 0.5) < 0.02);
  assert.ok(Math.abs(shareOf("B", Kind.update) - 0.05) < 0.01);
  assert.equal(shareOf("C", Kind.read), 1);
  assert.ok(Math.abs(shareOf("E", Kind.scan) - 0.95) < 0.01);
  assert.ok(Math.abs(shareOf("F", Kind.readModifyWrite) - 0.5) < 0.02);
  const { kinds, indexes, countAfter } = drawOperations(mixes.D, 20_000, 1000, 1);
  const inserted = [...indexes].filter((_, turn) => kinds[turn] === Kind.insert);
  assert.deepEqual(inserted, inserted.map((_, index) => 1000 + index));
  assert.equal(countAfter, 1000 + inserted.length);
  const late = [...indexes].filter((index, turn) => kinds[turn] === Kind.read && index >= 1000);
  assert.ok(late.length > 10_000, `${late.length} reads of what was inserted`);
});

test("db_bench's report: the last line of a step counts, and a rate is more exact than its seconds", () => {
  const output = `
readrandom   :       2.500 micros/op 400000 ops/sec 0.012 seconds 5000 operations;   44.2 MB/s (5000 of 5000 found)
readrandom   :       1.250 micros/op 800000 ops/sec 0.006 seconds 5000 operations;   88.5 MB/s (5000 of 5000 found)`;
  assert.deepEqual(timeOf(output, "readrandom"), { operations: 5000, seconds: 5000 / 800000 });
  assert.throws(() => timeOf(output, "fillrandom"), /no line for "fillrandom"/);
});

test("RocksDB's log: quiet is the end of the last flush or compaction, counted from the open", () => {
  const log = `2026/11/21-23:59:58.500000 1 DB pointer 0x55
2026/11/21-23:59:59.000000 1 EVENT_LOG_v1 {"event": "flush_finished"}
2026/11/22-00:00:01.250000 1 (Original Log Time 2026/11/21-23:59:59.1) EVENT_LOG_v1 {"event": "compaction_finished"}
2026/11/22-00:00:09.000000 1 Shutdown complete`;
  assert.equal(quietSeconds(log), 2.75);
});

test("strace's table: calls are counted, with errors beside them and without", () => {
  const table = `% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 90.00    0.001000           1      1000           pwrite64
 10.00    0.000100           1        12         2 fdatasync
------ ----------- ----------- --------- --------- ----------------
100.00    0.001100           1      1012         2 total`;
  assert.deepEqual(parseTable(table), { pwrite64: 1000, fdatasync: 12 });
});
