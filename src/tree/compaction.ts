/**
 * Carrying out one compaction: the library merges the inputs step by step on I/O threads, and describes the tables that it made.
 * Nothing here changes what the store is; the caller installs the outcome, or discards it.
 */
import { padded } from "../base/words.ts";
import { nativeError } from "../native/failure.ts";
import type { Files, OpenFile } from "../native/files.ts";
import {
  CHAIN_PAGE_BYTES,
  ChainAnswer,
  ChainPage,
  COMPACTION_ARRAYS_OFFSET,
  CompactionJob,
  CompactionRequest,
  CompactionResult,
  Lane,
  Opcode,
} from "../native/layout.gen.ts";
import { native } from "../native/library.ts";
import { type Region, releaseRegion, reserveRegion } from "../native/region.ts";
import { takeJob, type Task } from "../native/task.ts";
import type { Compaction } from "./compaction_picker.ts";
import type { Family } from "./family.ts";
import { describeTable, DESCRIPTION_BYTES_MAX, tuningWords } from "./tables.ts";
import type { Table } from "./version.ts";

/** What a compaction needs besides its inputs. */
export interface CompactionOrder {
  /** Handle of the native store. */
  readonly store: number;
  readonly family: Family;
  readonly compaction: Compaction;
  /** Ascending. */
  readonly snapshots: readonly number[];
  readonly now: number;
  /** File numbers from here on are the outputs'. */
  readonly firstNumber: number;
  readonly numberCount: number;
  /** Blob segments to empty, and the one that takes their living values. */
  readonly relocation: Relocation | undefined;
  /** Zero: no limit. */
  readonly bytesPerSecond: number;
  /** Bytes read in one step: between two steps other jobs of the lane get their turn. */
  readonly stepBytes: number;
  /** Who folds long chains of a JavaScript operator. Absent: they stay as they are. */
  readonly fold: ChainFold | undefined;
}

/**
 * What a key's chain, a `MergeStack`, comes to as a `put` would have stored it; `undefined`: its operands stay as they are. The
 * bytes are the callee's to keep.
 */
export type ChainFold = (key: Uint8Array, stack: Uint8Array) => Task<Uint8Array | undefined>;

/** The region that `order.fold` is asked by, and what it said last. */
interface Chains {
  readonly page: Region;
  readonly fold: ChainFold;
  answer: number;
  bytes: number;
}

/** Large values that move. */
export interface Relocation {
  /** Ascending. */
  readonly sources: readonly number[];
  /** A segment with its header and nothing else, which the library fills. */
  readonly target: number;
  readonly file: OpenFile;
}

export interface CompactionOutcome {
  readonly outputs: readonly Table[];
  /** Bytes of values, in whole blocks, that moved to the relocation's target. */
  readonly blobBytes: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly entriesIn: number;
  readonly entriesOut: number;
}

/** A running compaction's handle, by which another task may end it early. */
export class RunningCompaction {
  readonly #handle: number;

  constructor(private readonly order: CompactionOrder) {
    this.#handle = openCompaction(order);
  }

  /** Makes the step that runs now end soon, and the task with `ERR_CLOSED`. */
  cancel(): void {
    native().call.varve_compaction_cancel(this.#handle);
  }

  /** Merges. The outputs are synced, named durably and open; whoever calls owns them. On an error there are none. */
  *run(files: Files): Task<CompactionOutcome> {
    const { jobs } = files;
    const { compaction, numberCount, stepBytes, family } = this.order;
    const descriptions = reserveRegion(DESCRIPTION_BYTES_MAX * numberCount);
    let chains: Chains | undefined;
    try {
      const { fold } = this.order;
      if (fold !== undefined) {
        chains = {
          page: reserveRegion(CHAIN_PAGE_BYTES),
          fold,
          answer: ChainAnswer.none,
          bytes: 0,
        };
      }
      for (;;) {
        const job = yield* takeJob(jobs, Opcode.compactionStep, Lane.background);
        const { u32, i32, f64 } = jobs.shared;
        i32[(job + CompactionJob.compaction) >> 2] = this.#handle;
        i32[(job + CompactionJob.descriptionRegion) >> 2] = descriptions.id;
        f64[(job + CompactionJob.stepBytes) >> 3] = stepBytes;
        if (chains !== undefined) {
          i32[(job + CompactionJob.chainRegion) >> 2] = chains.page.id;
          u32[(job + CompactionJob.chainAnswer) >> 2] = chains.answer;
          u32[(job + CompactionJob.chainBytes) >> 2] = chains.bytes;
        }
        yield job;
        const result = jobs.result(job);
        const count = u32[(job + CompactionJob.outputCount) >> 2];
        const counted = {
          bytesRead: f64[(job + CompactionJob.bytesRead) >> 3],
          bytesWritten: f64[(job + CompactionJob.bytesWritten) >> 3],
          entriesIn: f64[(job + CompactionJob.entriesIn) >> 3],
          entriesOut: f64[(job + CompactionJob.entriesOut) >> 3],
          blobBytes: f64[(job + CompactionJob.blobBytes) >> 3],
        };
        const offset = jobs.value(job);
        jobs.release(job);
        if (result < 0) {
          throw nativeError(result, `Cannot compact column family '${family.name}'`, {
            path: files.directory,
            offset,
          });
        }
        if (result === CompactionResult.chain) yield* answerChain(chains!);
        if (result !== CompactionResult.done) continue;
        const outputs = describeOutputs(descriptions, count, compaction.outputLevel);
        return { outputs, ...counted };
      }
    } finally {
      releaseRegion(descriptions.id);
      if (chains !== undefined) releaseRegion(chains.page.id);
      native().call.varve_compaction_close(this.#handle);
    }
  }
}

/** The chain on the page becomes what the operator makes of it, if that has room there. */
function* answerChain(chains: Chains): Task<void> {
  const { u8, u32, bytes } = chains.page;
  const keyEnd = ChainPage.BYTES + u32[ChainPage.keyBytes >> 2];
  const stackStart = padded(keyEnd);
  const stackEnd = stackStart + u32[ChainPage.stackBytes >> 2];
  const key = u8.slice(ChainPage.BYTES, keyEnd);
  const value = yield* chains.fold(key, u8.slice(stackStart, stackEnd));
  if (value === undefined || value.length > bytes) {
    chains.answer = ChainAnswer.carried;
    return;
  }
  u8.set(value);
  chains.answer = ChainAnswer.folded;
  chains.bytes = value.length;
}

function describeOutputs(
  descriptions: Region,
  count: number,
  level: number,
): Table[] {
  const outputs: Table[] = [];
  let offset = 0;
  for (let index = 0; index < count; index++) {
    const { table, end } = describeTable(descriptions, offset, level);
    outputs.push(table);
    offset = end;
  }
  return outputs;
}

function openCompaction(order: CompactionOrder): number {
  const { compaction, family, snapshots, relocation } = order;
  const relocations = relocation?.sources ?? [];
  const words = sourceWords(compaction);
  const snapshotsStart = COMPACTION_ARRAYS_OFFSET + Math.ceil(words.length / 2) * 8;
  const region = reserveRegion(snapshotsStart + 8 * (snapshots.length + relocations.length));
  try {
    const { u32, i32, f64 } = region;
    i32[CompactionRequest.store >> 2] = order.store;
    u32[CompactionRequest.family >> 2] = family.id;
    u32[CompactionRequest.sourceWords >> 2] = words.length;
    u32[CompactionRequest.snapshotCount >> 2] = snapshots.length;
    u32[CompactionRequest.relocationCount >> 2] = relocations.length;
    u32[CompactionRequest.level >> 2] = compaction.outputLevel;
    u32[CompactionRequest.bottom >> 2] = compaction.bottom ? 1 : 0;
    u32[CompactionRequest.mergeOperator >> 2] = family.mergeOperator;
    u32[CompactionRequest.handsChains >> 2] = order.fold === undefined ? 0 : 1;
    const tuning = tuningWords(family.tuning, compaction.outputLevel);
    u32[CompactionRequest.blockBytes >> 2] = tuning.blockBytes;
    u32[CompactionRequest.filterBitsPerKey >> 2] = tuning.filterBitsPerKey;
    u32[CompactionRequest.compression >> 2] = tuning.compression;
    u32[CompactionRequest.compressionLevel >> 2] = tuning.compressionLevel;
    f64[CompactionRequest.firstNumber >> 3] = order.firstNumber;
    f64[CompactionRequest.numberCount >> 3] = order.numberCount;
    f64[CompactionRequest.blobNumber >> 3] = relocation?.target ?? 0;
    i32[CompactionRequest.blobFile >> 2] = relocation?.file.handle ?? 0;
    f64[CompactionRequest.targetBytes >> 3] = family.tuning.targetFileSize;
    f64[CompactionRequest.now >> 3] = order.now;
    f64[CompactionRequest.bytesPerSecond >> 3] = order.bytesPerSecond;
    i32.fill(0, COMPACTION_ARRAYS_OFFSET >> 2, snapshotsStart >> 2);
    i32.set(words, COMPACTION_ARRAYS_OFFSET >> 2);
    f64.set([...snapshots, ...relocations], snapshotsStart >> 3);
    const handle = native().call.varve_compaction_open(region.id);
    if (handle < 0) throw nativeError(handle, "Cannot begin a compaction");
    return handle;
  } finally {
    releaseRegion(region.id);
  }
}

/** The inputs as the library reads them: level count, then for each level: table count and handles. */
function sourceWords({ inputs }: Compaction): number[] {
  const levels: number[][] = [];
  for (const { record, handle } of inputs) {
    while (levels.length <= record.level) levels.push([]);
    levels[record.level].push(handle);
  }
  return [levels.length, ...levels.flatMap((handles) => [handles.length, ...handles])];
}
