/** What a file is shown as: its parts in the order in which they lie, and what is wrong with it at the end. */
import { corruption, type VarveError } from "../base/errors.ts";

/** A part of a file that checks out. */
export interface FilePart {
  /**
   * What it is. Log segment: `"header"`, `"frame"`, in it `"run"`, in that `"entry"`. Manifest and `FAMILIES`: `"header"`,
   * `"record"`. Table: `"block"`, in it `"entry"`; `"ranges"`, in it `"piece"`; `"filter"`, `"index"`, `"properties"`, `"footer"`.
   * Blob segment: `"header"`, `"value"` (that an entry in a table or log segment beside it points to), `"unknown"` (bytes that none of
   * those points to). `CURRENT`: `"pointer"`. All of them: `"rest"`, space that was reserved and is zero.
   */
  readonly kind: string;
  /** Bytes from the file's start. Entries and pieces of a compressed block: from the start of its expanded content. */
  readonly offset: number;
  readonly bytes: number;
  /** The CRC-32C that is stored for it, and holds. Absent where the part has none of its own. */
  readonly checksum?: number;
  /** What it says: numbers, texts, keys and values as bytes, lists and objects of those. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A file that can be read in pieces. */
export interface ReadableFile {
  readonly path: string;
  readonly bytes: number;
  /** Exactly these bytes. REQUIRES: the file has them. */
  read(offset: number, bytes: number): Promise<Uint8Array>;
}

/** Collects what is wrong with a file while it is read on. */
export class Findings {
  #first: VarveError | undefined;

  constructor(readonly path: string) {}

  /** Bytes that are not what was, or could have been, written. */
  damage(offset: number, found: string): void {
    const message = `Cannot read '${this.path}' at offset ${offset}: ${found}`;
    this.note(corruption(message, { path: this.path, offset }));
  }

  note(error: VarveError): void {
    this.#first ??= error;
  }

  /** Throws the first thing that was found. */
  conclude(): void {
    if (this.#first !== undefined) throw this.#first;
  }
}

/** Where the zeros that a file ends with begin, at `from` or behind. */
export function zerosFrom(bytes: Uint8Array, from: number): number {
  let end = bytes.length;
  while (end > from && bytes[end - 1] === 0) end--;
  return end;
}
