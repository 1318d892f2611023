/** Every workload by the name that the command line takes. */
import { bulkFill } from "./bulk_fill.ts";
import { deviceWrites } from "./device.ts";
import { durableManyWriters } from "./durable_many_writers.ts";
import { durableOneWriter } from "./durable_one_writer.ts";
import { durableSweep } from "./durable_sweep.ts";
import { fillBuffered } from "./fill_buffered.ts";
import { fillVolatile } from "./fill_volatile.ts";
import { getFromCache } from "./get_cached.ts";
import { getFromLarge } from "./get_large.ts";
import { getFromMemtable } from "./get_memtable.ts";
import { memory } from "./memory.ts";
import { mixed } from "./mixed.ts";
import { reopen } from "./reopen.ts";
import { fullScan } from "./scan.ts";
import { seek } from "./seek.ts";
import { sustained } from "./sustained.ts";
import { systemCalls } from "./system_calls.ts";
import { transfer } from "./transfer.ts";
import { workers } from "./workers.ts";
import type { Workload } from "./workload.ts";
import { ycsb } from "./ycsb.ts";

export const workloads: readonly Workload[] = [
  deviceWrites,
  fillBuffered,
  fillVolatile,
  sustained,
  durableOneWriter,
  durableManyWriters,
  getFromMemtable,
  getFromCache,
  getFromLarge,
  fullScan,
  seek,
  bulkFill,
  mixed,
  workers,
  reopen,
  memory,
  ycsb,
  systemCalls,
  durableSweep,
  transfer,
];

/** @throws {RangeError} when there is no such workload */
export function workloadNamed(id: string): Workload {
  const found = workloads.find((workload) => workload.id.toLowerCase() === id.toLowerCase());
  if (found) return found;
  const known = workloads.map((workload) => workload.id).join(" ");
  throw new RangeError(`Cannot run workload "${id}": known are ${known} and all`);
}
