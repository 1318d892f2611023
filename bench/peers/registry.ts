/**
 * Every peer: what it can do, and where its driver is. A string in place of ways is the reason that
 * the report gives for an empty row. This file loads no peer.
 */
import type { Peer } from "./peer.ts";

const BLOCKING = "its calls block: one event loop has no more than one put in flight";
const NO_MEMTABLE = "it has no memtable";
const NOT_A_STORE = "it is the bare device";

const varveCapabilities: Peer["capabilities"] = {
  bufferedFill: ["putSync", "put"],
  volatileFill: ["putSync", "put"],
  durablePut: ["putSync", "put"],
  concurrentDurablePut: ["put"],
  memtableGet: ["getSync"],
  cachedGet: ["getSync"],
  scan: ["entries", "pages"],
};

export const peers: readonly Peer[] = [
  {
    name: "varve",
    runtime: "bun",
    role: "subject",
    capabilities: varveCapabilities,
    load: async () => await (await import("./varve.ts")).load(),
  },
  {
    name: "varve-deno",
    runtime: "deno",
    role: "subject",
    capabilities: varveCapabilities,
    load: async () => await (await import("./varve.ts")).load(),
  },
  {
    name: "rocksdb",
    runtime: "bun",
    role: "rocksdb",
    capabilities: {
      bufferedFill: ["putSync"],
      volatileFill: ["putSync"],
      durablePut: ["putSync"],
      concurrentDurablePut: `${BLOCKING} (see db_bench)`,
      memtableGet: ["getSync"],
      cachedGet: ["getSync"],
      scan: ["entries"],
    },
    load: async () => (await import("./rocksdb.ts")).load(),
  },
  {
    name: "db_bench",
    runtime: "bun",
    role: "rocksdb",
    capabilities: {
      bufferedFill: ["C++"],
      volatileFill: ["C++"],
      durablePut: ["C++"],
      concurrentDurablePut: ["C++"],
      memtableGet: ["C++"],
      cachedGet: ["C++"],
      scan: ["C++"],
    },
    load: async () => (await import("./db_bench.ts")).load(),
  },
  {
    name: "lmdb",
    runtime: "bun",
    role: "peer",
    capabilities: {
      bufferedFill: ["put"],
      volatileFill: ["put"],
      durablePut: ["putSync", "put"],
      concurrentDurablePut: ["put"],
      memtableGet: NO_MEMTABLE,
      cachedGet: ["getSync"],
      scan: ["entries"],
    },
    load: async () => await (await import("./lmdb.ts")).load(),
  },
  {
    name: "classic-level",
    runtime: "bun",
    role: "peer",
    capabilities: {
      bufferedFill: ["batch of 1,000", "put"],
      volatileFill: "LevelDB always writes its log",
      durablePut: ["put"],
      concurrentDurablePut: ["put"],
      memtableGet: ["getSync"],
      cachedGet: ["getSync"],
      scan: ["entries"],
    },
    load: async () => await (await import("./classic_level.ts")).load(),
  },
  {
    name: "sqlite",
    runtime: "bun",
    role: "peer",
    capabilities: {
      bufferedFill: ["putSync"],
      volatileFill: ["putSync"],
      durablePut: ["putSync"],
      concurrentDurablePut: BLOCKING,
      memtableGet: NO_MEMTABLE,
      cachedGet: ["getSync"],
      scan: ["entries"],
    },
    load: async () => (await import("./sqlite.ts")).load(),
  },
  {
    name: "fio",
    runtime: "bun",
    role: "device",
    capabilities: { durablePut: ["fio"], rawWrite: ["fio"] },
    load: async () => (await import("./fio.ts")).load(),
  },
];

/** Why a peer without the capability has no row, or undefined when it has one. */
export function whyNotCapable(peer: Peer, need: keyof Peer["capabilities"]): string | undefined {
  const capability = peer.capabilities[need];
  if (typeof capability === "string") return capability;
  if (capability) return undefined;
  return peer.role === "device" ? NOT_A_STORE : "it is a store, not a bare device";
}

/** @throws {RangeError} when there is no such peer */
export function peerNamed(name: string): Peer {
  const found = peers.find((peer) => peer.name === name);
  if (found) return found;
  const known = peers.map((peer) => peer.name).join(", ");
  throw new RangeError(`Cannot measure peer "${name}": known are ${known}`);
}
