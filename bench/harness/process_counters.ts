/**
 * What the system counted for this process, children that have ended included: the same for every peer, whatever a library
 * says of itself. Linux only; elsewhere there is nothing to read, and the figures are absent.
 */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface IoCounts {
  /** `read` calls of any kind, from the page cache too. */
  readCalls: number;
  writeCalls: number;
  /** Bytes that came from the device, and that went to it or are bound for it. */
  deviceReadBytes: number;
  deviceWrittenBytes: number;
}

const IO = "/proc/self/io";

/** `undefined` where the system has no such counts. */
export function ioCounts(): IoCounts | undefined {
  if (!existsSync(IO)) return undefined;
  const text = readFileSync(IO, "utf8");
  const field = (name: string) => Number(new RegExp(`^${name}: (\\d+)$`, "m").exec(text)![1]);
  return {
    readCalls: field("syscr"),
    writeCalls: field("syscw"),
    deviceReadBytes: field("read_bytes"),
    deviceWrittenBytes: field("write_bytes"),
  };
}

/** The difference, or nothing where there is nothing to subtract. */
export function ioSince(before: IoCounts | undefined): Partial<IoCounts> {
  const now = ioCounts();
  if (before === undefined || now === undefined) return {};
  const names = Object.keys(now) as (keyof IoCounts)[];
  return Object.fromEntries(names.map((name) => [name, now[name] - before[name]]));
}

/** The resident size of a process, and its peak, in bytes. */
export function memoryOf(pid: number | "self"): { resident: number; peak: number } | undefined {
  const path = `/proc/${pid}/status`;
  if (!existsSync(path)) return undefined;
  const text = readFileSync(path, "utf8");
  const field = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1]);
  const [resident, peak] = [field("VmRSS") * 1024, field("VmHWM") * 1024];
  return Number.isNaN(peak) ? undefined : { resident, peak };
}

/** Measures the peak from now on, and says where it started from. */
export class MemoryMeter {
  readonly #before: number | undefined;

  constructor() {
    const reset = "/proc/self/clear_refs";
    if (existsSync(reset)) writeFileSync(reset, "5");
    this.#before = memoryOf("self")?.resident;
  }

  counters(): Record<string, number> {
    const peak = memoryOf("self")?.peak;
    if (this.#before === undefined || peak === undefined) return {};
    return {
      residentBeforeOpenBytes: this.#before,
      residentPeakBytes: peak,
      residentAboveBytes: Math.max(0, peak - this.#before),
    };
  }
}

/** The bytes that a directory takes on its file system: blocks, not lengths. */
export function spaceOf(directory: string): number {
  let bytes = 0;
  for (const name of readdirSync(directory, { recursive: true, encoding: "utf8" })) {
    // A background job of the store may remove a file between the listing and the look.
    const status = statSync(join(directory, name), { throwIfNoEntry: false });
    if (status?.isFile()) bytes += status.blocks * 512;
  }
  return bytes;
}
