/** One large value of a write: from the call that took it to its place in a blob segment. */
import type { Region } from "../native/region.ts";
import type { BlobSegment } from "./segment.ts";

export class ValueWrite {
  /** Where it lies; set when it gets its place. */
  segment: BlobSegment | undefined;
  offset = 0;
  /** The how-manieth of its segment it was; set when it is written. */
  mark = 0;
  checksum = 0;
  error: unknown;

  /**
   * `source`: native memory that is this write's alone, or a copy that waits for some. `ended` is called once, when the value is written or
   * `error` says why not.
   */
  constructor(
    readonly bytes: number,
    public source: Region | Uint8Array,
    readonly ended: (value: ValueWrite) => void,
  ) {}

  /** What keeps the value from ever being on stable storage, if something does. */
  get failure(): unknown {
    if (this.error !== undefined) return this.error;
    const { segment } = this;
    return segment !== undefined && this.mark > segment.synced ? segment.failure : undefined;
  }
}
