/**
 * Log segments that nobody needs any more, kept to be the next ones: their space is there and written, so making a segment of one costs
 * a header, where a new one for synced groups costs its size in zeros. They have the size that segments reach, and temporary
 * names, so that a crash leaves nothing but files to remove.
 */
import type { Files, OpenFile } from "../native/files.ts";
import { FileKind } from "../native/layout.gen.ts";
import type { Task } from "../native/task.ts";
import type { Segment } from "./segment.ts";

/** A flush lets go of one or two where values are a kibibyte, of more where small writes are padded to blocks. */
const KEPT_MAX = 4;

export class SpareSegments {
  readonly #kept: OpenFile[] = [];

  /** `bytes`: the size that segments reach. */
  constructor(readonly files: Files, readonly bytes: number) {}

  /**
   * Keeps a segment that the manifest has let go of, and that nobody reads. False: it is of no use, and still the caller's.
   * `current`: the segment that is written to.
   */
  *keep({ blocks, bytes, file }: Segment, current: Segment | undefined): Task<boolean> {
    if (this.#kept.length === KEPT_MAX || !blocks || bytes !== this.bytes) return false;
    // The next one will be like the current one.
    if (current?.blocks !== true || current.file.direct !== file.direct) return false;
    const kept = { ...file, kind: FileKind.temporary };
    yield* this.files.rename(file, kept);
    this.#kept.push(kept);
    return true;
  }

  /** A file for a segment of that size, if there is one. */
  take(bytes: number): OpenFile | undefined {
    return bytes <= this.bytes ? this.#kept.pop() : undefined;
  }

  /** Gives their space back. False: there are none. */
  *drop(): Task<boolean> {
    const hadSome = this.#kept.length > 0;
    for (let file = this.#kept.pop(); file !== undefined; file = this.#kept.pop()) {
      yield* this.files.remove(file);
    }
    return hadSome;
  }
}
