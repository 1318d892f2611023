/** `db.stats()`: what a store has done and what it holds, as a plain object that survives `JSON.stringify`. */
import { Counters, STORE_COUNTERS_OFFSET } from "../native/layout.gen.ts";
import type { Store } from "../store/store.ts";
import type { Handle } from "./handle.ts";

/** Counters run since the store was opened, sizes are bytes. */
export interface Stats {
  readonly path: string;
  readonly sequence: number;
  /** The error that ended writing, if one did. */
  readonly failure: string | null;
  /** What goes past the page cache: segments of the log, tables as they are written, tables as they are read. */
  readonly directIo: {
    readonly log: boolean;
    readonly tableWrites: boolean;
    readonly tableReads: boolean;
  };
  readonly write: {
    /** Groups that were committed, and the writes (a batch is one) and entries in them. */
    readonly groups: number;
    readonly batches: number;
    readonly entries: number;
    readonly writersPerGroup: number;
    /** Groups that were made durable. */
    readonly syncGroups: number;
    /** Writes that went to the log, and the system calls that carried them there. */
    readonly writesIn: number;
    readonly callsOut: number;
    readonly bytes: number;
    /** Syncs of files, and requests that another's sync answered. */
    readonly syncs: number;
    readonly syncsShared: number;
  };
  readonly read: {
    readonly gets: number;
    readonly memtableHits: number;
    /** Gets that went on to the tables. */
    readonly tableReads: number;
    readonly filterNegatives: number;
    readonly cacheHits: number;
    readonly cacheMisses: number;
    /** Read calls of the system, and their bytes. */
    readonly calls: number;
    readonly bytes: number;
    readonly filesOpened: number;
  };
  readonly stall: {
    /** Times that writers waited, and how long. */
    readonly count: number;
    readonly milliseconds: number;
    /** Groups that were slowed down so that none has to wait, and by how much. */
    readonly delays: number;
    readonly delayMilliseconds: number;
    /** What writers wait for, or waited for last. */
    readonly reason: string;
  };
  readonly flush: { readonly count: number; readonly bytes: number; readonly failures: number };
  /** Large values, which lie in blob segments. */
  readonly blobs: {
    /** Segments on record, and their bytes on the disk. */
    readonly segments: number;
    readonly bytes: number;
    /** Bytes of values in whole blocks: what tables point to or is too young to tell, and what nothing points to any more. */
    readonly liveBytes: number;
    readonly deadBytes: number;
    /** Segments that nothing pointed to any more. */
    readonly segmentsRemoved: number;
    /** Values written and their bytes, and the system calls that carried them. */
    readonly valuesWritten: number;
    readonly valueBytes: number;
    readonly writeCalls: number;
    /** Values that fill their blocks, so that not a byte was added to them; and zeros added to the others, in place. */
    readonly aligned: number;
    readonly paddedBytes: number;
    /** Values handed over by `transfer`, and bytes of the others, which were copied once. */
    readonly transferred: number;
    readonly copiedBytes: number;
    /** Syncs of segments. */
    readonly syncs: number;
    /** Writes and syncs that failed, and segments that could not be made. */
    readonly failures: number;
    /** Values read by this handle outside of iterators, and their bytes. */
    readonly reads: number;
    readonly readBytes: number;
  };
  readonly compaction: {
    readonly count: number;
    /** Tables that went down a level by an edit of the manifest alone. */
    readonly moves: number;
    readonly bytesRead: number;
    readonly bytesWritten: number;
    readonly entriesIn: number;
    readonly entriesOut: number;
    /** Bytes of large values that were copied out of blob segments with much garbage. */
    readonly blobBytes: number;
    readonly milliseconds: number;
    readonly failures: number;
    readonly running: number;
    /** Bytes that compaction has yet to move: an estimate. */
    readonly debt: number;
  };
  readonly log: {
    readonly segments: number;
    readonly segment: number;
    readonly offset: number;
    readonly synced: boolean;
  };
  readonly memtableBytes: number;
  readonly columnFamilies: Readonly<Record<string, FamilyStats>>;
}

/** One column family's share. */
export interface FamilyStats {
  readonly memtableBytes: number;
  readonly memtableEntries: number;
  readonly frozenMemtables: number;
  /** From level 0 downwards. */
  readonly levels: readonly { readonly files: number; readonly bytes: number }[];
}

export function statsOf({ store, reader }: Handle): Stats {
  const { pipeline, flusher, compactor, collector, backpressure, log, health, values } = store;
  const groups = pipeline.counters.groups;
  return {
    path: store.path,
    sequence: store.visibility.visible,
    failure: health.failure?.message ?? null,
    directIo: {
      log: log.segments.some(({ file }) => file.direct),
      tableWrites: counter(store, Counters.tableWritesDirect) > 0,
      tableReads: counter(store, Counters.tableReadsDirect) > 0,
    },
    write: {
      groups,
      batches: pipeline.counters.writes,
      entries: pipeline.counters.entries,
      writersPerGroup: groups === 0 ? 0 : pipeline.counters.writes / groups,
      syncGroups: pipeline.counters.syncGroups,
      writesIn: counter(store, Counters.writesIn),
      callsOut: counter(store, Counters.writeCalls),
      bytes: counter(store, Counters.bytesWritten),
      syncs: counter(store, Counters.syncs),
      syncsShared: counter(store, Counters.syncsShared),
    },
    read: {
      ...reader.counters,
      filterNegatives: counter(store, Counters.filterNegatives),
      cacheHits: counter(store, Counters.cacheHits),
      cacheMisses: counter(store, Counters.cacheMisses),
      calls: counter(store, Counters.readCalls),
      bytes: counter(store, Counters.bytesRead),
      filesOpened: counter(store, Counters.filesOpened),
    },
    stall: { ...backpressure.stalls },
    flush: { ...flusher.counters },
    blobs: {
      segments: values.segments.size,
      bytes: [...values.segments.values()].reduce((sum, segment) => sum + segment.bytes, 0),
      ...collector.usage,
      segmentsRemoved: collector.counters.segmentsRemoved,
      valuesWritten: values.counters.values,
      valueBytes: values.counters.bytes,
      writeCalls: counter(store, Counters.blobWriteCalls),
      aligned: values.counters.aligned,
      paddedBytes: values.counters.paddedBytes,
      transferred: values.counters.transferred,
      copiedBytes: values.counters.copiedBytes,
      syncs: values.counters.syncs,
      failures: values.counters.failures,
      reads: reader.blobs.counters.blobReads,
      readBytes: reader.blobs.counters.blobBytes,
    },
    compaction: {
      ...compactor.counters,
      running: compactor.runningCount,
      debt: [...store.families.all()].reduce((sum, { debt }) => sum + debt, 0),
    },
    log: {
      segments: log.segments.length,
      ...log.position,
      synced: log.isSynced,
    },
    memtableBytes: store.families.memtableBytes,
    columnFamilies: Object.fromEntries(
      store.families.names().map((name) => [name, familyStats(store, name)]),
    ),
  };
}

function familyStats(store: Store, name: string): FamilyStats {
  const family = store.families.named(name)!;
  const memtables = [family.active, ...family.frozen];
  const levels = family.version.levels.map((tables) => ({
    files: tables.length,
    bytes: tables.reduce((sum, { record }) => sum + record.fileBytes, 0),
  }));
  return {
    memtableBytes: family.memtableBytes,
    memtableEntries: memtables.reduce((sum, { entryCount }) => sum + entryCount, 0),
    frozenMemtables: family.frozen.length,
    levels,
  };
}

/** A native counter: two words, low first; exact to 2^53. */
function counter(store: Store, offset: number): number {
  const { u32 } = store.jobs.shared;
  const word = (STORE_COUNTERS_OFFSET + offset) >> 2;
  return Atomics.load(u32, word) + Atomics.load(u32, word + 1) * 2 ** 32;
}
