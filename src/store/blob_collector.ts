/**
 * What becomes of blob segments: which of them compaction is to empty, and the removal of those that nothing points to.
 *
 * Promises: a segment goes only when no memtable and no table of any family points to it, and no write with a value in it is under
 * way. It is forgotten by the manifest first; who may still come upon an address in it (a cursor) reads on.
 */
import { VarveError } from "../base/errors.ts";
import type { BlobWriter } from "../blob/blob_writer.ts";
import type { BlobSegment } from "../blob/segment.ts";
import { nativeError } from "../native/failure.ts";
import { FileKind } from "../native/layout.gen.ts";
import { native } from "../native/library.ts";
import { Signal } from "../native/signal.ts";
import { startTask, type Task } from "../native/task.ts";
import type { Manifest } from "../tree/manifest.ts";
import { blobBytesOf } from "../tree/version.ts";
import type { Events } from "./events.ts";
import type { Families } from "./families.ts";
import type { Retention } from "./retention.ts";

/** Share of all bytes in blob segments that may be dead before the emptiest segments are emptied. */
const DEAD_SHARE_MAX = 0.15;
/** Level 0 is compacted for what it may have overwritten when it points to this share of them. */
const SHADOW_SHARE_MIN = 1 / 64;

/** What compaction is asked to do for blob segments. */
export interface GarbageOrder {
  /** Segments to empty. */
  readonly segments: ReadonlySet<number>;
  /** Families whose level 0 may have overwritten much. */
  readonly shadowed: ReadonlySet<number>;
}

/** Bytes in blob segments. */
export interface BlobUsage {
  /** What tables point to, and whatever is too young to tell. */
  readonly liveBytes: number;
  readonly deadBytes: number;
}

interface SegmentUsage {
  readonly segment: BlobSegment;
  /** Bytes that tables point to. */
  readonly live: number;
  /** Bytes that nothing points to: known when every value of the segment is in tables. */
  readonly dead: number;
  readonly removable: boolean;
}

const NOTHING: GarbageOrder = { segments: new Set(), shadowed: new Set() };

export class BlobCollector {
  readonly counters = { segmentsRemoved: 0, bytesRemoved: 0 };
  #running: Signal | undefined;
  #stopped = false;

  constructor(
    readonly values: BlobWriter,
    readonly families: Families,
    readonly manifest: Manifest,
    readonly retention: Retention,
    readonly events: Events,
    /** Handle of the native store. */
    readonly store: number,
  ) {}

  /** Begins to remove what nothing points to. */
  kick(): void {
    if (this.#running !== undefined || this.#stopped || this.#removable().length === 0) return;
    const running = this.#running = new Signal();
    startTask(this.values.jobs, this.#remove(), (error) => {
      this.#running = undefined;
      running.set();
      if (error === undefined) return this.kick();
      if (!(error instanceof VarveError)) throw error;
      if (!this.#stopped) this.events.emit("error", error);
    });
  }

  /** Removes nothing further; what is being removed is waited for. */
  *stop(): Task<void> {
    this.#stopped = true;
    if (this.#running !== undefined) yield this.#running;
  }

  /** What compaction is to do now. */
  get order(): GarbageOrder {
    if (this.values.segments.size === 0) return NOTHING;
    const usages = this.#usages();
    let total = 0;
    let dead = 0;
    for (const { segment, dead: bytes } of usages) {
      total += segment.valueBytes;
      dead += bytes;
    }
    return {
      segments: this.#emptiest(usages, dead - DEAD_SHARE_MAX * total),
      shadowed: this.#shadowed(total, DEAD_SHARE_MAX * total - dead),
    };
  }

  get usage(): BlobUsage {
    let deadBytes = 0;
    let bytes = 0;
    for (const { segment, dead } of this.#usages()) {
      deadBytes += dead;
      bytes += segment.valueBytes;
    }
    return { deadBytes, liveBytes: bytes - deadBytes };
  }

  /**
   * The emptiest segments that have so many dead bytes together, as long as their living values fit into one segment: what is copied
   * takes its space before it gives any back.
   */
  #emptiest(usages: readonly SegmentUsage[], wanted: number): ReadonlySet<number> {
    const chosen = new Set<number>();
    if (wanted <= 0) return chosen;
    const emptiest = usages
      .filter(({ segment, dead, live }) => dead > 0 && live > 0 && !segment.stuck)
      .sort((a, b) => a.live / a.segment.valueBytes - b.live / b.segment.valueBytes);
    let room = this.values.options.segmentBytes;
    let missing = wanted;
    for (const { segment, live, dead } of emptiest) {
      if (missing <= 0 || (chosen.size > 0 && live > room)) break;
      chosen.add(segment.number);
      room -= live;
      missing -= dead;
    }
    return chosen;
  }

  /** Families with so much in level 0 that, were it all overwriting, too much would be dead. */
  #shadowed(total: number, allowed: number): ReadonlySet<number> {
    const found = new Map<number, number>();
    let sum = 0;
    for (const { id, version: { levels } } of this.families.all()) {
      const bytes = blobBytesOf(levels[0]);
      if (
        bytes <= SHADOW_SHARE_MIN * total || levels.slice(1).every(({ length }) => length === 0)
      ) {
        continue;
      }
      found.set(id, bytes);
      sum += bytes;
    }
    return sum > Math.max(0, allowed) ? new Set(found.keys()) : NOTHING.shadowed;
  }

  #usages(): SegmentUsage[] {
    const inTables = new Map<number, number>();
    const inMemory = new Set<number>();
    for (const { active, frozen, version } of this.families.all()) {
      for (const memtable of [active, ...frozen]) {
        for (const number of memtable.blobs) inMemory.add(number);
      }
      for (const { record: { blobs } } of version.tables) {
        for (const { number, bytes } of blobs) {
          inTables.set(number, (inTables.get(number) ?? 0) + bytes);
        }
      }
    }
    return [...this.values.segments.values()].map((segment) => {
      const live = inTables.get(segment.number) ?? 0;
      const isKnown = segment.isSettled && !inMemory.has(segment.number);
      return {
        segment,
        live,
        dead: isKnown ? Math.max(0, segment.valueBytes - live) : 0,
        removable: isKnown && live === 0,
      };
    });
  }

  #removable(): BlobSegment[] {
    if (this.values.segments.size === 0) return [];
    return this.#usages().filter(({ removable }) => removable).map(({ segment }) => segment);
  }

  *#remove(): Task<void> {
    const retired = this.#removable().filter((segment) => this.#retire(segment));
    if (retired.length === 0) return;
    // Nothing can point to them any more: they take no values, and every address comes from one that is there.
    const numbers = retired.map(({ number }) => number);
    yield* this.manifest.append(() => ({ removedBlobs: numbers }));
    for (const segment of retired) {
      this.counters.segmentsRemoved++;
      this.counters.bytesRemoved += segment.bytes;
      yield* this.values.forget(segment);
    }
    yield* this.retention.remove(numbers.map((number) => ({ kind: FileKind.blob, number })));
  }

  /** Who may still come upon an address in it keeps a descriptor. False: there is none to be had, so it stays. */
  #retire({ number }: BlobSegment): boolean {
    const result = native().call.varve_blob_retire(this.store, number);
    if (result >= 0) return true;
    const name = { kind: FileKind.blob, number };
    const path = this.values.files.path(name);
    this.events.emit("error", nativeError(result, `Cannot remove '${path}'`, { path }));
    return false;
  }
}
