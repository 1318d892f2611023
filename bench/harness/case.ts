/** One process of a run: a workload, done by a peer, in one of its ways, at one size. */
import type { Durability, Way } from "../peers/peer.ts";
import type { Measurement } from "./measurement.ts";

/** Plain data: it travels to the child as JSON. */
export interface Case {
  workload: string;
  peer: string;
  way: Way;
  /** Which of the workload's forms; empty where it has one. */
  variant: string;
  durability: Durability;
  count: number;
  valueBytes: number;
  /** Writers at once, on one event loop; Workers or threads where the workload says so. */
  writers: number;
  /** An empty directory, removed by the parent. */
  directory: string;
  seed: number;
  /** "prepare" leaves a store behind in the directory for a "measure" in another process. */
  phase: "prepare" | "measure";
}

export type PlannedCase = Omit<Case, "directory" | "phase">;

/** What a case that ran says. */
export interface Measured {
  status: "measured";
  version: string;
  settings: string;
  warnings: readonly string[];
  /** One for each part of the workload, in its order. */
  measurements: readonly Measurement[];
}

export type Outcome =
  | Measured
  | { status: "prepared" }
  /** The peer is not on this machine; this version of Varve has no such thing; something broke. */
  | { status: "unavailable" | "unsupported" | "failed"; why: string };

/** Marks the child's one line of result among whatever a peer prints. */
export const OUTCOME_PREFIX = "@outcome ";
