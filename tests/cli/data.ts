/** Entries and streams that several of the command's tests use. */

/** Keys and values that text formats like to break. */
export const ODD_ENTRIES: [key: Uint8Array, value: Uint8Array][] = [
  ["", ""],
  ["plain", "value"],
  ['comma,quote"', 'a,b\n"c"\r\n\r'],
  ["=cmd()", "  spaces  "],
  ["\ufeffmark", "\u2028\u2029\u0000\t"],
  ["emoji 🪨", "__proto__"],
].map(([key, value]) => [new TextEncoder().encode(key), new TextEncoder().encode(value)]);
ODD_ENTRIES.push([Uint8Array.of(0xff, 0x00), Uint8Array.from({ length: 256 }, (_, i) => i)]);
ODD_ENTRIES.push([Uint8Array.of(0x41), Uint8Array.of(0xc3)]);

/** `bytes` in pieces of `size`, as a stream gives them. */
export async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield await bytes.subarray(at, at + size);
}

/** NDJSON with more bytes than pipes and streams hold back. */
export function manyLines(): string {
  const value = "x".repeat(64 * 1024);
  return Array.from({ length: 200 }, (_, i) => `${JSON.stringify({ key: `k${i}`, value })}\n`)
    .join("");
}
