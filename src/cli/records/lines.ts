/** A byte stream cut at its line feeds, and nowhere else: U+2028 is no end of a line in JSON. */
import { Buffer } from "node:buffer";

const LINE_FEED = 0x0a;

/**
 * The lines of a stream, without their line feeds. What follows the last line feed is a line too if
 * it is not empty, except with `wholeOnly`: then it is one that was cut off, and left out.
 */
export async function* readLines(
  chunks: AsyncIterable<Uint8Array>,
  { wholeOnly = false }: { wholeOnly?: boolean } = {},
): AsyncGenerator<Uint8Array> {
  let begun: Uint8Array[] = [];
  for await (const chunk of chunks) {
    let start = 0;
    for (let end; (end = chunk.indexOf(LINE_FEED, start)) !== -1; start = end + 1) {
      const rest = chunk.subarray(start, end);
      yield begun.length === 0 ? rest : Buffer.concat([...begun, rest]);
      begun = [];
    }
    if (start < chunk.length) begun.push(chunk.subarray(start));
  }
  if (begun.length > 0 && !wholeOnly) yield Buffer.concat(begun);
}
