/**
 * Reads the live log segments in order, up to where the log ends; `frame_walk.ts` says what becomes of the entries.
 *
 * The log ends at the first frame that does not check out or does not carry its predecessor's checksum. Whatever is known
 * to have been synced (by the manifest's clean close, by a segment's header, by any sound frame behind that place)
 * must lie before it: otherwise bytes were lost that a caller was promised, and that is `ERR_CORRUPTION`.
 */
import { isBefore, type LogPosition } from "../format/manifest_edit.ts";
import type { StoreId } from "../format/manifest_file.ts";
import { type Files, type OpenFile, required } from "../native/files.ts";
import { BLOCK_BYTES, FileFlag, FileKind, LogFrame } from "../native/layout.gen.ts";
import type { Region } from "../native/region.ts";
import type { Task } from "../native/task.ts";
import { damage, type FrameOrigin, roundUp } from "./frame.ts";
import { type EntrySink, FrameWalk } from "./frame_walk.ts";
import { decodeSegmentHeader, type Segment, SEGMENT_START } from "./segment.ts";
import { SegmentWindow } from "./segment_window.ts";

/** What the manifest says of the log. */
export interface LogRecord {
  readonly storeId: StoreId;
  readonly logs: readonly number[];
  readonly logEnds: ReadonlyMap<number, number>;
  readonly cleanClose: LogPosition | undefined;
  /** A frame that is known to stand on something lost: the log ends before it. */
  readonly end?: LogPosition;
}

export interface Replayed {
  readonly position: LogPosition;
  readonly chain: number;
  /** How far the log is known to have been synced: noughts for not at all. */
  readonly synced: LogPosition;
  /** The greatest sequence number; zero: none. */
  readonly lastSequence: number;
  /** Segments up to the end, oldest first. */
  readonly segments: Segment[];
  /** Segments behind the end: nothing in them counts. */
  readonly dropped: Segment[];
}

/** A segment holds one record of at most 1 GiB and its framing; more was never written. */
export const SEGMENT_BYTES_MAX = 4 * 1024 ** 3 - BLOCK_BYTES;

export function* replayLog(
  files: Files,
  record: LogRecord,
  writable: boolean,
  sink: EntrySink = {},
): Task<Replayed> {
  const replay = new Replay(files, record, sink);
  try {
    for (const number of record.logs) yield* replay.segment(number, writable);
    return replay.finish();
  } finally {
    replay.release();
  }
}

/** Gives back the files of a replay that nobody goes on with. */
export function* closeSegments(files: Files, { segments, dropped }: Replayed): Task<void> {
  for (const { file } of [...segments, ...dropped]) yield* files.close(file);
}

class Replay {
  readonly #segments: Segment[] = [];
  readonly #dropped: Segment[] = [];
  #position: LogPosition = { segment: 0, offset: 0 };
  #chain = 0;
  /** The furthest place that anything sound says was synced. */
  #synced: LogPosition = { segment: 0, offset: 0 };
  #ended = false;

  readonly #walk: FrameWalk;
  readonly #window: SegmentWindow;

  constructor(
    readonly files: Files,
    readonly record: LogRecord,
    readonly sink: EntrySink,
  ) {
    this.#walk = new FrameWalk(sink);
    this.#window = new SegmentWindow(files);
  }

  release(): void {
    this.#walk.release();
    this.#window.release();
  }

  *segment(number: number, writable: boolean): Task<void> {
    const name = { kind: FileKind.log, number };
    const path = this.files.path(name);
    const file = yield* required(
      path,
      this.files.open(name, writable ? 0 : FileFlag.readOnly),
    );
    const bytes = yield* this.files.size(file);
    if (bytes > SEGMENT_BYTES_MAX) throw damage(path, bytes, "it is larger than any segment");
    const wanted = Math.min(bytes, this.#bytesThatCount(number, bytes));
    const window = this.#window;
    yield* window.open(file, wanted);
    if (window.end < BLOCK_BYTES) throw damage(path, window.end, "its header is cut off");
    const header = decodeSegmentHeader(window.region);
    if (typeof header === "string") throw damage(path, 0, header);
    const { storeId } = this.record;
    const foreign = header.storeId.low !== storeId.low || header.storeId.high !== storeId.high;
    if (header.number !== number || foreign) throw damage(path, 0, "it is another segment");
    if (bytes < header.bytes) {
      throw damage(path, bytes, `it is cut off at ${bytes} of ${header.bytes} bytes`);
    }
    this.#claim(header.synced);
    // An end that a recovery put on record is one up to which it had synced.
    const end = this.record.logEnds.get(number);
    if (end !== undefined) this.#claim({ segment: number, offset: end });
    const limit = Math.min(wanted, end ?? wanted, this.#cut(number));
    yield* this.#frames(
      file,
      header,
      limit,
      path,
      writable && this.record.cleanClose === undefined,
    );
    if (this.#cut(number) < Infinity) this.#ended = true;
    const { blocks, mark } = header;
    const segment: Segment = { number, mark, file, blocks, bytes, writtenTo: 0, syncedTo: 0 };
    (this.#ended && number > this.#position.segment ? this.#dropped : this.#segments).push(segment);
  }

  /** Behind a clean close, or an end that a recovery put on record, nothing counts. */
  #bytesThatCount(number: number, bytes: number): number {
    const { cleanClose, logEnds } = this.record;
    const end = cleanClose?.segment === number ? cleanClose.offset : logEnds.get(number);
    return Math.max(Math.min(bytes, end === undefined ? bytes : roundUp(end)), BLOCK_BYTES);
  }

  finish(): Replayed {
    const { cleanClose } = this.record;
    if (cleanClose !== undefined) this.#claim(cleanClose);
    if (isBefore(this.#position, this.#synced)) {
      const { segment, offset } = this.#position;
      const path = this.files.path({ kind: FileKind.log, number: segment });
      const { segment: syncedSegment, offset: syncedOffset } = this.#synced;
      throw damage(
        path,
        offset,
        `the log ends here, and was synced up to segment ${syncedSegment}, offset ${syncedOffset}`,
      );
    }
    return {
      position: this.#position,
      chain: this.#chain,
      synced: this.#synced,
      lastSequence: this.#walk.lastSequence,
      segments: this.#segments,
      dropped: this.#dropped,
    };
  }

  /** The offset from which on a segment does not count. */
  #cut(number: number): number {
    const { end } = this.record;
    if (end === undefined || number < end.segment) return Infinity;
    return number === end.segment ? end.offset : 0;
  }

  /**
   * Walks the frames of one segment while they follow each other, reading as it goes; then looks for sound ones behind. Nothing
   * from `limit` on counts.
   */
  *#frames(
    file: OpenFile,
    origin: FrameOrigin,
    limit: number,
    path: string,
    writeBack: boolean,
  ): Task<void> {
    const { number } = file;
    const walk = this.#walk;
    const window = this.#window;
    walk.begin(origin, this.#position.segment === 0, this.#chain);
    while (!this.#ended && limit > SEGMENT_START) {
      const start = walk.offset;
      walk.run(this.sink, window, Math.min(window.end, limit), path);
      this.#claim(walk.synced);
      if (writeBack) yield* this.#writeBack(file, start, walk.offset);
      const needed = window.bytesNeeded(origin, walk.offset);
      if (needed === undefined || needed > limit) break;
      yield* window.show(walk.offset, needed);
      if (window.end < needed) throw damage(path, window.end, "it ends before its size");
    }
    const { offset } = walk;
    if (offset > SEGMENT_START) {
      this.#position = { segment: number, offset };
      this.#chain = walk.chain;
    }
    // An empty segment is the log's end, unless an earlier recovery noted that it is empty.
    if (offset === SEGMENT_START && limit > SEGMENT_START) this.#ended = true;
    yield* window.search(origin, offset, limit, path, (region, at) => {
      this.#ended = true;
      this.#claimOf(region, at);
    });
  }

  /**
   * Writes again what is not known to be synced. A sync that failed before the process ended leaves bytes that can be read
   * and that no later sync writes; written once more, they are on stable storage when recovery has synced the segment.
   */
  *#writeBack(file: OpenFile, from: number, to: number): Task<void> {
    const { region, base } = this.#window;
    if (this.#synced.segment > file.number) return;
    const synced = this.#synced.segment === file.number ? this.#synced.offset : 0;
    const start = Math.max(from, Math.floor(synced / BLOCK_BYTES) * BLOCK_BYTES);
    if (to > start) yield* this.files.write(file, region, start, to - start, start - base);
  }

  #claimOf(region: Region, frame: number): void {
    this.#claim({
      segment: region.f64[(frame + LogFrame.syncedSegment) >> 3],
      offset: region.f64[(frame + LogFrame.syncedOffset) >> 3],
    });
  }

  /** Notes what was synced. What lay in segments that the manifest has let go of is in tables. */
  #claim(synced: LogPosition): void {
    const oldest = this.record.logs[0] ?? Infinity;
    if (synced.segment >= oldest && isBefore(this.#synced, synced)) this.#synced = synced;
  }
}
