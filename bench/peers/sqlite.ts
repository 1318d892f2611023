/** SQLite as Bun ships it: one table, prepared statements, each put its own transaction. */
import { Database, type Statement } from "bun:sqlite";
import type { Durability, OpenOptions, Store, StoreDriver } from "./peer.ts";
import type { See } from "./store.ts";

/** Clustering the table by key wins for small values; large ones are better kept in a heap. */
const CLUSTERED_VALUE_BYTES_MAX = 256;

const synchronous: Record<Durability, string> = {
  sync: "FULL",
  buffered: "NORMAL",
  volatile: "OFF",
};

export function load(): StoreDriver {
  const [{ version }] = new Database(":memory:").query("SELECT sqlite_version() AS version")
    .all() as [
      { version: string },
    ];
  return { kind: "store", version: `bun:sqlite ${version}`, warnings: [], settings, open };
}

function settings(options: OpenOptions): string {
  return `${pragmas(options).join(", ")}; ${tableShape(options) || "rowid table"}; one INSERT OR ` +
    "REPLACE, one transaction, per put";
}

function pragmas({ durability, cacheBytes }: OpenOptions): string[] {
  return [
    "journal_mode = WAL",
    `synchronous = ${synchronous[durability]}`,
    "locking_mode = EXCLUSIVE",
    `cache_size = -${cacheBytes / 1024}`,
    "wal_autocheckpoint = 10000",
  ];
}

function tableShape({ valueBytes }: OpenOptions): string {
  return valueBytes <= CLUSTERED_VALUE_BYTES_MAX ? "WITHOUT ROWID" : "";
}

function open(options: OpenOptions): Promise<Store> {
  return Promise.resolve(new SqliteStore(options));
}

class SqliteStore implements Store {
  readonly #db: Database;
  readonly #put: Statement;
  readonly #get: Statement<{ value: Uint8Array }, [Uint8Array]>;

  constructor(options: OpenOptions) {
    this.#db = new Database(`${options.directory}/sqlite.db`);
    for (const pragma of pragmas(options)) this.#db.run(`PRAGMA ${pragma}`);
    this.#db.run(
      `CREATE TABLE entries (key BLOB PRIMARY KEY, value BLOB NOT NULL) ${tableShape(options)}`,
    );
    this.#put = this.#db.prepare("INSERT OR REPLACE INTO entries VALUES (?, ?)");
    this.#get = this.#db.prepare("SELECT value FROM entries WHERE key = ?");
  }

  putSync(key: Uint8Array, value: Uint8Array): void {
    this.#put.run(key, value);
  }

  getSync(key: Uint8Array): Uint8Array | undefined {
    return this.#get.get(key)?.value;
  }

  settle(): Promise<void> {
    this.#db.run("PRAGMA wal_checkpoint(TRUNCATE)");
    return Promise.resolve();
  }

  scan(see: See): void {
    const statement = this.#db.prepare<{ key: Uint8Array; value: Uint8Array }, []>(
      "SELECT key, value FROM entries ORDER BY key",
    );
    for (const { key, value } of statement.iterate()) see(key, value);
  }

  close(): Promise<void> {
    this.#db.close();
    return Promise.resolve();
  }
}
