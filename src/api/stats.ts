/** `db.stats()`: what a store has done and what it holds, as a plain object that survives `JSON.stringify`. */
import type { Latency } from "../base/histogram.ts";
import { Counters, EntryType, LEVEL_COUNT, STORE_COUNTERS_OFFSET } from "../native/layout.gen.ts";
import { native } from "../native/library.ts";
import type { Store } from "../store/store.ts";
import type { Family } from "../tree/family.ts";
import type { Table } from "../tree/version.ts";
import { Histogram } from "../base/histogram.ts";
import type { BlobReadCounters } from "../read/blob_reader.ts";
import type { ReadCounters } from "../read/point_reader.ts";
import type { Handle } from "./handle.ts";

const PUTS = [EntryType.put, EntryType.putExpiring, EntryType.putBlob, EntryType.putBlobExpiring];

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
    /** The entries by what they do, those of batches too. */
    readonly puts: number;
    readonly deletes: number;
    readonly rangeDeletes: number;
    readonly merges: number;
    readonly writersPerGroup: number;
    /** Groups that were made durable. */
    readonly syncGroups: number;
    /** Writes that went to the log, and the system calls that carried them there. */
    readonly writesIn: number;
    readonly callsOut: number;
    /** Bytes of log entries that went out in a call that several writes shared. */
    readonly bytesCoalesced: number;
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
    /** By level: tables that those looked into, and gets that ended there. */
    readonly levelProbes: readonly number[];
    readonly levelHits: readonly number[];
    /** Tables that a filter ruled out. */
    readonly filterNegatives: number;
    /** Blocks that were found in memory, and those that were read. */
    readonly cacheHits: number;
    readonly cacheMisses: number;
    /** Shares from 0 to 1: of gets, of gets that went on to the tables, of blocks. Zero as long as there were none. */
    readonly memtableHitRate: number;
    readonly tableHitRate: number;
    readonly cacheHitRate: number;
    /** What the block cache holds, which all stores of the process share. */
    readonly cacheBytes: number;
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
  readonly amplification: {
    /** Bytes written to files for each byte of entries and large values that was put, log and tables together. */
    readonly write: number;
    /** Tables that a get which goes on to the tables looks into, those that a filter rules out left aside. */
    readonly read: number;
    /** Bytes of tables for each byte in the deepest level of its family. */
    readonly space: number;
  };
  /**
   * How long things take, in microseconds, right to three per cent. `get` is recorded for one in 64 reads of this handle, `put` (from
   * the call to the acknowledgement) for one in eight turns of the event loop with writes and one in 64 blocking writes; the others
   * whenever they happen: `sync` makes a group durable, `stall` is a wait of writers.
   */
  readonly latency: {
    readonly get: Latency;
    readonly put: Latency;
    readonly sync: Latency;
    readonly flush: Latency;
    readonly compaction: Latency;
    readonly stall: Latency;
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
  readonly levels: readonly LevelStats[];
  /** Sorted runs that a get may have to look into: every table of level 0, and one table of each deeper level. */
  readonly readAmplification: number;
  /** Bytes of tables for each byte in the deepest level. */
  readonly spaceAmplification: number;
}

/** One level of a family. Traffic runs since the store was opened. */
export interface LevelStats {
  readonly files: number;
  readonly bytes: number;
  /** Bytes of tables that came in, from flushes or from above; that compactions into this level read, and wrote. */
  readonly bytesIn: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Bytes written for each byte that came in; zero as long as none did. */
  readonly writeAmplification: number;
}

export function statsOf({ store, reader }: Handle): Stats {
  if (store.remoteStats === undefined) return statsOfEngine(store as Store, reader);
  const { read, blobs, latency, ...rest } = store.remoteStats() as Stats;
  const { counters, blobs: { counters: large } } = reader;
  return {
    ...rest,
    read: {
      ...read,
      ...counters,
      memtableHitRate: ratio(counters.memtableHits, counters.gets),
      tableHitRate: ratio(sum(read.levelHits), counters.tableReads),
    },
    blobs: { ...blobs, reads: large.blobReads, readBytes: large.blobBytes },
    latency: { ...latency, get: reader.latency.summary() },
  };
}

/** The statistics but for reads, which each Worker makes by itself. */
export function describeEngine(engine: Store): Stats {
  return statsOfEngine(engine, {
    counters: { gets: 0, memtableHits: 0, tableReads: 0 },
    latency: new Histogram(),
    blobs: { counters: { blobReads: 0, blobBytes: 0 } },
  });
}

/** What a reader has counted. */
interface Reads {
  readonly counters: ReadCounters;
  readonly latency: Histogram;
  readonly blobs: { readonly counters: BlobReadCounters };
}

function statsOfEngine(store: Store, reader: Reads): Stats {
  const { pipeline, flusher, compactor, collector, backpressure, log, health, values } = store;
  pipeline.tail.recall();
  const groups = pipeline.counters.groups;
  const cacheHits = counter(store, Counters.cacheHits);
  const cacheMisses = counter(store, Counters.cacheMisses);
  const { gets, memtableHits, tableReads } = reader.counters;
  const levelProbes = levels(store, Counters.levelProbes);
  const levelHits = levels(store, Counters.levelHits);
  const filterNegatives = counter(store, Counters.filterNegatives);
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
      puts: countOf(store, PUTS),
      deletes: countOf(store, [EntryType.delete]),
      rangeDeletes: countOf(store, [EntryType.deleteRange]),
      merges: countOf(store, [EntryType.merge]),
      writersPerGroup: groups === 0 ? 0 : pipeline.counters.writes / groups,
      syncGroups: pipeline.counters.syncGroups,
      writesIn: counter(store, Counters.writesIn),
      callsOut: counter(store, Counters.writeCalls),
      bytesCoalesced: pipeline.counters.bytesCoalesced,
      bytes: counter(store, Counters.bytesWritten),
      syncs: counter(store, Counters.syncs),
      syncsShared: counter(store, Counters.syncsShared),
    },
    read: {
      ...reader.counters,
      levelProbes,
      levelHits,
      filterNegatives,
      cacheHits,
      cacheMisses,
      memtableHitRate: ratio(memtableHits, gets),
      tableHitRate: ratio(sum(levelHits), tableReads),
      cacheHitRate: ratio(cacheHits, cacheHits + cacheMisses),
      cacheBytes: native().call.varve_cache_bytes(),
      calls: counter(store, Counters.readCalls),
      bytes: counter(store, Counters.bytesRead),
      filesOpened: counter(store, Counters.filesOpened),
    },
    stall: { ...backpressure.stalls },
    amplification: {
      write: ratio(
        counter(store, Counters.bytesWritten),
        pipeline.counters.bytes + values.counters.bytes,
      ),
      read: ratio(Math.max(0, sum(levelProbes) - filterNegatives), tableReads),
      space: spaceAmplification([...store.families.all()]),
    },
    latency: {
      get: reader.latency.summary(),
      put: pipeline.putLatency.summary(),
      sync: pipeline.syncLatency.summary(),
      flush: flusher.latency.summary(),
      compaction: compactor.latency.summary(),
      stall: backpressure.latency.summary(),
    },
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
  const levels = family.version.levels.map((tables, level): LevelStats => {
    const { bytesIn, bytesRead, bytesWritten } = family.traffic[level];
    return {
      files: tables.length,
      bytes: bytesOf(tables),
      bytesIn,
      bytesRead,
      bytesWritten,
      writeAmplification: ratio(bytesWritten, bytesIn),
    };
  });
  const runs = levels.map(({ files }, level) => level === 0 ? files : Math.min(files, 1));
  return {
    memtableBytes: family.memtableBytes,
    memtableEntries: memtables.reduce((sum, { entryCount }) => sum + entryCount, 0),
    frozenMemtables: family.frozen.length,
    levels,
    readAmplification: sum(runs),
    spaceAmplification: spaceAmplification([family]),
  };
}

function bytesOf(tables: readonly Table[]): number {
  return tables.reduce((total, { record }) => total + record.fileBytes, 0);
}

function spaceAmplification(families: readonly Family[]): number {
  let bytes = 0;
  let deepest = 0;
  for (const { version } of families) {
    bytes += bytesOf(version.tables);
    deepest += bytesOf(version.levels.findLast((tables) => tables.length > 0) ?? []);
  }
  return ratio(bytes, deepest);
}

function countOf({ pipeline }: Store, types: readonly number[]): number {
  return sum(types.map((type) => pipeline.entriesOf(type)));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

/** A counter for each level. */
function levels(store: Store, offset: number): number[] {
  return Array.from({ length: LEVEL_COUNT }, (_, level) => counter(store, offset + 8 * level));
}

/** A native counter: two words, low first; exact to 2^53. */
function counter(store: Store, offset: number): number {
  const { u32 } = store.foundation.core;
  const word = (STORE_COUNTERS_OFFSET + offset) >> 2;
  return Atomics.load(u32, word) + Atomics.load(u32, word + 1) * 2 ** 32;
}
