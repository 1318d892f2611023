/**
 * How far a long command is, on stderr: a bar with rate and remaining time on a terminal; elsewhere
 * one line every ten seconds, and one at the end in both.
 */
import process from "node:process";
import { clearLine, cursorTo } from "node:readline";
import { Presets, SingleBar } from "cli-progress";

const LINE_INTERVAL_MS = 10_000;

export class Progress implements Disposable {
  readonly #verb: string;
  readonly #startedAt = performance.now();
  readonly #bar: SingleBar | undefined;
  #bytes = 0;
  #bytesPassed = 0;
  #items = 0;
  #lineAt = this.#startedAt + LINE_INTERVAL_MS;

  /** Whether somebody watches, so that it is worth finding out how much there is to do. */
  static get isWatched(): boolean {
    return process.stderr.isTTY === true;
  }

  /** `verb` is "imported", say; without `bytesTotal` there is no remaining time to show. */
  constructor(verb: string, bytesTotal?: number) {
    this.#verb = verb;
    if (!Progress.isWatched) return;
    const remaining = bytesTotal === undefined
      ? ""
      : " | {bar} {percentage}% | {eta_formatted} left";
    this.#bar = new SingleBar({
      format: `{items} ${verb} | {moved} | {rate}${remaining}`,
      stream: process.stderr,
      hideCursor: true,
      etaBuffer: 100,
      gracefulExit: false, // the command has its own way to stop
    }, Presets.shades_classic);
    this.#bar.start(Math.max(1, bytesTotal ?? 1), 0, this.#shown());
  }

  /** `items` more are done, of `bytes` in all. */
  advance(items: number, bytes: number): void {
    this.#items += items;
    this.#bytes += bytes;
    this.#show();
  }

  /** `bytes` turned out to need no work. */
  pass(bytes: number): void {
    this.#bytesPassed += bytes;
    this.#show();
  }

  #show(): void {
    if (this.#bar !== undefined) {
      const position = this.#bytes + this.#bytesPassed;
      if (position > this.#bar.getTotal()) this.#bar.setTotal(position);
      this.#bar.update(position, this.#shown());
    } else if (performance.now() >= this.#lineAt) {
      this.#lineAt = performance.now() + LINE_INTERVAL_MS;
      this.note(`${this.#verb} ${this.summary("items")} so far`);
    }
  }

  /** A line of its own, above the bar. */
  note(line: string): void {
    if (this.#bar !== undefined) {
      clearLine(process.stderr, 0);
      cursorTo(process.stderr, 0);
    }
    process.stderr.write(`${line}\n`);
  }

  /** "12 files, 3.4 MB in 0.5 s (6.8 MB/s)". */
  summary(noun: string): string {
    const seconds = ((performance.now() - this.#startedAt) / 1000).toFixed(1);
    const { items, moved, rate } = this.#shown();
    return `${items} ${noun}, ${moved} in ${seconds} s (${rate})`;
  }

  /** Removes the bar and its timer. */
  [Symbol.dispose](): void {
    this.#bar?.stop();
  }

  #shown(): { items: string; moved: string; rate: string } {
    const seconds = Math.max(0.001, (performance.now() - this.#startedAt) / 1000);
    return {
      items: this.#items.toLocaleString("en-US"),
      moved: formatBytes(this.#bytes),
      rate: `${formatBytes(this.#bytes / seconds)}/s`,
    };
  }
}

/** Bytes for people, in powers of 1,000: "12.3 MB". */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let scaled = bytes;
  let unit = 0;
  while (scaled >= (unit === 0 ? 999.5 : 999.95) && unit < units.length - 1) {
    scaled /= 1000;
    unit++;
  }
  return `${unit === 0 ? Math.round(scaled) : scaled.toFixed(1)} ${units[unit]}`;
}
