/** The column families of one store, by number and by name. */
import { compareBytes, encodeUtf8 } from "../base/bytes.ts";
import type { Family, FamilyWatcher } from "../tree/family.ts";

export const DEFAULT_FAMILY = "default";

export class Families {
  readonly #byId = new Map<number, Family>();
  readonly #byName = new Map<string, Family>();

  #watcher: FamilyWatcher | undefined;

  /** From now on this is told of every change of every family. */
  watch(watcher: FamilyWatcher): void {
    this.#watcher = watcher;
    for (const family of this.all()) family.watcher = watcher;
  }

  add(family: Family): void {
    family.watcher = this.#watcher;
    this.#watcher?.changed();
    this.#byId.set(family.id, family);
    this.#byName.set(family.name, family);
  }

  remove(family: Family): void {
    this.#watcher?.changed();
    this.#byId.delete(family.id);
    this.#byName.delete(family.name);
  }

  /** Lets go of what they have in memory. REQUIRES: nothing changes any more. */
  release(): void {
    for (const family of this.all()) family.release();
  }

  get(id: number): Family | undefined {
    return this.#byId.get(id);
  }

  named(name: string): Family | undefined {
    return this.#byName.get(name);
  }

  all(): Iterable<Family> {
    return this.#byId.values();
  }

  /** `"default"` first, then in byte order. */
  names(): string[] {
    const others = [...this.#byName.keys()].filter((name) => name !== DEFAULT_FAMILY);
    others.sort((a, b) => compareBytes(encodeUtf8(a), encodeUtf8(b)));
    return [DEFAULT_FAMILY, ...others];
  }

  /** Bytes of all memtables, indexes included. */
  get memtableBytes(): number {
    let bytes = 0;
    for (const family of this.all()) bytes += family.memtableBytes;
    return bytes;
  }

  /** The oldest log segment that a memtable needs, or `Infinity`; `except` counts as flushed. */
  firstSegment(): number {
    let first = Infinity;
    for (const family of this.all()) first = Math.min(first, family.firstSegment);
    return first;
  }
}
