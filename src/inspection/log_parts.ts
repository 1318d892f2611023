/** A log segment in parts. Frames behind a gap are shown too, for they may be all that is left. */
import { wordsOf } from "../base/words.ts";
import { frameBytes, type FrameOrigin, isSound, roundUp, soundRunBytes } from "../log/frame.ts";
import { FrameSearch } from "../log/frame_search.ts";
import { SEGMENT_BYTES_MAX } from "../log/replay.ts";
import { decodeSegmentHeader, SEGMENT_START } from "../log/segment.ts";
import { BLOCK_BYTES, LogEntry, LogFrame, LogRun, LogSegmentHeader } from "../native/layout.gen.ts";
import { type Region, releaseRegion, reserveRegion } from "../native/region.ts";
import { entryFields } from "./entry.ts";
import { type FilePart, type Findings, type ReadableFile, zerosFrom } from "./part.ts";

const PIECE_BYTES = 1 << 20;
/** Frames and runs start on multiples of this. */
const RUN_ALIGNMENT = 8;

/** `number`: what the file's name says, if it says anything. */
export async function* logParts(
  file: ReadableFile,
  number: number | undefined,
  findings: Findings,
): AsyncGenerator<FilePart> {
  if (file.bytes < BLOCK_BYTES) return findings.damage(file.bytes, "its header is cut off");
  if (file.bytes > SEGMENT_BYTES_MAX) {
    return findings.damage(SEGMENT_BYTES_MAX, "it is larger than any segment");
  }
  const region = reserveRegion(file.bytes);
  try {
    for (let offset = 0; offset < file.bytes; offset += PIECE_BYTES) {
      const bytes = Math.min(PIECE_BYTES, file.bytes - offset);
      region.u8.set(await file.read(offset, bytes), offset);
    }
    yield* new Segment(region, file.bytes, findings).parts(number);
  } finally {
    releaseRegion(region.id);
  }
}

class Segment {
  #origin: FrameOrigin = { number: 0, mark: 0 };
  #search: FrameSearch | undefined;

  constructor(
    readonly region: Region,
    readonly bytes: number,
    readonly findings: Findings,
  ) {}

  *parts(named: number | undefined): Generator<FilePart> {
    const header = decodeSegmentHeader(this.region);
    if (typeof header === "string") return this.findings.damage(0, header);
    const { checksum, mark, ...fields } = header;
    const written = zerosFrom(this.region.u8.subarray(0, SEGMENT_START), LogSegmentHeader.BYTES);
    if (written > LogSegmentHeader.BYTES) {
      this.findings.damage(written - 1, "what follows the header is not zero");
    }
    this.#origin = header;
    const isReused = mark !== 0;
    yield {
      kind: "header",
      offset: 0,
      bytes: BLOCK_BYTES,
      checksum,
      fields: { ...fields, ...(isReused && { reused: true }) },
    };
    if (named !== undefined && named !== header.number) {
      this.findings.damage(0, `it is segment ${header.number} under another's name`);
    }
    if (this.bytes < header.bytes) {
      this.findings.damage(this.bytes, `it is cut off at ${this.bytes} of ${header.bytes} bytes`);
    }
    const end = yield* this.#frames(SEGMENT_START, undefined);
    let last = end;
    for (let next = this.#behind(end); next !== undefined; next = this.#behind(last)) {
      this.findings.damage(last, `no frame follows here, and there is one at offset ${next}`);
      last = yield* this.#frames(next, this.#chainAt(next));
    }
    yield* this.#rest(last, isReused);
  }

  /** The next frame behind a place where none follows: where the damaged one says that it ends, or at a block's start. */
  #behind(end: number): number | undefined {
    if (end + LogFrame.BYTES > this.bytes) return undefined;
    const stated = end + frameBytes(this.region, end);
    if (stated > end && stated % RUN_ALIGNMENT === 0 && this.#isSound(stated)) return stated;
    this.#search ??= new FrameSearch(this.region, this.#origin, this.bytes);
    const place = this.#search.next(end + 1);
    if (this.#search.gaveUp) {
      this.findings.damage(end, "what follows looks like frames, and is none");
    }
    return place;
  }

  /** Frames that follow each other, from a place on; returns where they end. `chain`: of the first one, if that matters. */
  *#frames(start: number, chain: number | undefined): Generator<FilePart, number> {
    let end = start;
    for (;;) {
      const frame = [end, roundUp(end)].find((place) =>
        this.#isSound(place) && (chain === undefined || this.#chainAt(place) === chain)
      );
      if (frame === undefined) return end;
      const padded = zerosFrom(this.region.u8.subarray(0, frame), end);
      if (padded > end) this.findings.damage(padded - 1, "what pads a block is not zero");
      yield* this.#frame(frame);
      chain = this.region.u32[(frame + LogFrame.checksum) >> 2];
      end = frame + frameBytes(this.region, frame);
    }
  }

  *#frame(frame: number): Generator<FilePart> {
    const { u32, f64 } = this.region;
    const bytes = frameBytes(this.region, frame);
    yield {
      kind: "frame",
      offset: frame,
      bytes,
      checksum: u32[(frame + LogFrame.checksum) >> 2],
      fields: {
        chain: this.#chainAt(frame),
        synced: {
          segment: f64[(frame + LogFrame.syncedSegment) >> 3],
          offset: f64[(frame + LogFrame.syncedOffset) >> 3],
        },
      },
    };
    const end = frame + bytes;
    for (let run = frame + LogFrame.BYTES; run < end;) {
      const runBytes = soundRunBytes(this.region, run, end);
      if (runBytes === undefined) {
        return this.findings.damage(run, "a run of entries is malformed");
      }
      yield* this.#run(run, runBytes);
      run += runBytes;
    }
  }

  /** REQUIRES: the run is sound. */
  *#run(run: number, bytes: number): Generator<FilePart> {
    const { u8, u32, f64 } = this.region;
    const entryCount = u32[(run + LogRun.entryCount) >> 2];
    const firstSequence = f64[(run + LogRun.firstSequence) >> 3];
    yield { kind: "run", offset: run, bytes, fields: { firstSequence, entryCount } };
    let offset = run + LogRun.BYTES;
    for (let index = 0; index < entryCount; index++) {
      const typeAndKeyBytes = u32[(offset + LogEntry.typeAndKeyBytes) >> 2];
      const keyBytes = typeAndKeyBytes >>> 16;
      const valueBytes = u32[(offset + LogEntry.valueBytes) >> 2];
      const family = u32[(offset + LogEntry.family) >> 2];
      const keyStart = offset + LogEntry.BYTES;
      const valueStart = keyStart + 4 * wordsOf(keyBytes);
      const end = valueStart + 4 * wordsOf(valueBytes);
      const key = u8.slice(keyStart, keyStart + keyBytes);
      const value = u8.slice(valueStart, valueStart + valueBytes);
      const fields = entryFields(typeAndKeyBytes & 0xff, firstSequence + index, key, value);
      yield { kind: "entry", offset, bytes: end - offset, fields: { family, ...fields } };
      offset = end;
    }
  }

  /** In a reused segment stands what the file was before. */
  *#rest(end: number, isReused: boolean): Generator<FilePart> {
    const { u8 } = this.region;
    const written = isReused ? end : zerosFrom(u8.subarray(0, this.bytes), end);
    if (written > end) {
      this.findings.damage(end, "what follows is no frame: a write that was cut off, or damage");
    }
    const bytes = this.bytes - written;
    if (bytes > 0) yield { kind: "rest", offset: written, bytes, fields: {} };
  }

  #isSound(place: number): boolean {
    return place <= this.bytes && isSound(this.region, this.#origin, place, this.bytes);
  }

  #chainAt(frame: number): number {
    return this.region.u32[(frame + LogFrame.chain) >> 2];
  }
}
