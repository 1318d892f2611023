/** One cell of the table: a workload, done by a peer, in one of its ways, at one size. */
import type { Durability, Way } from "../peers/peer.ts";
import type { Measurement } from "./measurement.ts";

export type Scale = "smoke" | "medium" | "full";

/** Plain data: it travels to the child as JSON. */
export interface Case {
  workload: string;
  peer: string;
  way: Way;
  durability: Durability;
  count: number;
  valueBytes: number;
  /** Writers at once, on one event loop; threads for a program without one. */
  writers: number;
  /** An empty directory, removed by the parent. */
  directory: string;
  seed: number;
}

export type Outcome =
  | {
    status: "measured";
    version: string;
    settings: string;
    warnings: readonly string[];
    measurement: Measurement;
  }
  | { status: "unavailable" | "failed"; why: string };

/** Marks the child's one line of result among whatever a peer prints. */
export const OUTCOME_PREFIX = "@outcome ";
