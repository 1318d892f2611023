/**
 * When the log's tail is lent, what for, and what becomes of it: the pipeline's side of a `TailLease`.
 */
import type { Health } from "../log/health.ts";
import type { Log } from "../log/log.ts";
import { EntryType } from "../native/layout.gen.ts";
import type { CommitCounters, CommitHost } from "./commit_host.ts";
import type { TailLease } from "./tail_lease.ts";
import type { WriteBuffer } from "./write_buffer.ts";

export class TailLender {
  /** Whether somebody would use the tail if it were lent. */
  isWanted = false;
  #isKept = false;

  constructor(
    readonly lease: TailLease,
    readonly log: Log,
    readonly host: CommitHost,
    readonly health: Health,
    readonly counters: CommitCounters,
    /** Entries committed so far, by type. */
    readonly entryCounts: Float64Array,
  ) {}

  /** Lends the tail for what the host allows. REQUIRES: nothing is under way in the pipeline. */
  lend(): void {
    if (!this.isWanted || this.#isKept || this.health.failure !== undefined) return;
    const { allowance } = this.host;
    if (allowance > 0) this.lease.lend(this.log.tail, allowance);
  }

  /**
   * Commits a buffer by one call, and says whether the lease covered it. Throws what ended writing.
   * REQUIRES: nothing is under way in the pipeline.
   */
  commit(buffer: WriteBuffer): boolean {
    const memtable = this.#memtableOf(buffer.plainFamily);
    return memtable >= 0 && this.#outcome(this.lease.commit(buffer, memtable));
  }

  /** The same for one entry. */
  commitEntry(
    head: number,
    family: number,
    key: Uint8Array,
    value: Uint8Array,
    valueBytes: number,
  ): boolean {
    const memtable = this.#memtableOf(family);
    return memtable >= 0 &&
      this.#outcome(this.lease.commitEntry(head, key, value, valueBytes, memtable));
  }

  /** The region of the family's active memtable; negative: nothing can be committed there. */
  #memtableOf(family: number): number {
    if (!this.lease.isLent || this.health.failure !== undefined) return -1;
    return this.host.family(family)?.active.region.id ?? -1;
  }

  #outcome(done: boolean | number): boolean {
    if (typeof done === "boolean") return done;
    this.recall();
    throw this.health.failure;
  }

  /**
   * Takes the tail back, and takes note of what was committed there. Whoever looks at the log or rotates a memtable outside of the
   * pipeline calls it first, and has until the end of the turn.
   */
  recall(): void {
    if (!this.lease.isLent) return;
    const use = this.lease.recall();
    if (use === undefined) return;
    if (use.frames > 0) this.log.grew(use.frames, use.offset, use.chain, use.frameEnd);
    const { counters, entryCounts } = this;
    counters.groups += use.groups;
    counters.writes += use.writes;
    counters.entries += use.entries;
    counters.bytes += use.bytes;
    counters.bytesCoalesced += use.bytesCoalesced;
    entryCounts[EntryType.put] += use.puts;
    entryCounts[EntryType.delete] += use.deletes;
    entryCounts[EntryType.merge] += use.merges;
    if (use.failure < 0) this.log.failed(use.failure);
  }

  /** Takes the tail back for good. */
  keep(): void {
    this.#isKept = true;
    this.recall();
  }
}
