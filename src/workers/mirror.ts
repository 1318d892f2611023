/**
 * The families of a store as a Worker without its engine sees them: what the newest catalog says.
 *
 * Between `enter` and `leave` the catalog that the mirror shows is pinned: everything that it names stays in memory. Nobody waits
 * for anybody in between, and nothing is pinned outside.
 */
import { Memtable } from "../memtable/memtable.ts";
import { forgetRegion } from "../native/region.ts";
import { Families } from "../store/families.ts";
import { Family } from "../tree/family.ts";
import { Version } from "../tree/version.ts";
import { type Catalog, type CatalogFamily, readText } from "./catalog.ts";
import type { CoreWords, SlotWords } from "./core_words.ts";

export class Mirror {
  readonly families = new Families();
  #seen = 0;
  #depth = 0;
  #catalog: Catalog | undefined;
  /** Regions that it names. */
  #memtables: ReadonlySet<number> = new Set();

  constructor(readonly words: CoreWords, readonly slot: SlotWords) {}

  /** The catalog that is shown. REQUIRES: there was one. */
  get catalog(): Catalog {
    return this.#catalog!;
  }

  /** Whether a blob segment is still one. */
  has(blob: number): boolean {
    this.refresh();
    return this.catalog.blobs.includes(blob);
  }

  enter(): void {
    if (this.#depth++ > 0) return;
    const { words, slot } = this;
    for (;;) {
      const generation = words.generation;
      slot.store(slot.pinned, generation);
      // Published since: whoever did may not have seen the pin.
      if (words.generation !== generation) continue;
      if (generation !== this.#seen && generation !== 0) this.#show(generation);
      return;
    }
  }

  leave(): void {
    if (--this.#depth === 0) this.slot.store(this.slot.pinned, 0);
  }

  refresh(): void {
    if (this.words.generation === this.#seen) return;
    this.enter();
    this.leave();
  }

  #show(generation: number): void {
    const catalog = readText(this.words.catalog) as Catalog;
    this.#seen = generation;
    this.#catalog = catalog;
    const forgotten = this.#memtables;
    this.#memtables = new Set(
      catalog.families.flatMap(({ active, frozen }) => [active, ...frozen]),
    );
    for (const id of forgotten) if (!this.#memtables.has(id)) forgetRegion(id);
    const gone = new Set(this.families.all());
    for (const record of catalog.families) {
      let family = this.families.get(record.id) as MirrorFamily | undefined;
      if (family === undefined) this.families.add(family = new MirrorFamily(this, record));
      else family.show(record);
      gone.delete(family);
    }
    for (const family of gone) {
      family.dropped = true;
      this.families.remove(family);
    }
  }
}

class MirrorFamily extends Family {
  #activeRegion: number;

  constructor(readonly mirror: Mirror, record: CatalogFamily) {
    const { id, name, tuning, active, version, isEmpty } = record;
    const inline = { ...tuning, blobThreshold: Infinity };
    super(id, name, inline, Memtable.borrowed(active), Version.borrowed(version, isEmpty));
    this.#activeRegion = active;
    this.#showRest(record);
  }

  show(record: CatalogFamily): void {
    const { active, version, isEmpty } = record;
    if (active !== this.#activeRegion) this.active = Memtable.borrowed(active);
    this.#activeRegion = active;
    if (version !== this.version.handle) {
      this.version = Version.borrowed(version, isEmpty);
    }
    this.#showRest(record);
  }

  override enter(): void {
    this.mirror.enter();
  }

  override leave(): void {
    this.mirror.leave();
  }

  override refresh(): void {
    this.mirror.refresh();
  }

  #showRest({ frozen, operator }: CatalogFamily): void {
    this.frozen.splice(0, this.frozen.length, ...frozen.map(Memtable.borrowed));
    this.operator = operator;
  }
}
