/**
 * A disk in memory that forgets what was not synced: `Varve.open(path, { disk })` puts a store on it. Whatever it does follows
 * from its seed and from what the program does, in the same way in Deno and in Bun.
 */
import { invalidArgument, quote, VarveError } from "../base/errors.ts";
import { nativeError } from "../native/failure.ts";
import { Code } from "../native/layout.gen.ts";
import { native } from "../native/library.ts";
import { registerSimulatedDisk } from "../native/simulated_disks.ts";
import { abandonStores } from "../workers/registry.ts";
import {
  type DiskOperationName,
  type FailNextOptions,
  type Fault,
  faultNumber,
  kindOf,
  type Latency,
  type RottenBit,
  type SimulatedDiskOptions,
  type SimulatedFile,
} from "./disk_plans.ts";

const TEXT_BYTES = 64 * 1024;
/** To the library: a place for it to draw. */
const ANY_OFFSET = -1;
const ANY_BIT = 8;

/**
 * A disk in memory. What was synced stays over a `crash()`; of the rest the seed decides: writes arrive whole, not at all or
 * torn at sectors of 512 or 4,096 bytes, in any order; files get any of the sizes that they had since their last sync; names
 * that were made, changed or removed since the directory's last sync are there or not, each for itself.
 *
 * No thread works for a store on such a disk. Its background work moves on while the program awaits or calls something, in an
 * order that the seed decides.
 *
 * @example
 * ```ts
 * import { Varve } from "varve";
 * import { SimulatedDisk } from "varve/testing";
 *
 * using disk = new SimulatedDisk({ seed: 42 });
 * const db = await Varve.open("/data", { disk });
 * await db.put("key", "value");
 * disk.crash();
 * const again = await Varve.open("/data", { disk });
 * console.log(await again.get("key")); // was acknowledged, so it is there
 * ```
 */
export class SimulatedDisk {
  readonly seed: number;
  readonly #id: number;
  #lines: string[] = [];
  #logBytes = 0;
  #storeCount = 0;

  /** @throws {VarveError} `ERR_INVALID_ARGUMENT` */
  constructor({ seed = 0, faults = {}, capacity, latency = {} }: SimulatedDiskOptions = {}) {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw invalidArgument(`Cannot make a disk: seed takes a whole number, not ${quote(seed)}`);
    }
    this.seed = seed;
    const id = native().call.varve_disk_create(seed);
    if (id < 0) throw nativeError(id, "Cannot make a simulated disk");
    this.#id = id;
    registerSimulatedDisk(this, {
      id,
      nextStoreId: () => ({ low: seed >>> 0, high: ++this.#storeCount }),
    });
    try {
      for (const [operation, chance] of Object.entries(faults)) {
        this.failOften(operation as DiskOperationName, chance.probability, chance.errno);
      }
      for (const [operation, late] of Object.entries(latency)) {
        this.delay(operation as DiskOperationName, late);
      }
      if (capacity !== undefined) this.capacity = capacity;
    } catch (error) {
      native().call.varve_disk_destroy(id);
      throw error;
    }
  }

  /**
   * The power fails, if it has not yet, and comes back. Every store on the disk ends at once: what is pending on its handles, and
   * every later call, fails with `ERR_CLOSED`. The next open recovers. Planned faults are forgotten, those by chance stay.
   */
  crash(): void {
    this.#call("crash", native().call.varve_disk_crash(this.#id));
    abandonStores(this.#id);
  }

  /**
   * The process dies and the machine goes on: every store on the disk ends as by `crash()`, but what it wrote is still there to be
   * read. It is no more durable than before: a later `crash()` may take it.
   */
  kill(): void {
    this.#call("kill", native().call.varve_disk_kill(this.#id));
    abandonStores(this.#id);
  }

  /**
   * The power fails as soon as `count` further operations are done, and stays off until `crash()`: all calls that need the disk
   * fail with `ERR_CLOSED`. Zero: now.
   */
  crashAfter(count: number): void {
    this.#call("stop", native().call.varve_disk_stop_after(this.#id, count));
  }

  /**
   * Lets the next operation of a kind fail. A sync that fails loses data for good: the next one succeeds.
   *
   * @example
   * ```ts
   * import { SimulatedDisk } from "varve/testing";
   *
   * using disk = new SimulatedDisk();
   * disk.failNext("sync"); // with EIO
   * disk.failNext("write", "ENOSPC", { skip: 3, count: 2 }); // the fourth write, and the fifth
   * disk.failNext("write", "short"); // in two pieces: this takes the place of the plan before it
   * ```
   */
  failNext(
    operation: DiskOperationName,
    errno: Fault = "EIO",
    { skip = 0, count = 1 }: FailNextOptions = {},
  ): void {
    const [kind, number] = [kindOf(operation), faultNumber(operation, errno)];
    this.#call("fail", native().call.varve_disk_fail(this.#id, kind, number, skip, count));
  }

  /** Lets operations of a kind fail by chance, 0 to 1. */
  failOften(operation: DiskOperationName, probability: number, errno: Fault = "EIO"): void {
    const [kind, number] = [kindOf(operation), faultNumber(operation, errno)];
    const { call } = native();
    this.#call("fail", call.varve_disk_fail_often(this.#id, kind, number, probability));
  }

  /**
   * Lets the answers of a kind of operation come late: the disk has done it, and the store learns of it so many steps later. Jobs of
   * other threads go on meanwhile; a crash that comes before the answer swallows it. Zero: at once.
   */
  delay(operation: DiskOperationName, latency: Latency): void {
    const kind = kindOf(operation);
    const [least, most] = typeof latency === "number" ? [latency, latency] : latency;
    const valid = Number.isInteger(least) && Number.isInteger(most) && 0 <= least && least <= most;
    if (!valid || native().call.varve_disk_delay(this.#id, kind, least, most) === Code.invalid) {
      throw invalidArgument(`Cannot delay ${quote(operation)}: ${quote(latency)} are no steps`);
    }
  }

  /**
   * A bit of a file turns over, as on a medium that decays: of the byte at `offset`, the given one; where they are left out, the seed
   * decides. What the store has in memory, cached blocks too, does not change.
   *
   * @throws {VarveError} `ERR_NOT_FOUND` without such a file; `ERR_INVALID_ARGUMENT` for an offset beyond its end
   */
  rot(path: string, offset?: number, bit?: number): RottenBit {
    const at = offset ?? ANY_OFFSET;
    const name = pathBytes(path);
    const valid = (offset === undefined || (Number.isSafeInteger(offset) && offset >= 0)) &&
      (bit === undefined || (Number.isInteger(bit) && bit >= 0 && bit < 8));
    const turned = valid
      ? native().call.varve_disk_rot(this.#id, name, name.length, at, bit ?? ANY_BIT)
      : Code.invalid;
    if (turned === Code.invalid) {
      const place = `bit ${quote(bit ?? "any")} of byte ${quote(offset ?? "any")}`;
      throw invalidArgument(`Cannot turn ${place} of '${path}' over: it has no such bit`);
    }
    requireFile(turned, "turn a bit over in", path);
    return { offset: Math.floor(turned / 8), bit: turned % 8 };
  }

  /**
   * The files in a directory, in the order in which their names were made.
   *
   * @throws {VarveError} `ERR_NOT_FOUND`
   */
  files(directory: string): SimulatedFile[] {
    const name = pathBytes(directory);
    const lines = this.#text((offset, into) => {
      const { call } = native();
      const count = call.varve_disk_list(this.#id, name, name.length, offset, into, into.length);
      return requireFile(count, "list", directory);
    });
    return lines.map((line) => {
      const space = line.indexOf(" ");
      return { name: line.slice(space + 1), bytes: Number(line.slice(0, space)) };
    });
  }

  /**
   * What a file holds, as a reader sees it.
   *
   * @throws {VarveError} `ERR_NOT_FOUND`
   */
  readFile(path: string): Uint8Array {
    const name = pathBytes(path);
    const directory = path.slice(0, path.lastIndexOf("/")) || "/";
    const own = path.slice(path.lastIndexOf("/") + 1);
    const bytes = this.files(directory).find((file) => file.name === own)?.bytes ?? 0;
    const into = new Uint8Array(new ArrayBuffer(Math.max(bytes, 1)));
    const { call } = native();
    const count = call.varve_disk_file_read(this.#id, name, name.length, 0, into, into.length);
    return into.subarray(0, requireFile(count, "read", path));
  }

  /**
   * Puts a file in place, as if by somebody else: with its directories if they are missing, durable at once, and no operation of the
   * disk. So are files of a store swapped, cut or replaced.
   */
  writeFile(path: string, content: Uint8Array): void {
    const name = pathBytes(path);
    const { call } = native();
    const result = call.varve_disk_file_put(
      this.#id,
      name,
      name.length,
      content,
      content.length,
    );
    requireFile(result, "write", path);
  }

  /**
   * Removes a file, as if by somebody else, durably.
   *
   * @throws {VarveError} `ERR_NOT_FOUND`
   */
  removeFile(path: string): void {
    const name = pathBytes(path);
    const result = native().call.varve_disk_file_remove(this.#id, name, name.length);
    requireFile(result, "remove", path);
  }

  /** Every operation succeeds from now on, and there is room. Latency stays. */
  clearFaults(): void {
    this.#call("repair", native().call.varve_disk_clear_faults(this.#id));
  }

  /** Bytes that all files together may have. A write beyond writes what fits, and fails with `ENOSPC`. */
  set capacity(bytes: number) {
    this.#call("bound", native().call.varve_disk_set_capacity(this.#id, bytes));
  }

  /** How many operations there were: calls that changed the disk, or made a change durable. Reads do not count. */
  get operationCount(): number {
    return native().call.varve_disk_operation_count(this.#id);
  }

  /**
   * One line per operation: `12 write /data/000004.log 4096 +512 #8a21c07e synced` has the number, what it was, the file, the
   * offset, the bytes, their checksum, and the error if there was one. Reads have a dash for a number.
   */
  get operations(): readonly string[] {
    const lines = this.#text((offset, into) => {
      const from = this.#logBytes + offset;
      const bytes = native().call.varve_disk_log(this.#id, from, into, into.length);
      this.#call("read the log of", Math.min(bytes, 0));
      return bytes;
    }, (bytes) => this.#logBytes += bytes);
    if (lines.length > 0) this.#lines = [...this.#lines, ...lines];
    return this.#lines;
  }

  /** The time that the store sees, in milliseconds since 1970. It stands still unless it is set. */
  get clock(): number {
    return native().call.varve_disk_clock(this.#id);
  }

  set clock(milliseconds: number) {
    this.#call("set", native().call.varve_disk_set_clock(this.#id, milliseconds));
  }

  /** Crashes, and gives the disk's memory back. */
  [Symbol.dispose](): void {
    if (native().call.varve_disk_crash(this.#id) < 0) return; // disposed before
    abandonStores(this.#id);
    this.#call("give back", native().call.varve_disk_destroy(this.#id));
  }

  /** Lines of a text that the library hands out in pieces. */
  #text(
    read: (offset: number, into: Uint8Array) => number,
    done: (bytes: number) => void = () => {},
  ): string[] {
    const into = new Uint8Array(TEXT_BYTES);
    const decoder = new TextDecoder();
    let text = "";
    let offset = 0;
    for (;;) {
      const bytes = read(offset, into);
      if (bytes === 0) break;
      text += decoder.decode(into.subarray(0, bytes), { stream: true });
      offset += bytes;
    }
    done(offset);
    return text === "" ? [] : text.trimEnd().split("\n");
  }

  #call(verb: string, result: number): void {
    if (result < 0) throw nativeError(result, `Cannot ${verb} the simulated disk`);
  }
}

function pathBytes(path: string): Uint8Array {
  return new Uint8Array(new TextEncoder().encode(path));
}

/** A call on a file from outside: its result, or what was wrong with the path. */
function requireFile(result: number, verb: string, path: string): number {
  if (result >= 0) return result;
  const error = nativeError(result, `Cannot ${verb} '${path}' on the simulated disk`, { path });
  if (error.errnoName !== "ENOENT") throw error;
  const missing = `Cannot ${verb} '${path}' on the simulated disk: it is not there`;
  throw new VarveError("ERR_NOT_FOUND", missing, { path, cause: error });
}
