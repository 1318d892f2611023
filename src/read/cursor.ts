/**
 * A cursor: the visible entries of one range, in order, as packed pages that native code merges from memtables and tables.
 *
 * It pins what it reads (memtables and version) from `open` to `close`; a page is valid until the next fill.
 */
import { invalidArgument, quote, unsupported, type VarveError } from "../base/errors.ts";
import { nativeError } from "../native/failure.ts";
import type { Files } from "../native/files.ts";
import {
  Code,
  CONTEXT_KEY_OFFSET,
  CURSOR_MEMTABLES_MAX,
  CURSOR_REQUEST_OFFSET,
  CursorJob,
  CursorRequest,
  Lane,
  MergeOperator,
  Opcode,
  PAGE_DATA_BYTES,
  PAGE_ROW_COUNT_MAX,
  PageHeader,
} from "../native/layout.gen.ts";
import { native } from "../native/library.ts";
import { type Region, region } from "../native/region.ts";
import { takeJob, type Task } from "../native/task.ts";
import { assert } from "../base/assert.ts";
import type { Family } from "../tree/family.ts";
import { CurrentPage } from "./page.ts";
import { WOULD_BLOCK } from "./pending.ts";
import { tableError, tableJobError } from "./table_failure.ts";

const ATTEMPT = "Cannot read a range of";
const DO_NOT_BLOCK = 1;
/** The first page is small, for many ranges are; each next one is four times as large. */
const FIRST_PAGE_BYTES = 8192;
const PAGE_GROWTH = 4;
/** A limit up to this says how much is wanted: one page, if it has room. */
const SHORT_LIMIT_MAX = 1000;

export interface CursorRange {
  readonly lower: Uint8Array;
  readonly upper: Uint8Array | undefined;
  readonly reverse: boolean;
  readonly limit: number;
}

/** What a cursor reads: everything up to a sequence number, by the time of one moment. */
export interface ReadView {
  readonly sequence: number;
  /** Milliseconds since 1970: by it entries expire. */
  readonly time: number;
}

/** How a cursor reads. */
export interface CursorOptions {
  /** The rows carry no values. */
  readonly keysOnly: boolean;
  /** `MergeOperator` */
  readonly mergeOperator: number;
  /** As if there were no tables. Default: false. */
  readonly memtablesOnly?: boolean;
}

export class Cursor {
  readonly #handle: number;
  readonly #family: Family;
  readonly #mergeOperator: number;
  #remaining: number;
  #pageBytes: number;
  #end = false;
  #closed = false;

  constructor(
    readonly files: Files,
    context: Region,
    family: Family,
    range: CursorRange,
    view: ReadView,
    options: CursorOptions,
  ) {
    this.#family = family;
    this.#mergeOperator = options.mergeOperator;
    this.#remaining = range.limit;
    this.#pageBytes = range.limit <= SHORT_LIMIT_MAX ? PAGE_DATA_BYTES : FIRST_PAGE_BYTES;
    family.enter();
    try {
      writeRequest(context, files.jobs.store, family, range, view, options);
      this.#handle = native().call.varve_cursor_open(context.id);
    } finally {
      family.leave();
    }
    if (this.#handle < 0) throw nativeError(this.#handle, "Cannot open a cursor");
  }

  /** The next page, or `undefined` at the end. Reads on this thread. */
  next(): CurrentPage | undefined {
    if (this.#end) return undefined;
    const result = this.#fill(0);
    if (result < 0) throw this.#error(result);
    return this.#take(result);
  }

  /** The same if nothing needs the disk. */
  nextCached(): CurrentPage | undefined | typeof WOULD_BLOCK {
    if (this.#end) return undefined;
    const result = this.#fill(DO_NOT_BLOCK);
    if (result === Code.wouldBlock) return WOULD_BLOCK;
    if (result < 0) throw this.#error(result);
    return this.#take(result);
  }

  /**
   * The same as a task: what is not in memory is read, and ordered, on an I/O thread. `undefined` also if the cursor is closed
   * meanwhile.
   */
  *nextTask(): Task<CurrentPage | undefined> {
    const page = this.nextCached();
    if (page !== WOULD_BLOCK) return page;
    const { jobs } = this.files;
    const job = yield* takeJob(jobs, Opcode.cursorFill, Lane.read);
    const { u32, i32 } = jobs.shared;
    i32[(job + CursorJob.cursor) >> 2] = this.#handle;
    u32[(job + CursorJob.rowCountMax) >> 2] = this.#rowCountMax();
    u32[(job + CursorJob.byteCountMax) >> 2] = this.#pageBytes;
    yield job;
    const result = jobs.result(job);
    if (result < 0) {
      const merging = mergeError(result, this.#family, this.#mergeOperator);
      if (merging === undefined) throw tableJobError(this.files, job, ATTEMPT);
      jobs.release(job);
      throw merging;
    }
    jobs.release(job);
    // Its page may be another cursor's by now.
    return this.#closed ? undefined : this.#take(result);
  }

  /** Unpins everything. Closing twice is fine. */
  close(): void {
    if (this.#closed) return;
    this.#closed = this.#end = true;
    const result = native().call.varve_cursor_close(this.#handle);
    if (result < 0) throw nativeError(result, "Cannot close a cursor");
  }

  #fill(flags: number): number {
    return native().call.varve_cursor_fill(
      this.#handle,
      this.#rowCountMax(),
      this.#pageBytes,
      flags,
    );
  }

  #error(result: number): VarveError {
    return mergeError(result, this.#family, this.#mergeOperator) ??
      tableError(this.files, result, ATTEMPT);
  }

  #take(pageRegion: number): CurrentPage | undefined {
    const source = region(pageRegion);
    const count = source.u32[PageHeader.count >> 2];
    this.#remaining -= count;
    this.#pageBytes = Math.min(this.#pageBytes * PAGE_GROWTH, PAGE_DATA_BYTES);
    if (source.u32[PageHeader.end >> 2] === 1 || this.#remaining <= 0) this.#end = true;
    return count === 0 ? undefined : new CurrentPage(source);
  }

  #rowCountMax(): number {
    return Math.min(this.#remaining, PAGE_ROW_COUNT_MAX);
  }
}

/** What a code says of a merged key; `undefined` if it is about something else. */
function mergeError(
  result: number,
  { name, operator, holdsIntegers }: Family,
  mergeOperator: number,
): VarveError | undefined {
  const attempt = `Cannot read a merged key of column family '${name}'`;
  if (result === Code.unsupported && mergeOperator === MergeOperator.none) {
    const whose = operator === undefined ? "a" : `its ${quote(operator.name)}`;
    return unsupported(`${attempt}: it was opened without ${whose} merge operator`);
  }
  if (result === Code.invalid && holdsIntegers) {
    return invalidArgument(
      `${attempt}: a value that was put before it had a merge operator is no integer`,
    );
  }
  return undefined;
}

function writeRequest(
  { u8, u32, i32, f64 }: Region,
  store: number,
  family: Family,
  { lower, upper, reverse }: CursorRange,
  { sequence, time }: ReadView,
  { keysOnly, mergeOperator, memtablesOnly }: CursorOptions,
): void {
  const base = CURSOR_REQUEST_OFFSET;
  const memtables = [family.active, ...family.frozen.toReversed()];
  assert(memtables.length <= CURSOR_MEMTABLES_MAX, "writers wait long before so many memtables");
  i32[(base + CursorRequest.version) >> 2] = memtablesOnly ? 0 : family.version.handle;
  u32[(base + CursorRequest.memtableCount) >> 2] = memtables.length;
  f64[(base + CursorRequest.sequence) >> 3] = sequence;
  u32[(base + CursorRequest.lowerBytes) >> 2] = lower.length;
  u32[(base + CursorRequest.upperBytes) >> 2] = upper?.length ?? 0;
  u32[(base + CursorRequest.hasUpper) >> 2] = upper === undefined ? 0 : 1;
  u32[(base + CursorRequest.reverse) >> 2] = reverse ? 1 : 0;
  u32[(base + CursorRequest.keysOnly) >> 2] = keysOnly ? 1 : 0;
  u32[(base + CursorRequest.mergeOperator) >> 2] = mergeOperator;
  i32[(base + CursorRequest.store) >> 2] = store;
  f64[(base + CursorRequest.now) >> 3] = time;
  memtables.forEach((memtable, index) => {
    i32[((base + CursorRequest.memtables) >> 2) + index] = memtable.region.id;
  });
  u8.set(lower, CONTEXT_KEY_OFFSET);
  if (upper !== undefined) u8.set(upper, CONTEXT_KEY_OFFSET + lower.length);
}
