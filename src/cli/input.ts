/** Bytes that commands read: standard input, or a file. `-` and a missing name mean the former. */
import { Buffer } from "node:buffer";
import { createReadStream } from "node:fs";
import process from "node:process";

/** Whether `name` stands for standard input or output. */
export function isStandard(name: string | undefined): name is undefined | "-" {
  return name === undefined || name === "-";
}

/** The chunks of a file or of standard input. Aborting `signal` throws its reason. */
export async function* readChunks(
  name: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  signal.throwIfAborted();
  const stream = isStandard(name) ? process.stdin : createReadStream(name);
  const stop = () => stream.destroy(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  try {
    yield* stream as AsyncIterable<Uint8Array>;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** All of standard input. */
export async function readStandardInput(signal: AbortSignal): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of readChunks(undefined, signal)) chunks.push(chunk);
  return Buffer.concat(chunks);
}
