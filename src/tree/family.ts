/**
 * A column family's live state: its active memtable, the frozen ones on their way to tables, and its version.
 *
 * Rotation keeps three promises: a full memtable is in the frozen list before the new one is active, so that no key is ever in
 * neither; whoever wants to rotate looks whether it is still needed; bytes and entries are what the memtables' own headers
 * say, so they cannot disagree.
 */
import type { OperatorRecord } from "../format/manifest_edit.ts";
import { Memtable } from "../memtable/memtable.ts";
import { MergeOperator } from "../native/layout.gen.ts";
import type { Region } from "../native/region.ts";
import { Signal } from "../native/signal.ts";
import { compactionDebt } from "./compaction_picker.ts";
import { newTraffic } from "./traffic.ts";
import { blobBytesOf, releaseTable, type Table, Version } from "./version.ts";

/** How the data blocks of one level are compressed. */
export interface LevelCompression {
  readonly type: "none" | "zstd";
  /** zstd's, 1 to 22. */
  readonly level: number;
}

export interface FamilyTuning {
  writeBufferSize: number;
  maxWriteBuffers: number;
  blockSize: number;
  filterBitsPerKey: number;
  /** Values of so many bytes and more go to blob segments. */
  blobThreshold: number;
  /** From level 0, never empty; the last stands for all levels below. */
  compression: readonly LevelCompression[];
  compactionStyle: "leveled" | "tiered";
  targetFileSize: number;
  levelBaseSize: number;
}

/**
 * A memtable is full when it points to this share of the bytes that the tables point to in blob segments, and no less than
 * `writeBufferSize`: what it overwrote is not known to be garbage before it is a table.
 */
const BLOB_SHARE_MAX = 1 / 32;

/** Something counted that a family lets go of: a memtable, a version. */
export interface Released {
  release(): void;
}

/** Whoever else reads a family: other Workers, by way of what was published of it. */
export interface FamilyWatcher {
  /** What readers are to be told of has changed. */
  changed(): void;
  /** The family is done with this; it is the watcher's to release when nobody reads it any more. */
  retire(item: Released): void;
}

/** Frozen memtables that keep to the ordinary size. */
const ORDINARY_FROZEN_MAX = 8;

export class Family {
  active: Memtable;
  /** Oldest first. */
  readonly frozen: Memtable[] = [];
  version: Version;
  /** Bytes that compaction has yet to move: see `compactionDebt`. */
  debt: number;
  /** Bytes that the tables point to in blob segments. */
  blobBytes: number;
  dropped = false;
  /** By level. */
  readonly traffic = newTraffic();
  /** Set while other Workers read the family. */
  watcher: FamilyWatcher | undefined;
  /** Whether values are integers of eight bytes, for the merge operator works on no others. */
  holdsIntegers = false;
  #operator: OperatorRecord | undefined;
  #flushed = new Signal();

  constructor(
    readonly id: number,
    readonly name: string,
    readonly tuning: FamilyTuning,
    active: Memtable,
    version: Version,
  ) {
    this.active = active;
    this.version = version;
    this.debt = compactionDebt(version.levels, tuning);
    this.blobBytes = blobBytesOf(version.tables);
  }

  /** A family with these tables, and nothing in memory. */
  static create(
    id: number,
    name: string,
    tuning: FamilyTuning,
    tables: readonly Table[],
    context: Region,
  ): Family {
    const active = Memtable.create(id, tuning.writeBufferSize, 0, 0);
    return new Family(id, name, tuning, active, Version.create(tables, context));
  }

  /** From here to `leave`, what the family names stays in memory. Of one that this Worker's engine changes, it does anyway. */
  enter(): void {}

  leave(): void {}

  /** Takes note of what other Workers did to the family. */
  refresh(): void {}

  /** What merges are folded with, from when it is on record. */
  get operator(): OperatorRecord | undefined {
    return this.#operator;
  }

  set operator(operator: OperatorRecord | undefined) {
    this.#operator = operator;
    const kind = this.mergeOperator;
    this.holdsIntegers = kind === MergeOperator.add || kind === MergeOperator.max ||
      kind === MergeOperator.min;
  }

  /** The operator's `MergeOperator`. */
  get mergeOperator(): number {
    return this.#operator?.kind ?? MergeOperator.none;
  }

  /** Bytes of all memtables, indexes included. */
  get memtableBytes(): number {
    let bytes = this.active.bytes;
    for (const memtable of this.frozen) bytes += memtable.bytes;
    return bytes;
  }

  get hasVolatile(): boolean {
    return [this.active, ...this.frozen].some((memtable) => memtable.volatileCount > 0);
  }

  /** Whether another rotation would pass the limit on memtables. */
  get isFull(): boolean {
    return this.frozen.length >= Math.max(1, this.tuning.maxWriteBuffers - 1);
  }

  /** The oldest log segment that one of the memtables needs, or `Infinity`. */
  get firstSegment(): number {
    let first = Infinity;
    for (const { firstSegment } of [...this.frozen, this.active]) {
      if (firstSegment !== 0) first = Math.min(first, firstSegment);
    }
    return first;
  }

  /** The memtable that takes an entry of this size, rotating if the active one is full. */
  memtableFor(keyBytes: number, valueBytes: number): Memtable {
    const { active } = this;
    const pointsToMuch = active.blobBytes > 0 &&
      active.blobBytes >= Math.max(this.tuning.writeBufferSize, BLOB_SHARE_MAX * this.blobBytes);
    if (pointsToMuch || !active.fits(keyBytes, valueBytes)) this.rotate(keyBytes, valueBytes);
    return this.active;
  }

  /**
   * Freezes the active memtable, if it holds anything, and begins one with room for an entry of this size.
   * REQUIRES: the log's tail is not lent, and the pipeline's claim, so that two rotations at once are one after the other.
   */
  rotate(keyBytes = 0, valueBytes = 0): void {
    const full = this.active;
    full.freeze();
    if (full.entryCount > 0) this.frozen.push(full);
    this.active = Memtable.create(this.id, this.#nextBudget(), keyBytes, valueBytes);
    if (full.entryCount === 0) this.#letGo(full);
    this.watcher?.changed();
  }

  /** Recovery begins anew: what was replayed does not count. */
  forgetMemtables(): void {
    for (const memtable of this.frozen.splice(0)) memtable.release();
    this.active.release();
    this.active = Memtable.create(this.id, this.tuning.writeBufferSize, 0, 0);
  }

  /** Puts a flushed memtable's table in its place. The version changes first, so no key is ever in neither. */
  install(memtable: Memtable, table: Table | undefined, context: Region): void {
    if (table !== undefined) this.replaceTables([], [table], context);
    this.frozen.splice(this.frozen.indexOf(memtable), 1);
    this.#letGo(memtable);
    this.watcher?.changed();
    this.wake();
  }

  /** A new version in the place of the present one, in one step. Who reads the old one keeps it. */
  replaceTables(removed: readonly Table[], added: readonly Table[], context: Region): void {
    const old = this.version;
    const gone = new Set(removed);
    const kept = old.tables.filter((table) => !gone.has(table));
    this.version = Version.create([...kept, ...added], context);
    this.debt = compactionDebt(this.version.levels, this.tuning);
    this.blobBytes = blobBytesOf(this.version.tables);
    this.#letGo(old);
    this.watcher?.changed();
  }

  /** Set at the next install, compaction, drop or failed flush. */
  get changed(): Signal {
    return this.#flushed;
  }

  wake(): void {
    const changed = this.#flushed;
    this.#flushed = new Signal();
    changed.set();
  }

  /** Lets go of everything that lies in memory. The family takes no further call. */
  release(): void {
    this.active.freeze();
    for (const memtable of this.frozen.splice(0)) this.#letGo(memtable);
    this.#letGo(this.active);
    this.#letGo(this.version);
    for (const table of this.version.tables) releaseTable(table);
  }

  #letGo(item: Released): void {
    if (this.watcher === undefined) item.release();
    else this.watcher.retire(item);
  }

  /**
   * Ordinarily `writeBufferSize`. One batch, or a recovery, may fill many memtables before one can be flushed: then they grow
   * with what is frozen, so that a read never has to look into more than a few dozen.
   */
  #nextBudget(): number {
    let frozenBytes = 0;
    for (const memtable of this.frozen) frozenBytes += memtable.bytes;
    return Math.max(this.tuning.writeBufferSize, Math.ceil(frozenBytes / ORDINARY_FROZEN_MAX));
  }
}
