/**
 * Every peer: what it can do, and where its driver is. A string in place of ways is the reason that
 * the report gives for an empty row. This file loads no peer.
 */
import type { Driver, Peer } from "./peer.ts";

const BLOCKING = "its calls block: one event loop has no more than one put in flight";
const NO_MEMTABLE = "it has no memtable";
const NOT_A_STORE = "it is the bare device";
const NO_THREADS = "one FFI handle is used by one thread (see db_bench)";
const NO_MIX = "it has no such mix";

/** Named by a variable, so that a tool of one runtime does not look into drivers that only the other one can load. */
async function loadFrom(path: string, ...options: string[]): Promise<Driver> {
  return await (await import(path)).load(...options);
}

const varve: Peer["capabilities"] = {
  bufferedFill: ["putSync", "put"],
  volatileFill: ["putSync", "put"],
  sustainedFill: ["putSync", "put"],
  durablePut: ["putSync", "put"],
  concurrentDurablePut: ["put"],
  memtableGet: ["getSync"],
  cachedGet: ["getSync"],
  largeGet: ["getSync"],
  scan: ["entries", "pages"],
  seek: ["entries"],
  bulkFill: ["putSync", "put"],
  mixed: ["putSync", "put"],
  workers: ["putSync", "put"],
  reopen: ["open"],
  memory: ["putSync"],
  ycsb: ["putSync", "put"],
  systemCalls: ["put"],
  transfer: ["put"],
};

export const peers: readonly Peer[] = [
  {
    name: "varve",
    runtime: "bun",
    role: "subject",
    capabilities: varve,
    load: () => loadFrom("./varve.ts"),
  },
  {
    name: "varve-deno",
    runtime: "deno",
    role: "subject",
    capabilities: varve,
    load: () => loadFrom("./varve.ts"),
  },
  {
    name: "rocksdb",
    runtime: "bun",
    role: "rocksdb",
    capabilities: {
      bufferedFill: ["putSync"],
      volatileFill: ["putSync"],
      sustainedFill: ["putSync"],
      durablePut: ["putSync"],
      concurrentDurablePut: `${BLOCKING} (see db_bench)`,
      memtableGet: ["getSync"],
      cachedGet: ["getSync"],
      largeGet: ["getSync"],
      scan: ["entries"],
      seek: ["entries"],
      bulkFill: ["putSync"],
      mixed: ["putSync"],
      workers: NO_THREADS,
      reopen: ["open"],
      memory: ["putSync"],
      ycsb: ["putSync"],
    },
    load: () => loadFrom("./rocksdb/store.ts", "tables"),
  },
  {
    name: "rocksdb-blob",
    runtime: "bun",
    role: "rocksdb",
    capabilities: { bulkFill: ["putSync"], mixed: ["putSync"] },
    // Its log would hold every large value a second time.
    durabilities: { bulkFill: "volatile" },
    load: () => loadFrom("./rocksdb/store.ts", "blobs"),
  },
  {
    name: "db_bench",
    runtime: "bun",
    role: "rocksdb",
    capabilities: {
      bufferedFill: ["C++"],
      volatileFill: ["C++"],
      sustainedFill: ["C++"],
      durablePut: ["C++"],
      concurrentDurablePut: ["C++"],
      memtableGet: ["C++"],
      cachedGet: ["C++"],
      largeGet: ["C++"],
      scan: ["C++"],
      seek: ["C++"],
      bulkFill: ["C++"],
      mixed: `${NO_MIX}: half of its gets cannot be made to miss`,
      workers: ["C++"],
      reopen: "it prints no time for its open",
      memory: ["C++"],
      ycsb: NO_MIX,
    },
    durabilities: { bulkFill: "volatile" },
    load: () => loadFrom("./db_bench/driver.ts"),
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
      ycsb: ["put"],
    },
    load: () => loadFrom("./lmdb.ts"),
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
    load: () => loadFrom("./classic_level.ts"),
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
    load: () => loadFrom("./sqlite.ts"),
  },
  {
    name: "fio",
    runtime: "bun",
    role: "device",
    capabilities: { durablePut: ["program"], rawWrite: ["program"], bulkFill: ["program"] },
    load: () => loadFrom("./fio.ts"),
  },
  {
    name: "plain-loop",
    runtime: "bun",
    role: "device",
    capabilities: { durablePut: ["program"], rawWrite: ["program"], bulkFill: ["program"] },
    load: () => loadFrom("./plain_loop.ts"),
  },
];

/** Why a peer without the capability has no row, or undefined when it has one. */
export function whyNotCapable(peer: Peer, need: keyof Peer["capabilities"]): string | undefined {
  const capability = peer.capabilities[need];
  if (typeof capability === "string") return capability;
  if (capability) return undefined;
  if (peer.role === "device") return NOT_A_STORE;
  const isAsked = peers.some(({ role, capabilities }) =>
    role !== "subject" && role !== "device" && capabilities[need]
  );
  return isAsked ? "this workload is compared with other peers" : "this table is not a comparison";
}

/** @throws {RangeError} when there is no such peer */
export function peerNamed(name: string): Peer {
  const found = peers.find((peer) => peer.name === name);
  if (found) return found;
  const known = peers.map((peer) => peer.name).join(", ");
  throw new RangeError(`Cannot measure peer "${name}": known are ${known}`);
}
