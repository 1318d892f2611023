/** Carries operations out on a store, and keeps the history. */
import assert from "node:assert/strict";
import { type ColumnFamily, Varve, VarveError, type WriteBatch } from "../../mod.ts";
import type { SimulatedDisk, StoreOperation, WriteDurability } from "../../testing.ts";
import { JOINING } from "../entries.ts";
import { type Change, History, type State, type Write } from "./history.ts";
import { SMALL } from "./support.ts";

const TEXT = { keyEncoding: "utf8", valueEncoding: "utf8" } as const;
export const PATH = "/home/user/data";

type TextFamily = ColumnFamily<string, string, string, string>;

/** What a family's merges are joined by: one family folds in JavaScript. */
function merging(name: string) {
  const mergeOperator = name === "right" ? JOINING.custom : JOINING.native;
  return { ...TEXT, mergeOperator };
}

export class Driver {
  readonly history: History;
  readonly #families = new Map<number, TextFamily>();
  #db: Varve | undefined;
  #pending: Promise<void>[] = [];

  /** `blobThreshold`: from so many bytes on values go to blob segments. */
  constructor(readonly disk: SimulatedDisk, readonly blobThreshold: number = Infinity) {
    this.history = new History(() => disk.clock);
  }

  get db(): Varve {
    return this.#db!;
  }

  async open(): Promise<void> {
    const { disk, blobThreshold } = this;
    const mergeOperator = JOINING.native;
    this.#db = await Varve.open(PATH, { ...SMALL, disk, blobThreshold, mergeOperator });
    this.#takeFamilies();
  }

  /** Opens the store after its end, and checks what is there. */
  async recover(): Promise<State> {
    await this.open();
    const found = this.state();
    this.history.recovered(found);
    this.#takeFamilies();
    return found;
  }

  #takeFamilies(): void {
    this.#families.clear();
    for (const name of this.db.columnFamilies()) {
      const index = this.history.alive(name);
      if (index !== undefined) {
        this.#families.set(index, this.db.columnFamilySync(name, merging(name)));
      }
    }
  }

  /** Runs operations until they end, or the store is gone. */
  async run(operations: readonly StoreOperation[]): Promise<void> {
    for (const operation of operations) {
      if (this.#db === undefined) break;
      await this.#operate(operation);
    }
    await this.settle();
  }

  /** Waits for everything that was issued. */
  async settle(): Promise<void> {
    await Promise.all(this.#pending.splice(0));
  }

  async #operate(operation: StoreOperation): Promise<void> {
    const { history, db } = this;
    switch (operation.type) {
      case "write": {
        const write = history.write(operation.changes, operation.durability);
        const done = operation.blocking
          ? this.#writeSync(write)
          : this.#batch(write).write({ durability: operation.durability });
        await this.#issue(this.#settled(write, done), operation.awaited);
        break;
      }
      case "expire": {
        const { change, ttl, durability, awaited } = operation;
        // A put into no family is none, and promises nothing about those before it.
        if (history.alive(change.family) === undefined) break;
        const write = history.write([change], durability, this.disk.clock + ttl);
        const [put] = write.changes;
        assert.ok(put.type === "put");
        const family = this.#families.get(put.family)!;
        const done = family.put(put.key, put.value, { ttl, durability });
        await this.#issue(this.#settled(write, done), awaited);
        break;
      }
      case "advance":
        this.disk.clock += operation.milliseconds;
        break;
      case "sync":
      case "flush":
      case "compact": {
        const { last } = history;
        const done = operation.type === "sync"
          ? db.sync().then(() => history.promiseUpTo(last))
          : db[operation.type]().then(() => history.flushedUpTo(last));
        await this.#issue(done.catch(expected), operation.awaited);
        break;
      }
      case "createFamily": {
        if (history.alive(operation.family) !== undefined || history.inDoubt(operation.family)) {
          break;
        }
        const life = history.create(operation.family);
        try {
          const family = await db.columnFamily(operation.family, merging(operation.family));
          life.created = "acknowledged";
          this.#families.set(history.alive(operation.family)!, family);
        } catch (error) {
          expected(error);
        }
        break;
      }
      case "dropFamily": {
        const index = history.alive(operation.family);
        if (index === undefined) break;
        await this.settle();
        const life = history.families[index];
        life.dropped = "pending";
        try {
          await db.dropColumnFamily(operation.family);
          life.dropped = "acknowledged";
        } catch (error) {
          expected(error);
        }
        break;
      }
      case "reopen": {
        await this.close();
        try {
          // Whatever was in doubt is decided now.
          await this.recover();
        } catch (error) {
          expected(error);
        }
      }
    }
  }

  #batch({ changes }: Write): WriteBatch {
    const batch = this.db.batch();
    for (const change of changes) this.#add(batch, change);
    return batch;
  }

  /** By a blocking call, of which one change has its own. */
  #writeSync(write: Write): Promise<void> {
    const { changes: [change, ...others], durability } = write;
    try {
      if (change === undefined || others.length > 0) this.#batch(write).writeSync({ durability });
      else this.#changeSync(change, durability);
      return Promise.resolve();
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #changeSync(change: Change, durability: WriteDurability): void {
    const family = this.#families.get(change.family)!;
    switch (change.type) {
      case "put":
        return family.putSync(change.key, change.value, { durability });
      case "delete":
        return family.deleteSync(change.key, { durability });
      case "merge":
        return family.mergeSync(change.key, change.value, { durability });
      case "deleteRange":
        return family.deleteRangeSync({ gte: change.from, lt: change.to }, { durability });
    }
  }

  #add(batch: WriteBatch, change: Change): void {
    const family = this.#families.get(change.family)!;
    switch (change.type) {
      case "put":
        batch.put(family, change.key, change.value);
        break;
      case "delete":
        batch.delete(family, change.key);
        break;
      case "merge":
        batch.merge(family, change.key, change.value);
        break;
      case "deleteRange":
        batch.deleteRange(family, { gte: change.from, lt: change.to });
    }
  }

  #settled(write: Write, done: Promise<void>): Promise<void> {
    return done.then(
      () => this.history.settle(write, "acknowledged"),
      (error) => {
        this.history.settle(write, this.#isRefusal(error) ? "refused" : "failed");
        expected(error);
      },
    );
  }

  /**
   * Whether the log never heard of a write that failed. A record is logged when its large values are written, so an error of a blob
   * segment is none of the log; and behind a record that may be there the store takes no further write.
   */
  #isRefusal(error: unknown): boolean {
    if (error instanceof VarveError && error.path?.endsWith(".blob")) return true;
    try {
      return this.#db?.stats().failure === null;
    } catch {
      return false; // the disk has crashed
    }
  }

  async #issue(promise: Promise<void>, awaited: boolean): Promise<void> {
    this.#pending.push(promise);
    if (awaited) await this.settle();
  }

  get isOpen(): boolean {
    return this.#db !== undefined;
  }

  /** Closes the store; if that succeeds, everything acknowledged is promised. */
  async close(): Promise<void> {
    const { last } = this.history;
    const { db } = this;
    this.#db = undefined;
    try {
      await db.close();
      this.history.flushedUpTo(last);
    } catch (error) {
      expected(error);
    }
    await this.settle();
  }

  /** Everything that readers see. */
  state(): State {
    return stateOf(this.db, merging);
  }
}

export function stateOf(db: Varve, optionsOf: (name: string) => typeof TEXT = () => TEXT): State {
  const state: State = new Map();
  for (const name of db.columnFamilies()) {
    state.set(name, new Map(db.columnFamilySync(name, optionsOf(name)).entries()));
  }
  return state;
}

/** Only the store's own errors are an outcome; anything else is a bug. */
function expected(error: unknown): void {
  if (!(error instanceof VarveError) || error.code === "ERR_CORRUPTION") throw error;
}
