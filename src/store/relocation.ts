/**
 * Large values that a compaction takes along out of blob segments that are to be emptied: the segment that takes them, from its making
 * to the moment when it is one like others. `docs/blobs.md` says which segments, and why.
 *
 * Promises: the segment is whole and on stable storage before any edit names it; if it comes to nothing, no file is left.
 */
import { isDiskFull } from "../base/errors.ts";
import type { BlobWriter } from "../blob/blob_writer.ts";
import { BLOB_SEGMENT_START, BlobSegment, createBlobSegment } from "../blob/segment.ts";
import type { Files, OpenFile } from "../native/files.ts";
import type { Task } from "../native/task.ts";
import type { Relocation } from "../tree/compaction.ts";
import type { Compaction } from "../tree/compaction_picker.ts";
import type { Manifest } from "../tree/manifest.ts";
import type { Table } from "../tree/version.ts";
import type { Events } from "./events.ts";

export class Relocations {
  constructor(
    readonly files: Files,
    readonly manifest: Manifest,
    readonly values: BlobWriter,
    readonly events: Events,
  ) {}

  /** Makes room for what the inputs have in these segments; `undefined`: there is nothing, or no room. */
  *begin(
    { inputs, reason }: Compaction,
    segments: ReadonlySet<number>,
  ): Task<RunningRelocation | undefined> {
    const sources = new Set<number>();
    let bytes = BLOB_SEGMENT_START;
    for (const { record: { blobs } } of inputs) {
      for (const use of blobs) {
        if (!segments.has(use.number)) continue;
        sources.add(use.number);
        bytes += use.bytes;
      }
    }
    if (sources.size === 0) return undefined;
    const { files, manifest, values } = this;
    const number = manifest.takeFileNumber();
    try {
      const { direct } = values.options;
      const made = yield* createBlobSegment(files, number, bytes, direct, manifest.storeId);
      const ascending = [...sources].sort((a, b) => a - b);
      return new RunningRelocation(files, this.events, values, ascending, made.file!, bytes);
    } catch (error) {
      // Any other compaction does its work without it, and may even make room.
      if (isDiskFull(error) && reason !== "garbage") return undefined;
      throw error;
    }
  }
}

export class RunningRelocation implements Relocation {
  readonly target: number;
  #isOpen = true;
  #segment: BlobSegment | undefined;

  constructor(
    readonly files: Files,
    readonly events: Events,
    readonly values: BlobWriter,
    readonly sources: readonly number[],
    readonly file: OpenFile,
    readonly bytes: number,
  ) {
    this.target = file.number;
  }

  /** So many bytes of values are in the segment: it is cut off behind them and made durable. */
  *finish(blobBytes: number): Task<void> {
    const end = BLOB_SEGMENT_START + blobBytes;
    if (blobBytes === 0) return yield* this.abandon();
    if (end < this.bytes) yield* this.files.truncate(this.file, end);
    yield* this.files.sync(this.file);
    yield* this.#close();
    this.#segment = BlobSegment.found(this.target, end);
  }

  /** The segment, for the edit that names it; none if nothing moved. REQUIRES: `finish` has ended. */
  get added(): number[] {
    return this.#segment === undefined ? [] : [this.target];
  }

  /** The edit is on record: the segment is one like others, and sources that could not be emptied are not tried again. */
  install(outputs: readonly Table[]): void {
    if (this.#segment !== undefined) this.values.adopt(this.#segment);
    for (const { record: { blobs } } of outputs) {
      for (const { number } of blobs) {
        const segment = this.sources.includes(number) && this.values.segments.get(number);
        if (segment) segment.stuck = true;
      }
    }
  }

  /** It came to nothing. */
  *abandon(): Task<void> {
    yield* this.events.reporting(this.#close());
    this.#segment = undefined;
    yield* this.events.reporting(this.files.unlink(this.file));
  }

  *#close(): Task<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    yield* this.files.close(this.file);
  }
}
