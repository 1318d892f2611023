/** W4: the price of one sync, and nothing to share it with. */
import { aheadOfAll } from "../harness/target.ts";
import { durablePuts } from "../work/durable_puts.ts";
import type { Workload } from "./workload.ts";

export const durableOneWriter: Workload = {
  ...durablePuts,
  id: "W4",
  title: "durable, one writer, 1 KiB values, each synced",
  need: "durablePut",
  sizes: { smoke: 200, full: 100_000 },
  writers: [1],
  targets: [
    aheadOfAll({ way: "putSync" }),
    {
      text: "at least 85 % of the device's rate in the same run, by putSync",
      of: { way: "putSync" },
      against: { roles: ["device"], peer: "fio" },
      least: 0.85,
    },
  ],
};
