/**
 * A byte stream that commands write to: standard output or a file. Gathers small pieces of text, and
 * makes the writer wait while the other side is slow.
 */
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { close, createWriteStream, open, write } from "node:fs";
import process from "node:process";
import type { Writable } from "node:stream";
import { finished } from "node:stream/promises";

/** Text is handed on in pieces of about this many UTF-16 code units. */
const PIECE_UNITS = 64 * 1024;
const STDOUT_DESCRIPTOR = 1;
/** Written last, to hear when all before it is written. */
const NOTHING = new Uint8Array(0);

/**
 * The stream of standard output, the same for one process. Deno's `process.stdout` blocks the
 * thread while a pipe is full, so that no SIGINT is heard; a file stream on the descriptor does not, as long as it writes chunk by
 * chunk: Deno's `writev` blocks, too.
 */
export function standardOutput(): Writable {
  if (!("deno" in process.versions) || process.stdout.isTTY) return process.stdout;
  const chunkByChunk = { open, write, close };
  return createWriteStream("/dev/stdout", {
    fd: STDOUT_DESCRIPTOR,
    autoClose: false,
    fs: chunkByChunk,
  });
}

export class Output {
  /** Whether a person reads this. */
  readonly isTerminal: boolean;
  readonly #stream: Writable;
  readonly #signal: AbortSignal;
  #text = "";
  #draining: Promise<unknown> | undefined;

  private constructor(stream: Writable, isTerminal: boolean, signal: AbortSignal) {
    this.#stream = stream;
    this.isTerminal = isTerminal;
    this.#signal = signal;
  }

  /** Standard output, as `standardOutput` gave it. `signal` ends waiting for its reader. */
  static standard(stream: Writable, signal: AbortSignal): Output {
    return new Output(stream, process.stdout.isTTY === true, signal);
  }

  /** Runs `write` on a new file at `path`, which replaces an old one, and closes it. */
  static async toFile(
    path: string,
    signal: AbortSignal,
    write: (output: Output) => Promise<void>,
  ): Promise<void> {
    const stream = createWriteStream(path);
    const closed = finished(stream);
    const output = new Output(stream, false, signal);
    // Both at once: a file that cannot be opened fails `closed`, whatever `write` waits for.
    await Promise.all([
      closed,
      write(output).then(() => output.flush()).then(
        () => void stream.end(),
        (error) => void stream.destroy(error),
      ),
    ]);
  }

  /** Takes `chunk`, bytes at once and text by the piece; resolves when the next one may come. */
  async write(chunk: string | Uint8Array): Promise<void> {
    if (typeof chunk === "string") {
      this.#text += chunk;
      if (this.#text.length >= PIECE_UNITS) await this.#pass(this.#takeText());
      return;
    }
    await this.#pass(this.#takeText());
    await this.#pass(chunk);
  }

  /** Resolves when the system has everything that was written. */
  async flush(): Promise<void> {
    await this.#pass(this.#takeText());
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const stop = () => reject(this.#signal.reason);
    this.#signal.addEventListener("abort", stop, { once: true });
    this.#stream.once("error", reject);
    // An error comes to the listener, after the one that tells a closed pipe from a failure.
    this.#stream.write(NOTHING, (error) => error ? undefined : resolve());
    try {
      await promise;
    } finally {
      this.#signal.removeEventListener("abort", stop);
      this.#stream.off("error", reject);
    }
  }

  #takeText(): string {
    const text = this.#text;
    this.#text = "";
    return text;
  }

  async #pass(chunk: string | Uint8Array): Promise<void> {
    this.#signal.throwIfAborted();
    if (chunk.length === 0) return;
    const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
    if (!this.#stream.write(bytes)) await this.#drained();
  }

  /** One wait for all who write at the same time. */
  async #drained(): Promise<void> {
    this.#draining ??= once(this.#stream, "drain", { signal: this.#signal })
      .finally(() => this.#draining = undefined);
    try {
      await this.#draining;
    } catch (error) {
      this.#signal.throwIfAborted(); // its reason, and not the AbortError around it
      throw error;
    }
  }
}
