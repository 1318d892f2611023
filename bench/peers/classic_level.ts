/** LevelDB through npm's `classic-level`. */
import { ClassicLevel } from "classic-level";
import { packageVersion } from "../harness/machine.ts";
import type { OpenOptions, PutOperation, Store, StoreDriver } from "./peer.ts";
import type { See } from "./store.ts";

const SCAN_COUNT = 1000;
const SCAN_BYTES = 1024 * 1024;

export function load(): Promise<StoreDriver> {
  return Promise.resolve({
    kind: "store",
    warnings: [],
    version: `classic-level ${packageVersion("classic-level")}, LevelDB 1.20`,
    settings: ({ durability, memtableBytes, cacheBytes }) =>
      `${durability === "sync" ? "sync: true" : "log, not synced"}, compression off, ` +
      `writeBufferSize ${memtableBytes}, cacheSize ${cacheBytes}, scan by nextv(${SCAN_COUNT})`,
    async open(options) {
      const store = new LevelStore(options);
      await store.opened;
      return store;
    },
  });
}

class LevelStore implements Store {
  readonly opened: Promise<void>;
  readonly #db: ClassicLevel<Uint8Array, Uint8Array>;
  readonly #writeOptions: { sync: boolean };

  constructor({ directory, durability, memtableBytes, cacheBytes }: OpenOptions) {
    this.#writeOptions = { sync: durability === "sync" };
    this.#db = new ClassicLevel(`${directory}/level`, {
      keyEncoding: "view",
      valueEncoding: "view",
      compression: false,
      writeBufferSize: memtableBytes,
      cacheSize: cacheBytes,
    });
    this.opened = this.#db.open();
  }

  put(key: Uint8Array, value: Uint8Array): Promise<void> {
    return this.#db.put(key, value, this.#writeOptions);
  }

  putBatch(operations: PutOperation[]): Promise<void> {
    return this.#db.batch(operations, this.#writeOptions);
  }

  getSync(key: Uint8Array): Uint8Array | undefined {
    return this.#db.getSync(key);
  }

  async settle(): Promise<void> {
    await this.#db.compactRange(new Uint8Array(0), new Uint8Array(32).fill(255));
  }

  async scan(see: See): Promise<void> {
    const iterator = this.#db.iterator({ highWaterMarkBytes: SCAN_BYTES });
    try {
      for (;;) {
        const entries = await iterator.nextv(SCAN_COUNT);
        if (entries.length === 0) return;
        for (const [key, value] of entries) see(key, value);
      }
    } finally {
      await iterator.close();
    }
  }

  close(): Promise<void> {
    return this.#db.close();
  }
}
