/** Varve through its public module, in Bun and in Deno alike. */
import type { ColumnFamily, Varve } from "../../mod.ts";
import manifest from "../../package.json" with { type: "json" };
import { type OpenOptions, PeerUnavailable, type StoreDriver } from "./peer.ts";
import type { ScanTotals, See, Store, ValueCounters, WriteCounters } from "./store.ts";

/** Long enough to form groups, short enough to leave the event loop within a millisecond or so. */
const PUT_WINDOW = 1000;
/** Large values make groups by themselves; more of them in flight would only fill memory. */
const PUT_WINDOW_BYTES = 16 * 1024 * 1024;

const DEFAULT_TOTAL_BYTES = 256 * 1024 * 1024;

export async function load(): Promise<StoreDriver> {
  const module = await import("../../mod.ts").catch((cause) => {
    throw new PeerUnavailable(`mod.ts does not load: ${cause.message}`);
  });
  return {
    kind: "store",
    version: `Varve ${manifest.version}`,
    warnings: [],
    settings: describeSettings,
    open: async (options) => {
      const db = await module.Varve.open(options.directory, varveOptions(options));
      const { family } = options;
      return new VarveStore(db, family ? await db.columnFamily(family) : db, options);
    },
  };
}

/** What the peers are given; the total stays at its default until that is too small. */
function varveOptions({ durability, memtableBytes, cacheBytes, directIo }: OpenOptions) {
  return {
    durability,
    writeBufferSize: memtableBytes,
    totalWriteBufferSize: Math.max(DEFAULT_TOTAL_BYTES, 2 * memtableBytes),
    blockCacheSize: cacheBytes,
    ...(directIo === undefined ? {} : { directIo }),
  };
}

function putWindowOf({ valueBytes }: OpenOptions): number {
  return Math.max(1, Math.min(PUT_WINDOW, Math.floor(PUT_WINDOW_BYTES / valueBytes)));
}

function describeSettings(options: OpenOptions): string {
  const given = Object.entries(varveOptions(options)).map(([name, value]) => `${name} ${value}`);
  return `${given.join(", ")}, otherwise the defaults; ` +
    `a fill by put awaits every ${putWindowOf(options)}th`;
}

type Family = ColumnFamily<Uint8Array | string, Uint8Array | string, Uint8Array, Uint8Array>;

class VarveStore implements Store {
  readonly putWindow: number;
  readonly #db: Varve;
  readonly #family: Family;

  constructor(db: Varve, family: Family, options: OpenOptions) {
    this.#db = db;
    this.#family = family;
    this.putWindow = putWindowOf(options);
  }

  putSync(key: Uint8Array, value: Uint8Array): void {
    this.#family.putSync(key, value);
  }

  put(key: Uint8Array, value: Uint8Array): Promise<void> {
    return this.#family.put(key, value);
  }

  getSync(key: Uint8Array): Uint8Array | undefined {
    return this.#family.getSync(key);
  }

  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#family.get(key);
  }

  async settle(): Promise<void> {
    await this.#db.flush();
    // A version without compaction leaves the tables as they were flushed.
    await this.#db.compact().catch((error) => {
      if (error.code !== "ERR_UNSUPPORTED") throw error;
    });
  }

  sync(): Promise<void> {
    return this.#db.sync();
  }

  isQuiet(): boolean {
    const families = Object.values(this.#db.stats().columnFamilies);
    return families.every(({ frozenMemtables }) => frozenMemtables === 0);
  }

  scan(see: See): void {
    for (const [key, value] of this.#family.entries()) see(key, value);
  }

  scanFrom(key: Uint8Array, count: number, see: See): void {
    for (const entry of this.#family.entries({ gte: key, limit: count })) see(entry[0], entry[1]);
  }

  scanPages(): ScanTotals {
    const totals = { entries: 0, bytes: 0, firstBytes: 0 };
    for (const { count, bytes, offsets } of this.#family.pages()) {
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

  valueCounters(): ValueCounters {
    return { ...this.#db.stats().blobs };
  }

  allocate(bytes: number): Uint8Array {
    return this.#db.allocate(bytes);
  }

  putTransferred(key: Uint8Array, value: Uint8Array): Promise<void> {
    return this.#family.put(key, value, { transfer: true });
  }

  close(): Promise<void> {
    return this.#db.close();
  }
}
