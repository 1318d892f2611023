/** Carries operations out on a store, and keeps the history. */
import { type ColumnFamily, Varve, VarveError } from "../../mod.ts";
import type { SimulatedDisk, StoreOperation } from "../../testing.ts";
import { History, type State } from "./history.ts";
import { SMALL } from "./support.ts";

const TEXT = { keyEncoding: "utf8", valueEncoding: "utf8" } as const;
export const PATH = "/home/user/data";

type TextFamily = ColumnFamily<string, string, string, string>;

export class Driver {
  readonly history = new History();
  readonly #families = new Map<number, TextFamily>();
  #db: Varve | undefined;
  #pending: Promise<void>[] = [];

  constructor(readonly disk: SimulatedDisk) {}

  get db(): Varve {
    return this.#db!;
  }

  async open(): Promise<void> {
    this.#db = await Varve.open(PATH, { ...SMALL, disk: this.disk });
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
      if (index !== undefined) this.#families.set(index, this.db.columnFamilySync(name, TEXT));
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
        const batch = db.batch();
        for (const { family, key, value } of write.changes) {
          const target = this.#families.get(family)!;
          if (value === undefined) batch.delete(target as never, key);
          else batch.put(target as never, key as never, value as never);
        }
        await this.#issue(
          batch.write({ durability: operation.durability }).then(
            () => history.settle(write, "acknowledged"),
            (error) => {
              history.settle(write, "failed");
              expected(error);
            },
          ),
          operation.awaited,
        );
        break;
      }
      case "sync":
      case "flush": {
        const { last } = history;
        const done = operation.type === "sync" ? db.sync() : db.flush();
        await this.#issue(done.then(() => history.promiseUpTo(last), expected), operation.awaited);
        break;
      }
      case "createFamily": {
        if (history.alive(operation.family) !== undefined || history.inDoubt(operation.family)) {
          break;
        }
        const life = history.create(operation.family);
        try {
          const family = await db.columnFamily(operation.family, TEXT);
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
      this.history.promiseUpTo(last);
    } catch (error) {
      expected(error);
    }
    await this.settle();
  }

  /** Everything that readers see. */
  state(): State {
    return stateOf(this.db);
  }
}

export function stateOf(db: Varve): State {
  const state: State = new Map();
  for (const name of db.columnFamilies()) {
    state.set(name, new Map(db.columnFamilySync(name, TEXT).entries()));
  }
  return state;
}

/** Only the store's own errors are an outcome; anything else is a bug. */
function expected(error: unknown): void {
  if (!(error instanceof VarveError) || error.code === "ERR_CORRUPTION") throw error;
}
