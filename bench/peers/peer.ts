/**
 * What a peer is. A description is cheap and says what the peer can do, so that the parent can plan;
 * the driver behind it is loaded only in the child that runs a case.
 */
import type { Case } from "../harness/case.ts";
import type { Measurement } from "../harness/measurement.ts";
import type { Role } from "../harness/result.ts";
import type { Store, StoreDriver } from "./store.ts";

export type { OpenOptions, PutOperation, ScanTotals, Store, StoreDriver } from "./store.ts";
export type { ValueCounters, WriteCounters } from "./store.ts";

/** See api.md: "sync" waits for stable storage, "buffered" for the system, "volatile" for nothing. */
export type Durability = "sync" | "buffered" | "volatile";

/** The call, or the program, that does the work of a row. */
export type Way =
  | "putSync"
  | "put"
  | "batch of 1,000"
  | "getSync"
  | "entries"
  | "pages"
  | "open"
  | "C++"
  /** A program that is no store. */
  | "program";

/** What a workload needs of a peer. */
export type Need =
  /** Takes single puts, handed to the operating system. */
  | "bufferedFill"
  /** Takes single puts, kept in memory only. */
  | "volatileFill"
  /** Takes ten million of them, and says when its background work has ended. */
  | "sustainedFill"
  /** One writer, each put on stable storage before the next. */
  | "durablePut"
  /** Many durable puts in flight at once. */
  | "concurrentDurablePut"
  /** Gets from entries which have not left the memtable. */
  | "memtableGet"
  /** Gets from settled data in the cache. */
  | "cachedGet"
  /** Gets from a store of ten million, of keys that are there and of keys that are not. */
  | "largeGet"
  | "scan"
  /** Short scans from random keys. */
  | "seek"
  /** Takes values of 1 MiB, and syncs once at the end. */
  | "bulkFill"
  /** Values of 1 MiB, written and read in turn. */
  | "mixed"
  /** Many threads, or Workers, that fill at once. */
  | "workers"
  /** Opens what another process has left behind. */
  | "reopen"
  /** Keeps to a budget of memory. */
  | "memory"
  | "ycsb"
  /** Says how many system calls its writes took. */
  | "systemCalls"
  /** Takes over buffers of its own making. */
  | "transfer"
  /** Raw writes of 1 MiB, no store at all. */
  | "rawWrite";

/** The ways to fill a need, best first; or why there is none. */
export type Capability = readonly Way[] | string;

export interface Peer {
  readonly name: string;
  readonly runtime: "bun" | "deno";
  readonly role: Role;
  readonly capabilities: Readonly<Partial<Record<Need, Capability>>>;
  /** Where the peer's best way to a need has another durability than the workload. */
  readonly durabilities?: Readonly<Partial<Record<Need, Durability>>>;
  /** @throws {PeerUnavailable} when the peer is not installed */
  load(): Promise<Driver>;
}

/** A peer that cannot be measured on this machine; the message is printed as the reason. */
export class PeerUnavailable extends Error {
  override name = "PeerUnavailable";
}

/** Another program that runs its own equivalent of a workload. */
export interface ProgramDriver {
  readonly kind: "program";
  readonly version: string;
  measure(run: Case): Promise<ProgramMeasurement>;
}

/** What a program says of itself it may say only when it runs. */
export interface ProgramMeasurement {
  settings: string;
  warnings: readonly string[];
  measurements: Measurement[];
}

export type Driver = StoreDriver | ProgramDriver;

/** A call that this store has, by name; a workload is planned only for peers that have it. */
export function required<Name extends keyof Store>(
  store: Store,
  name: Name,
): NonNullable<Store[Name]> {
  const call = store[name];
  if (call === undefined) throw new Error(`Cannot run this workload: the driver has no ${name}`);
  return (typeof call === "function" ? call.bind(store) : call) as NonNullable<Store[Name]>;
}
