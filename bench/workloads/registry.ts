/** Every workload by the name that the command line takes. */
import { deviceWrites } from "./device.ts";
import { durableManyWriters, durableOneWriter, durableSweep } from "./durable.ts";
import { fillBuffered, fillVolatile } from "./fill.ts";
import { getFromCache, getFromMemtable } from "./get.ts";
import { fullScan } from "./scan.ts";
import type { Workload } from "./workload.ts";

export const workloads: readonly Workload[] = [
  deviceWrites,
  fillBuffered,
  fillVolatile,
  durableOneWriter,
  durableManyWriters,
  durableSweep,
  getFromMemtable,
  getFromCache,
  fullScan,
];

/** @throws {RangeError} when there is no such workload */
export function workloadNamed(id: string): Workload {
  const found = workloads.find((workload) => workload.id.toLowerCase() === id.toLowerCase());
  if (found) return found;
  const known = workloads.map((workload) => workload.id).join(" ");
  throw new RangeError(`Cannot run workload "${id}": known are ${known} and all`);
}
