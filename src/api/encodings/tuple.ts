/**
 * Arrays as keys whose byte order is the order of the arrays, element by element; the idea is that of
 * FoundationDB's tuple layer and of `Deno.KvKey`, whose order of types this follows, null first.
 *
 * An element is one byte for its type and what that type needs:
 *
 * | type   | bytes |
 * | ------ | --- |
 * | null   | `10` |
 * | bytes  | `20`, the content escaped, `00` |
 * | string | `30`, its UTF-8 escaped, `00` |
 * | number | `40`, the IEEE 754 double, big-endian; negative: all bits inverted, else: the sign bit set |
 * | bigint | `51` for zero; `52`, length, magnitude; negative: `50`, then the same with all bits inverted |
 * | false  | `60` |
 * | true   | `61` |
 *
 * Escaped means: `00` is written `01 01` and `01` is written `01 02`, so that `00` only ever ends an
 * element and sorts below whatever may go on. A magnitude is big-endian without leading zeros; its
 * length is one byte up to 254, and `ff` and four bytes above.
 *
 * Promises: no element's bytes begin another's, so a tuple's bytes begin with `p`'s exactly if the
 * tuple begins with `p`; each tuple has one encoding, and `decode` accepts no other.
 */
import {
  byteLengthUtf8Max,
  decodeUtf8,
  encodeUtf8Into,
  isUint8Array,
  sliceOfSlab,
} from "../../base/bytes.ts";
import { corruption, invalidArgument, quote, type VarveError } from "../../base/errors.ts";
import { type Encoding, requireBytes } from "./encoding.ts";

/** One element of a {@linkcode Tuple}. */
export type TupleElement = string | number | bigint | boolean | Uint8Array | null;

/**
 * A key of several elements. Order: null, bytes, strings, numbers, bigints, booleans; a tuple sorts
 * before the longer ones that begin with it. NaN and lone surrogates are refused, -0 is stored as 0,
 * and a number is another key than the bigint of the same value.
 */
export type Tuple = readonly TupleElement[];

const NULL = 0x10;
const BYTES = 0x20;
const STRING = 0x30;
const NUMBER = 0x40;
const BIGINT_NEGATIVE = 0x50;
const BIGINT_ZERO = 0x51;
const BIGINT_POSITIVE = 0x52;
const FALSE = 0x60;
const TRUE = 0x61;

const TERMINATOR = 0x00;
const ESCAPE = 0x01;
const NUMBER_BYTES = 8;
/** From this many bytes on, a magnitude's length takes the escape and four bytes. */
const LONG_MAGNITUDE_BYTES = 255;
const LONG_LENGTH_BYTES = 5;

const double = new DataView(new ArrayBuffer(NUMBER_BYTES));

/** Encoded bytes that grow as elements are appended. */
class TupleWriter {
  #bytes = new Uint8Array(new ArrayBuffer(1_024));
  #length = 0;

  get capacity(): number {
    return this.#bytes.length;
  }

  append(element: unknown): void {
    if (typeof element === "string") return this.#string(element);
    if (typeof element === "number") return this.#number(element);
    if (typeof element === "bigint") return this.#bigint(element);
    if (typeof element === "boolean") return this.#type(element ? TRUE : FALSE);
    if (element === null) return this.#type(NULL);
    if (isUint8Array(element)) return this.#byteString(requireBytes(element, "tuple element"));
    throw invalidArgument(
      `Cannot encode tuple element ${quote(element)}: ` +
        `takes a string, number, bigint, boolean, Uint8Array or null`,
    );
  }

  /** What was appended, in memory of its own; the writer is empty again. */
  take(): Uint8Array {
    const taken = sliceOfSlab(this.#length);
    taken.set(this.#bytes.subarray(0, this.#length));
    this.#length = 0;
    return taken;
  }

  clear(): void {
    this.#length = 0;
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(new ArrayBuffer(Math.max(needed, 2 * this.#bytes.length)));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }

  #type(type: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = type;
  }

  #string(text: string): void {
    this.#reserve(2 + byteLengthUtf8Max(text));
    this.#bytes[this.#length++] = STRING;
    this.#endEscaped(encodeUtf8Into(text, this.#bytes, this.#length));
  }

  #byteString(content: Uint8Array): void {
    this.#reserve(2 + content.length);
    this.#bytes[this.#length++] = BYTES;
    this.#bytes.set(content, this.#length);
    this.#endEscaped(content.length);
  }

  /** Escapes and terminates the `count` bytes that were written behind the length, in place. */
  #endEscaped(count: number): void {
    const start = this.#length;
    let special = 0;
    for (let index = start; index < start + count; index++) {
      if (this.#bytes[index] <= ESCAPE) special++;
    }
    this.#length += count; // growing keeps what lies before the length
    this.#reserve(special + 1);
    const bytes = this.#bytes;
    let to = start + count + special;
    bytes[to] = TERMINATOR;
    this.#length = to + 1;
    // From the end, so that nothing is overwritten before it has moved.
    for (let from = start + count; special > 0;) {
      const byte = bytes[--from];
      if (byte > ESCAPE) {
        bytes[--to] = byte;
        continue;
      }
      bytes[--to] = byte + 1;
      bytes[--to] = ESCAPE;
      special--;
    }
  }

  #number(value: number): void {
    if (Number.isNaN(value)) {
      throw invalidArgument(
        `Cannot encode tuple element ${quote(value)}: NaN has no place in order`,
      );
    }
    this.#reserve(1 + NUMBER_BYTES);
    const bytes = this.#bytes;
    bytes[this.#length++] = NUMBER;
    double.setFloat64(0, value + 0); // -0 + 0 is 0
    const flip = value < 0 ? 0xff : 0;
    for (let index = 0; index < NUMBER_BYTES; index++) {
      bytes[this.#length + index] = double.getUint8(index) ^ flip;
    }
    if (flip === 0) bytes[this.#length] |= 0x80;
    this.#length += NUMBER_BYTES;
  }

  #bigint(value: bigint): void {
    if (value === 0n) return this.#type(BIGINT_ZERO);
    const flip = value < 0n ? 0xff : 0;
    let digits = (value < 0n ? -value : value).toString(16); // takes linear time, unlike decimal
    if (digits.length % 2 !== 0) digits = `0${digits}`;
    const count = digits.length / 2;
    this.#reserve(1 + LONG_LENGTH_BYTES + count);
    const bytes = this.#bytes;
    bytes[this.#length++] = flip === 0 ? BIGINT_POSITIVE : BIGINT_NEGATIVE;
    if (count < LONG_MAGNITUDE_BYTES) {
      bytes[this.#length++] = count ^ flip;
    } else {
      bytes[this.#length++] = LONG_MAGNITUDE_BYTES ^ flip;
      for (const shift of [24, 16, 8, 0]) bytes[this.#length++] = (count >>> shift) ^ flip;
    }
    for (let index = 0; index < digits.length; index += 2) {
      bytes[this.#length++] = parseInt(digits.slice(index, index + 2), 16) ^ flip;
    }
  }
}

/** Reads one tuple's bytes, element by element; whatever `encode` cannot have written is corruption. */
class TupleReader {
  #bytes: Uint8Array;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#position === this.#bytes.length;
  }

  next(): TupleElement {
    const type = this.#bytes[this.#position++];
    switch (type) {
      case NULL:
        return null;
      case BYTES:
        return this.#content();
      case STRING:
        return decodeUtf8(this.#content());
      case NUMBER:
        return this.#number();
      case BIGINT_NEGATIVE:
        return -this.#magnitude(0xff);
      case BIGINT_ZERO:
        return 0n;
      case BIGINT_POSITIVE:
        return this.#magnitude(0);
      case FALSE:
        return false;
      case TRUE:
        return true;
    }
    throw this.#malformed(`no element type is ${type}`);
  }

  /** What lies before the next terminator, unescaped, in memory of its own. */
  #content(): Uint8Array {
    const bytes = this.#bytes;
    const start = this.#position;
    const end = bytes.indexOf(TERMINATOR, start);
    if (end === -1) throw this.#malformed("a string or byte string has no end");
    this.#position = end + 1;
    const content = new Uint8Array(end - start);
    let length = 0;
    for (let index = start; index < end; index++) {
      let byte = bytes[index];
      if (byte === ESCAPE) {
        byte = bytes[++index] - 1;
        if (byte !== 0 && byte !== 1) throw this.#malformed("an escape stands for nothing");
      }
      content[length++] = byte;
    }
    return length === content.length ? content : content.slice(0, length);
  }

  #number(): number {
    const encoded = this.#take(NUMBER_BYTES);
    const negative = encoded[0] < 0x80;
    for (let index = 0; index < NUMBER_BYTES; index++) {
      double.setUint8(index, negative ? encoded[index] ^ 0xff : encoded[index]);
    }
    if (!negative) double.setUint8(0, encoded[0] & 0x7f);
    const value = double.getFloat64(0);
    if (Number.isNaN(value) || Object.is(value, -0)) {
      throw this.#malformed("no number is so written");
    }
    return value;
  }

  #magnitude(flip: number): bigint {
    let count = this.#take(1)[0] ^ flip;
    if (count === LONG_MAGNITUDE_BYTES) {
      count = this.#take(LONG_LENGTH_BYTES - 1).reduce((sum, byte) => sum * 256 + (byte ^ flip), 0);
      if (count < LONG_MAGNITUDE_BYTES) throw this.#malformed("a bigint's length is too long");
    }
    const encoded = this.#take(count);
    if (count === 0 || encoded[0] === flip) throw this.#malformed("a bigint has a leading zero");
    let digits = "";
    for (const byte of encoded) digits += (byte ^ flip).toString(16).padStart(2, "0");
    return BigInt(`0x${digits}`);
  }

  #take(count: number): Uint8Array {
    const end = this.#position + count;
    if (end > this.#bytes.length) throw this.#malformed("an element ends too early");
    return this.#bytes.subarray(this.#position, this.#position = end);
  }

  #malformed(reason: string): VarveError {
    return corruption(`Cannot decode key ${quote(this.#bytes)} as "tuple": ${reason}`);
  }
}

/** A writer that grew beyond this is not kept. */
const WRITER_BYTES_KEPT_MAX = 2 ** 20;
let idleWriter: TupleWriter | undefined;

/** {@linkcode Tuple}s in and out. */
export const tupleEncoding: Encoding<Tuple> = {
  name: "tuple",
  keepsBytes: false,
  prepare(tuple: Tuple): Uint8Array {
    if (!Array.isArray(tuple)) {
      throw invalidArgument(`Cannot encode key ${quote(tuple)} as "tuple": takes an array`);
    }
    // Reading an element may run a getter or a proxy that encodes a tuple itself: it finds no idle
    // writer, and makes one.
    const writer = idleWriter ?? new TupleWriter();
    idleWriter = undefined;
    try {
      for (let index = 0; index < tuple.length; index++) writer.append(tuple[index]);
      return writer.take();
    } finally {
      writer.clear();
      if (writer.capacity <= WRITER_BYTES_KEPT_MAX) idleWriter = writer;
    }
  },
  decode(bytes: Uint8Array): Tuple {
    const reader = new TupleReader(bytes);
    const tuple: TupleElement[] = [];
    while (!reader.done) tuple.push(reader.next());
    return tuple;
  },
};
