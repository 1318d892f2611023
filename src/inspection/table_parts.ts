/** A table in parts: its data blocks as the index has them, then ranges, filter, index, properties and footer. */
import { VarveError } from "../base/errors.ts";
import { blockEntries, MalformedBlock, rangePieces } from "../format/table_block.ts";
import { nativeError } from "../native/failure.ts";
import {
  BlobReference,
  BLOCK_BYTES,
  BoundKind,
  Code,
  Compression,
  TableFooter,
  TableProperties,
} from "../native/layout.gen.ts";
import { native } from "../native/library.ts";
import { entryFields } from "./entry.ts";
import { type FilePart, type Findings, type ReadableFile, zerosFrom } from "./part.ts";

const FOOTER_BYTES = 64;
/** Behind every block: compression, zeros, checksum. */
const TRAILER_BYTES = 8;
/** What an index says of a data block: offset u64, bytes u32. */
const PLACE_BYTES = 12;

/** Where a block's content lies; its trailer follows. */
interface Place {
  readonly offset: number;
  readonly bytes: number;
}

/** A block that checks out. */
interface Block extends Place {
  readonly checksum: number;
  /** Expanded. */
  readonly content: Uint8Array;
  readonly compression: string;
}

interface Footer {
  readonly number: number;
  readonly filter: Place;
  readonly index: Place;
  readonly properties: Place;
  readonly checksum: number;
}

/** `number`: what the file's name says, if it says anything. */
export async function* tableParts(
  file: ReadableFile,
  number: number | undefined,
  findings: Findings,
): AsyncGenerator<FilePart> {
  if (file.bytes < BLOCK_BYTES || file.bytes % BLOCK_BYTES !== 0) {
    return findings.damage(file.bytes, `a table has a multiple of ${BLOCK_BYTES} bytes`);
  }
  const footer = await readFooter(file, findings);
  if (footer === undefined) return;
  if (number !== undefined && number !== footer.number) {
    findings.damage(0, `it is table ${footer.number} under another's name`);
  }
  yield* new TableFile(file, footer, findings).parts();
}

async function readFooter(file: ReadableFile, findings: Findings): Promise<Footer | undefined> {
  const offset = file.bytes - FOOTER_BYTES;
  const bytes = await file.read(offset, FOOTER_BYTES);
  const out = new Uint8Array(TableFooter.BYTES);
  const { varve_footer_decode: decode } = native().call;
  const result = decode(bytes, bytes.length, file.bytes, out, out.length);
  if (result < 0) {
    noteFailure(findings, result, offset, "its footer is damaged, or it is no table");
    return undefined;
  }
  const view = new DataView(out.buffer);
  const float = (field: number) => view.getFloat64(field, true);
  const word = (field: number) => view.getUint32(field, true);
  return {
    number: float(TableFooter.number),
    filter: { offset: float(TableFooter.filterOffset), bytes: word(TableFooter.filterBytes) },
    index: { offset: float(TableFooter.indexOffset), bytes: word(TableFooter.indexBytes) },
    properties: {
      offset: float(TableFooter.propertiesOffset),
      bytes: word(TableFooter.propertiesBytes),
    },
    checksum: word(TableFooter.checksum),
  };
}

class TableFile {
  constructor(
    readonly file: ReadableFile,
    readonly footer: Footer,
    readonly findings: Findings,
  ) {}

  async *parts(): AsyncGenerator<FilePart> {
    const { footer } = this;
    const properties = await this.#block(footer.properties);
    const described = properties && this.#properties(properties);
    const index = await this.#block(footer.index);
    const places = index === undefined ? [] : this.#places(index);
    let end = 0;
    for (const place of places) {
      if (place.offset !== end) this.findings.damage(end, "no block of the index begins here");
      end = place.offset + place.bytes + TRAILER_BYTES;
      const block = await this.#block(place);
      if (block !== undefined) yield* this.#data(block);
    }
    if (described !== undefined && described.ranges.bytes > 0) {
      const ranges = await this.#block(described.ranges);
      if (ranges !== undefined) yield* this.#pieces(ranges);
      end = described.ranges.offset + described.ranges.bytes + TRAILER_BYTES;
    }
    if (described !== undefined && index !== undefined && end !== footer.filter.offset) {
      this.findings.damage(end, "no block begins here");
    }
    if (footer.filter.bytes > 0) {
      const filter = await this.#block(footer.filter);
      if (filter !== undefined) yield* this.#filter(filter);
    }
    if (index !== undefined) yield part("index", index, { blocks: places.length });
    if (properties !== undefined && described !== undefined) {
      yield part("properties", properties, described.fields);
    }
    const { number, checksum } = footer;
    const offset = this.file.bytes - FOOTER_BYTES;
    const blocksEnd = footer.properties.offset + footer.properties.bytes + TRAILER_BYTES;
    const padding = await this.file.read(blocksEnd, offset - blocksEnd);
    const written = zerosFrom(padding, 0);
    if (written > 0) {
      this.findings.damage(blocksEnd + written - 1, "what stands before the footer is not zero");
    }
    yield { kind: "footer", offset, bytes: FOOTER_BYTES, checksum, fields: { number } };
  }

  async #block({ offset, bytes }: Place): Promise<Block | undefined> {
    const end = offset + bytes + TRAILER_BYTES;
    if (end > this.file.bytes) {
      this.findings.damage(offset, `a block of ${bytes} bytes would end behind the file`);
      return undefined;
    }
    const stored = await this.file.read(offset, bytes + TRAILER_BYTES);
    const { call } = native();
    const size = call.varve_block_check(stored, stored.length, this.footer.number, offset);
    const content = new Uint8Array(Math.max(0, size));
    const result = size < 0
      ? size
      : call.varve_block_expand(stored, stored.length, content, content.length);
    if (result < 0) {
      noteFailure(this.findings, result, offset, "the block is damaged");
      return undefined;
    }
    const trailer = new DataView(stored.buffer, stored.byteOffset + bytes);
    const compression = stored[bytes] === Compression.none ? "none" : "zstd";
    return { offset, bytes, content, compression, checksum: trailer.getUint32(4, true) };
  }

  /** Data blocks by the index; what makes no sense ends the list. */
  #places(index: Block): Place[] {
    const places: Place[] = [];
    if (index.content.length === 0) return places;
    this.#walk(index, () => {
      for (const { offset, value } of blockEntries(index.content)) {
        if (value.length !== PLACE_BYTES) {
          throw new MalformedBlock(offset, "an entry names no block");
        }
        const view = new DataView(value.buffer, value.byteOffset, value.length);
        const place = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
        places.push({ offset: place, bytes: view.getUint32(8, true) });
      }
    });
    return places;
  }

  *#data(block: Block): Generator<FilePart> {
    const { compression, content } = block;
    yield part("block", block, { compression, rawBytes: content.length });
    const base = compression === "none" ? block.offset : 0;
    const entries = blockEntries(content);
    for (;;) {
      const next = this.#walk(block, () => entries.next());
      if (next === undefined || next.done) return;
      const { offset, bytes, type, sequence, key, value } = next.value;
      const fields = entryFields(type, sequence, key, value);
      if (fields === undefined) {
        return this.findings.damage(block.offset, `an entry of type ${type} makes no sense`);
      }
      yield { kind: "entry", offset: base + offset, bytes, fields };
    }
  }

  *#pieces(block: Block): Generator<FilePart> {
    const pieces = rangePieces(block.content);
    yield part("ranges", block, {});
    for (;;) {
      const next = this.#walk(block, () => pieces.next());
      if (next === undefined || next.done) return;
      const { offset, bytes, ...fields } = next.value;
      yield { kind: "piece", offset: block.offset + offset, bytes, fields };
    }
  }

  *#filter(block: Block): Generator<FilePart> {
    const probes = native().call.varve_filter_probes(block.content, block.content.length);
    if (probes < 0) return this.findings.damage(block.offset, "the filter makes no sense");
    yield part("filter", block, { probes });
  }

  #properties(
    block: Block,
  ): { ranges: Place; fields: Record<string, unknown> } | undefined {
    const { content, offset } = block;
    const out = new Uint8Array(TableProperties.BYTES + content.length);
    const { varve_properties_decode: decode } = native().call;
    const result = decode(content, content.length, out, out.length);
    if (result >= 0) return describeProperties(out);
    noteFailure(this.findings, result, offset, "the properties make no sense");
    return undefined;
  }

  /** What a reader of the block's content gives, or `undefined` once it has found that the content makes no sense. */
  #walk<T>(block: Block, read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof MalformedBlock)) throw error;
      const place = block.compression === "none" ? block.offset + error.offset : block.offset;
      this.findings.damage(place, error.message);
      return undefined;
    }
  }
}

function part(kind: string, block: Block, fields: Record<string, unknown>): FilePart {
  const { offset, bytes, checksum } = block;
  return { kind, offset, bytes: bytes + TRAILER_BYTES, checksum, fields };
}

/** Damage, or (of a later version, say) whatever else the library found. */
function noteFailure(findings: Findings, result: number, offset: number, found: string): void {
  if (result === Code.corruption) return findings.damage(offset, found);
  const { path } = findings;
  const error = nativeError(result, `Cannot read '${path}'`, { path, offset });
  if (!(error instanceof VarveError)) throw error;
  findings.note(error);
}

function describeProperties(out: Uint8Array): { ranges: Place; fields: Record<string, unknown> } {
  const view = new DataView(out.buffer);
  const float = (field: number) => view.getFloat64(field, true);
  const word = (field: number) => view.getUint32(field, true);
  let at: number = TableProperties.BYTES;
  const blobs = Array.from({ length: word(TableProperties.blobCount) }, () => {
    at += BlobReference.BYTES;
    const start = at - BlobReference.BYTES;
    return {
      number: float(start + BlobReference.number),
      bytes: float(start + BlobReference.bytes),
    };
  });
  const inputs = Array.from({ length: word(TableProperties.inputCount) }, () => {
    at += 8;
    return float(at - 8);
  });
  const bytes = (count: number) => {
    at += count;
    return out.slice(at - count, at);
  };
  const smallestKey = bytes(word(TableProperties.smallestKeyBytes));
  const largestKey = bytes(word(TableProperties.largestKeyBytes));
  const familyName = bytes(word(TableProperties.familyNameBytes));
  const ranges = {
    offset: float(TableProperties.rangesOffset),
    bytes: word(TableProperties.rangesBytes),
  };
  const kind = word(TableProperties.largestKind);
  const fields = {
    number: float(TableProperties.number),
    family: word(TableProperties.family),
    familyName: new TextDecoder().decode(familyName),
    entryCount: float(TableProperties.entryCount),
    deleteCount: float(TableProperties.deleteCount),
    mergeCount: float(TableProperties.mergeCount),
    expiringCount: float(TableProperties.expiringCount),
    rangeCount: float(TableProperties.rangeCount),
    blockCount: float(TableProperties.blockCount),
    rawBytes: float(TableProperties.rawBytes),
    smallestSequence: float(TableProperties.smallestSequence),
    largestSequence: float(TableProperties.largestSequence),
    smallestKey,
    largestKey,
    largestKind: Object.entries(BoundKind).find(([, value]) => value === kind)?.[0],
    blockBytes: word(TableProperties.blockBytes),
    filterBitsPerKey: word(TableProperties.filterBitsPerKey),
    ...blobs.length > 0 ? { blobs } : {},
    ...inputs.length > 0
      ? {
        inputs,
        firstOutput: float(TableProperties.firstOutput),
        isLastOutput: word(TableProperties.isLastOutput) === 1,
      }
      : {},
  };
  return { ranges, fields };
}
