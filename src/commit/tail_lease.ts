/**
 * The tail of the log, lent: while the pipeline has nothing under way, any Worker commits a run of plain writes by one native call, and
 * waits for nobody. `zig/src/tail_lease.zig` carries it out; what a lease covers is decided here, by who lends it.
 *
 * Between `lend` and `recall` the lender touches neither the log nor the numbers nor the active memtables.
 */
import type { LogTail } from "../log/log.ts";
import { TAIL_LEASE_OFFSET, TAIL_REFUSED, TailLease as Words } from "../native/layout.gen.ts";
import { native } from "../native/library.ts";
import type { Region } from "../native/region.ts";
import type { WriteBuffer } from "./write_buffer.ts";

/** Larger runs take long enough for others to notice: they are the pipeline's. */
const RUN_BYTES_MAX = 1 << 20;

const at = (offset: number): number => (TAIL_LEASE_OFFSET + offset) >> 2;
const atWide = (offset: number): number => (TAIL_LEASE_OFFSET + offset) >> 3;

/** What was committed under a lease. */
export interface LeaseUse {
  readonly groups: number;
  readonly writes: number;
  readonly entries: number;
  readonly bytes: number;
  readonly bytesCoalesced: number;
  readonly puts: number;
  readonly deletes: number;
  readonly merges: number;
  /** Frames in the log, and where they end. */
  readonly frames: number;
  readonly chain: number;
  readonly offset: number;
  readonly frameEnd: number;
  /** Zero, or the negative errno of the write that failed. */
  readonly failure: number;
}

export class TailLease {
  readonly #u32: Uint32Array<ArrayBuffer>;
  readonly #i32: Int32Array<ArrayBuffer>;
  readonly #f64: Float64Array<ArrayBuffer>;
  #isLent = false;

  constructor(core: Region, readonly session: number) {
    this.#u32 = core.u32;
    this.#i32 = core.i32;
    this.#f64 = core.f64;
  }

  /** Whether this Worker has lent it. */
  get isLent(): boolean {
    return this.#isLent;
  }

  /** Lends the tail for so many bytes of runs. Without `tail`, for unlogged writes only. */
  lend(tail: LogTail | undefined, allowance: number): void {
    const f64 = this.#f64;
    this.#u32.fill(0, at(0), at(Words.BYTES));
    f64[atWide(Words.allowance)] = allowance;
    if (tail !== undefined) {
      const i32 = this.#i32;
      i32[at(Words.file)] = tail.file;
      this.#u32[at(Words.chain)] = tail.chain;
      f64[atWide(Words.segment)] = tail.segment;
      f64[atWide(Words.offset)] = tail.offset;
      f64[atWide(Words.end)] = tail.end;
      f64[atWide(Words.syncedSegment)] = tail.synced.segment;
      f64[atWide(Words.syncedOffset)] = tail.synced.offset;
    }
    native().call.varve_tail_lend(this.session);
    this.#isLent = true;
  }

  /** Takes it back, whoever lent it. What was done with it, if anything was. */
  recall(): LeaseUse | undefined {
    native().call.varve_tail_recall(this.session);
    this.#isLent = false;
    const u32 = this.#u32;
    const f64 = this.#f64;
    const failure = this.#i32[at(Words.failure)];
    const groups = u32[at(Words.groups)];
    if (groups === 0 && failure === 0) return undefined;
    return {
      groups,
      writes: f64[atWide(Words.writes)],
      entries: f64[atWide(Words.entries)],
      bytes: f64[atWide(Words.bytes)],
      bytesCoalesced: f64[atWide(Words.bytesCoalesced)],
      puts: u32[at(Words.puts)],
      deletes: u32[at(Words.deletes)],
      merges: u32[at(Words.merges)],
      frames: u32[at(Words.frames)],
      chain: u32[at(Words.chain)],
      offset: f64[atWide(Words.offset)],
      frameEnd: f64[atWide(Words.frameEnd)],
      failure,
    };
  }

  /**
   * Commits a buffer to its family's active memtable, which lies in the region `memtable`. True: it is committed and visible. False:
   * nothing was done. A negative number: the write failed, and whether the log has it is in doubt.
   * REQUIRES: nothing that the caller wrote before is still on its way; the memtable is not released meanwhile.
   */
  commit(buffer: WriteBuffer, memtable: number): boolean | number {
    if (buffer.bytes > RUN_BYTES_MAX) return false;
    buffer.pad();
    const result = native().call.varve_tail_commit(
      this.session,
      buffer.region.id,
      buffer.bytes,
      memtable,
      buffer.writeCount,
      buffer.logged ? 1 : 0,
    );
    return outcomeOf(result);
  }

  /**
   * The same for one entry, which is nowhere yet: at the front of `key` and `value`. `head`: its type and the key's bytes as a
   * `LogEntry` has them, and `TAIL_UNLOGGED` if it goes into no log. REQUIRES: at most `TAIL_ENTRY_BYTES_MAX` bytes.
   */
  commitEntry(
    head: number,
    key: Uint8Array,
    value: Uint8Array,
    valueBytes: number,
    memtable: number,
  ): boolean | number {
    const { varve_tail_commit_entry } = native().call;
    return outcomeOf(
      varve_tail_commit_entry(this.session, memtable, head, key, value, valueBytes),
    );
  }
}

function outcomeOf(result: number): boolean | number {
  return result === 0 || (result !== TAIL_REFUSED && result);
}
