/**
 * A writer and a reader of small binary records: little-endian, lengths as varints. The reader never believes a length:
 * it compares it with what remains, and reports the offset of what does not check out.
 */
import { decodeUtf8, encodeUtf8 } from "../base/bytes.ts";
import { corruption } from "../base/errors.ts";

const FIRST_CAPACITY = 256;
/** A whole number to 2^53 takes eight groups of seven bits. */
const VARINT_BYTES_MAX = 8;
const FLOAT_BYTES = 8;

export class BinaryWriter {
  #bytes = new Uint8Array(FIRST_CAPACITY);
  #length = 0;

  /** A whole number from 0 to 2^53 − 1. */
  varint(value: number): this {
    this.#reserve(VARINT_BYTES_MAX);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#length++] = rest;
    return this;
  }

  bytes(value: Uint8Array): this {
    this.varint(value.length).#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  text(value: string): this {
    return this.bytes(encodeUtf8(value));
  }

  /** Any number, in eight bytes. */
  float(value: number): this {
    this.#reserve(FLOAT_BYTES);
    new DataView(this.#bytes.buffer).setFloat64(this.#length, value, true);
    this.#length += FLOAT_BYTES;
    return this;
  }

  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}

export class BinaryReader {
  #position = 0;

  /** `path` and `offset` say where the bytes came from, for errors. */
  constructor(
    readonly source: Uint8Array,
    readonly path: string,
    readonly offset: number,
  ) {}

  get done(): boolean {
    return this.remaining === 0;
  }

  /** Bytes that are left. */
  get remaining(): number {
    return this.source.length - this.#position;
  }

  varint(): number {
    let value = 0;
    let factor = 1;
    for (let count = 0; count < VARINT_BYTES_MAX; count++) {
      if (this.done) throw this.damaged("a number is cut off");
      const byte = this.source[this.#position++];
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) break;
        return value;
      }
      factor *= 0x80;
    }
    throw this.damaged("a number does not end");
  }

  bytes(): Uint8Array {
    const length = this.varint();
    if (length > this.remaining) {
      throw this.damaged(`${length} bytes are announced, ${this.remaining} remain`);
    }
    this.#position += length;
    return this.source.slice(this.#position - length, this.#position);
  }

  text(): string {
    const bytes = this.bytes();
    try {
      return decodeUtf8(bytes);
    } catch {
      throw this.damaged("a text is not UTF-8");
    }
  }

  float(): number {
    if (this.remaining < FLOAT_BYTES) throw this.damaged("a number is cut off");
    const { buffer, byteOffset } = this.source;
    this.#position += FLOAT_BYTES;
    const at = byteOffset + this.#position - FLOAT_BYTES;
    return new DataView(buffer).getFloat64(at, true);
  }

  damaged(found: string): Error {
    const offset = this.offset + this.#position;
    return corruption(`Cannot read '${this.path}': ${found} at offset ${offset}`, {
      path: this.path,
      offset,
    });
  }
}
