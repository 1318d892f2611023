/** LMDB through npm's `lmdb` (lmdb-js), whose puts are gathered and committed on a thread. */
import { type Database, open } from "lmdb";
import { packageVersion } from "../harness/machine.ts";
import type { OpenOptions, Store, StoreDriver } from "./peer.ts";
import type { See } from "./store.ts";

/** Address space, not memory: more than any workload writes. */
const MAP_BYTES = 64 * 1024 ** 3;

export function load(): Promise<StoreDriver> {
  return Promise.resolve({
    kind: "store",
    warnings: [],
    version: `lmdb-js ${packageVersion("lmdb")}`,
    settings: ({ durability }) =>
      `binary keys and values, no compression, map of ${MAP_BYTES} B, ` +
      (durability === "volatile"
        ? "noSync"
        : "syncing with overlappingSync, the default: put is resolved when it is flushed") +
      "; a fill waits at its end, or after each million; get copies",
    open: (options) => Promise.resolve(new LmdbStore(options)),
  });
}

class LmdbStore implements Store {
  /** A whole fill of W1; more promises than that would only take memory. */
  readonly putWindow = 1_000_000;
  readonly #db: Database<Uint8Array, Uint8Array>;

  constructor({ directory, durability }: OpenOptions) {
    const noSync = durability === "volatile";
    this.#db = open({
      path: `${directory}/lmdb`,
      encoding: "binary",
      keyEncoding: "binary",
      mapSize: MAP_BYTES,
      noSync,
      overlappingSync: !noSync,
    });
  }

  putSync(key: Uint8Array, value: Uint8Array): void {
    this.#db.putSync(key, value);
  }

  put(key: Uint8Array, value: Uint8Array): Promise<boolean> {
    return this.#db.put(key, value);
  }

  getSync(key: Uint8Array): Uint8Array | undefined {
    return this.#db.get(key);
  }

  async settle(): Promise<void> {
    await this.#db.flushed;
  }

  scan(see: See): void {
    for (const { key, value } of this.#db.getRange({})) see(key, value);
  }

  scanFrom(start: Uint8Array, limit: number, see: See): void {
    for (const { key, value } of this.#db.getRange({ start, limit })) see(key, value);
  }

  close(): Promise<void> {
    return this.#db.close();
  }
}
