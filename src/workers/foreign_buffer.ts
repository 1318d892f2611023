/** A write buffer of another Worker: committed like one of the host's own, and settled in its Worker's slot. */
import { WriteBuffer } from "../commit/write_buffer.ts";
import { Submission, SubmissionFlag } from "../native/layout.gen.ts";
import { region } from "../native/region.ts";
import { encodeText, writeText } from "./catalog.ts";
import type { SlotWords } from "./core_words.ts";
import { errorText } from "./requests.ts";

export class ForeignBuffer extends WriteBuffer {
  readonly expires: boolean;

  /** Submission number `count` of a slot. */
  constructor(
    readonly slot: SlotWords,
    readonly count: number,
    readonly settled: () => void,
  ) {
    const record = slot.submission(count);
    const { u32, i32 } = slot.core;
    super(region(i32[(record + Submission.region) >> 2]));
    const flags = u32[(record + Submission.flags) >> 2];
    this.adopt(
      u32[(record + Submission.bytes) >> 2],
      u32[(record + Submission.entryCount) >> 2],
      u32[(record + Submission.writeCount) >> 2],
    );
    this.logged = (flags & SubmissionFlag.logged) !== 0;
    this.durable = (flags & SubmissionFlag.durable) !== 0;
    this.expires = (flags & SubmissionFlag.expires) !== 0;
    // Its memory is its Worker's: no pool takes it.
    this.retained = true;
  }

  override get isForeign(): boolean {
    return true;
  }

  override settle(error: unknown): void {
    super.settle(error);
    settleSubmission(this.slot, this.count, error);
    this.settled();
  }
}

/** Says what became of a submission. From then on its region is its Worker's again. */
export function settleSubmission(slot: SlotWords, count: number, error: unknown): void {
  const record = slot.submission(count);
  const { core: { u32, i32 } } = slot;
  if (error !== undefined) {
    writeText(region(i32[(record + Submission.region) >> 2]), encodeText(errorText(error)));
  }
  u32[(record + Submission.result) >> 2] = error === undefined ? 0 : 1;
  slot.store(slot.done, (count + 1) >>> 0);
  slot.notify();
}
