/** LMDB through npm's `lmdb` (lmdb-js), whose puts are gathered and committed on a thread. */
import { type Database, open } from "lmdb";
import { packageVersion } from "../harness/machine.ts";
import type { OpenOptions, Store, StoreDriver } from "./peer.ts";

const MAP_BYTES = 8 * 1024 ** 3;

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
      "; a fill waits once, at its end; get copies",
    open: (options) => Promise.resolve(new LmdbStore(options)),
  });
}

class LmdbStore implements Store {
  readonly putWindow = Infinity;
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

  scan(see: (key: Uint8Array, value: Uint8Array) => void): void {
    for (const { key, value } of this.#db.getRange({})) see(key, value);
  }

  close(): Promise<void> {
    return this.#db.close();
  }
}
