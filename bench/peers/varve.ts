/** Varve through its public module, in Bun and in Deno alike. */
import type { Varve } from "../../mod.ts";
import manifest from "../../package.json" with { type: "json" };
import {
  type OpenOptions,
  PeerUnavailable,
  type ScanTotals,
  type Store,
  type StoreDriver,
  type WriteCounters,
} from "./peer.ts";

/** Long enough to form groups, short enough to leave the event loop within a millisecond or so. */
const PUT_WINDOW = 1000;

const DEFAULT_TOTAL_BYTES = 256 * 1024 * 1024;

export async function load(): Promise<StoreDriver> {
  const module = await import("../../mod.ts").catch((cause) => {
    throw new PeerUnavailable(`mod.ts does not load: ${cause.message}`);
  });
  return {
    kind: "store",
    version: manifest.version,
    warnings: [],
    settings: describeSettings,
    open: async (options) =>
      new VarveStore(
        await module.Varve.open(options.directory, {
          durability: options.durability,
          ...memoryOptions(options),
        }),
      ),
  };
}

/** What the peers are given; the total stays at its default until that is too small. */
function memoryOptions({ memtableBytes, cacheBytes }: OpenOptions) {
  return {
    writeBufferSize: memtableBytes,
    totalWriteBufferSize: Math.max(DEFAULT_TOTAL_BYTES, 2 * memtableBytes),
    blockCacheSize: cacheBytes,
  };
}

function describeSettings(options: OpenOptions): string {
  const memory = Object.entries(memoryOptions(options)).map(([name, value]) => `${name} ${value}`);
  return `durability ${options.durability}, ${memory.join(", ")}, otherwise the defaults; ` +
    `a fill by put awaits every ${PUT_WINDOW}th`;
}

class VarveStore implements Store {
  readonly putWindow = PUT_WINDOW;
  readonly #db: Varve;

  constructor(db: Varve) {
    this.#db = db;
  }

  putSync(key: Uint8Array, value: Uint8Array): void {
    this.#db.putSync(key, value);
  }

  put(key: Uint8Array, value: Uint8Array): Promise<void> {
    return this.#db.put(key, value);
  }

  getSync(key: Uint8Array): Uint8Array | undefined {
    return this.#db.getSync(key) as Uint8Array | undefined;
  }

  async settle(): Promise<void> {
    await this.#db.flush(); // this version has no compaction: the tables stay as they were flushed
  }

  scan(see: (key: Uint8Array, value: Uint8Array) => void): void {
    for (const [key, value] of this.#db.entries()) see(key as Uint8Array, value as Uint8Array);
  }

  scanPages(): ScanTotals {
    const totals = { entries: 0, bytes: 0, firstBytes: 0 };
    for (const { count, bytes, offsets } of this.#db.pages()) {
      for (let index = 0; index < count; index++) {
        totals.firstBytes += bytes[offsets[2 * index + 1]];
      }
      totals.entries += count;
      totals.bytes += offsets[2 * count] - offsets[0];
    }
    return totals;
  }

  writeCounters(): WriteCounters {
    return { ...this.#db.stats().write };
  }

  close(): Promise<void> {
    return this.#db.close();
  }
}
