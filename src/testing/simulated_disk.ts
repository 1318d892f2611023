/**
 * A disk in memory that forgets what was not synced: `Varve.open(path, { disk })` puts a store on it. Whatever it does follows
 * from its seed and from what the program does, in the same way in Deno and in Bun.
 */
import { invalidArgument, quote, VarveError } from "../base/errors.ts";
import { errnoOf, nativeError } from "../native/failure.ts";
import { DiskOperation } from "../native/layout.gen.ts";
import { native } from "../native/library.ts";
import { registerSimulatedDisk } from "../native/simulated_disks.ts";
import { abandonStores } from "../store/registry.ts";

/** What a disk does, by the names that `operations` shows. `sync` includes the sync within a synced write. */
export type DiskOperationName =
  | "create"
  | "write"
  | "sync"
  | "allocate"
  | "truncate"
  | "rename"
  | "unlink"
  | "makeDirectory"
  | "syncDirectory"
  | "removeDirectory"
  | "open"
  | "read"
  | "list"
  | "link";

/** Faults that come by chance. */
export interface ChanceOfFault {
  /** Of all operations of this kind, how many fail: 0 to 1. */
  readonly probability: number;
  /** Default: `"EIO"`. */
  readonly errno?: string;
}

export interface SimulatedDiskOptions {
  /** A whole number, 0 to 2⁵³ − 1. Everything that chance decides is drawn from it. Default: 0. */
  readonly seed?: number;
  readonly faults?: { readonly [Operation in DiskOperationName]?: ChanceOfFault };
  /** Bytes that all files together may have; beyond them: `ENOSPC`. Default: no bound. */
  readonly capacity?: number;
}

export interface FailNextOptions {
  /** So many operations of this kind succeed first. Default: 0. */
  readonly skip?: number;
  /** So many fail. Default: 1. */
  readonly count?: number;
}

const LOG_BYTES = 64 * 1024;

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
  constructor({ seed = 0, faults = {}, capacity }: SimulatedDiskOptions = {}) {
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

  /** Lets the next operation of a kind fail, with an errno by name. A sync that fails loses data for good: the next one succeeds. */
  failNext(
    operation: DiskOperationName,
    errno = "EIO",
    { skip = 0, count = 1 }: FailNextOptions = {},
  ): void {
    const [kind, number] = [kindOf(operation), errnoNumber(errno)];
    this.#call("fail", native().call.varve_disk_fail(this.#id, kind, number, skip, count));
  }

  /** Lets operations of a kind fail by chance, 0 to 1. */
  failOften(operation: DiskOperationName, probability: number, errno = "EIO"): void {
    const [kind, number] = [kindOf(operation), errnoNumber(errno)];
    const { call } = native();
    this.#call("fail", call.varve_disk_fail_often(this.#id, kind, number, probability));
  }

  /** Every operation succeeds from now on, and there is room. */
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
    const into = new Uint8Array(LOG_BYTES);
    let text = "";
    for (;;) {
      const bytes = native().call.varve_disk_log(this.#id, this.#logBytes, into, into.length);
      this.#call("read the log of", Math.min(bytes, 0));
      if (bytes === 0) break;
      text += new TextDecoder().decode(into.subarray(0, bytes));
      this.#logBytes += bytes;
    }
    if (text !== "") this.#lines = [...this.#lines, ...text.trimEnd().split("\n")];
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

  #call(verb: string, result: number): void {
    if (result < 0) throw nativeError(result, `Cannot ${verb} the simulated disk`);
  }
}

function kindOf(operation: DiskOperationName): number {
  const kind = DiskOperation[operation];
  if (kind !== undefined) return kind;
  const known = Object.keys(DiskOperation).join(", ");
  throw invalidArgument(`Cannot fail ${quote(operation)}: takes one of ${known}`);
}

const errnos = new Map<string, number>();

function errnoNumber(name: string): number {
  const number = errnos.get(name) ?? errnoOf(name);
  if (number === undefined) {
    throw new VarveError(
      "ERR_INVALID_ARGUMENT",
      `Cannot fail with ${quote(name)}: this system has no such errno`,
    );
  }
  errnos.set(name, number);
  return number;
}
