/** A user's program against every crash point: what `varve/testing` is for. */
import type { SimulatedDiskOptions } from "./disk_plans.ts";
import { SimulatedDisk } from "./simulated_disk.ts";

/** What a program tells its check: whatever it knows to be promised at that moment. */
export type Note<T> = (promised: T) => void;

export interface EveryCrashOptions extends Omit<SimulatedDiskOptions, "seed"> {
  /** Default: 0. The error of a failing case names the seed and the operation to try again with. */
  readonly seed?: number;
  /** How many different outcomes each crash point gets. Default: 3. */
  readonly outcomes?: number;
  /** Only crashes behind this operation. */
  readonly operation?: number;
}

export interface CrashReport {
  /** Crashes that were tried. */
  readonly crashes: number;
  /** Operations of the program when nothing crashes. */
  readonly operations: number;
}

/** A crash after which the check failed, the smallest there is: `cause` has what the check threw. */
export class CrashFailure extends Error {
  override readonly name = "CrashFailure";

  constructor(
    readonly seed: number,
    /** Operations that were done when the power failed. */
    readonly operation: number,
    /** The disk's log up to the end of the check. */
    readonly operations: readonly string[],
    cause: unknown,
  ) {
    const last = operations.find((line) => line.startsWith(`${operation} `)) ?? "nothing";
    super(
      `After a crash behind operation ${operation} (${last}), with seed ${seed}: ${
        cause instanceof Error ? cause.message : String(cause)
      }`,
      { cause },
    );
  }
}

/**
 * Runs a program on a simulated disk again and again, lets the power fail behind each of its disk operations in turn, the
 * earliest first, and calls `check` on the disk as the crash left it. The program says by `note` what was promised to it (a
 * put that was acknowledged, say); the check gets the notes, opens what it wants to see, and throws if a promise was broken.
 *
 * Whatever the program throws once the power is off is its crash; what it throws before fails the run.
 *
 * @example A counter kept in two keys must never be torn.
 * ```ts
 * import { Varve } from "varve";
 * import { everyCrash } from "varve/testing";
 *
 * await everyCrash<number>(
 *   async (disk, note) => {
 *     await using db = await Varve.open("/data", { disk });
 *     for (let total = 1; total <= 3; total++) {
 *       await db.batch().put("total", `${total}`).put("copy", `${total}`).write();
 *       note(total);
 *     }
 *   },
 *   async (disk, notes) => {
 *     await using db = await Varve.open("/data", { disk });
 *     const text = new TextDecoder();
 *     const [total, copy] = (await db.getMany(["total", "copy"])).map((value) => text.decode(value));
 *     if (total !== copy) throw new Error(`torn: ${total} and ${copy}`);
 *     if (Number(total) < (notes.at(-1) ?? 0)) throw new Error(`lost: ${total}`);
 *   },
 * );
 * ```
 *
 * @throws {CrashFailure} for the first crash point whose check failed
 */
export async function everyCrash<T = unknown>(
  program: (disk: SimulatedDisk, note: Note<T>) => Promise<void> | void,
  check: (disk: SimulatedDisk, notes: readonly T[]) => Promise<void> | void,
  options: EveryCrashOptions = {},
): Promise<CrashReport> {
  const { seed = 0, outcomes = 3, operation, ...disk } = options;
  const operations = await countOperations(program, { ...disk, seed });
  const [first, last] = operation === undefined ? [0, operations] : [operation, operation];
  let crashes = 0;
  for (let point = first; point <= last; point++) {
    for (let outcome = 0; outcome < outcomes; outcome++) {
      await crashOnce(program, check, { ...disk, seed: seed + outcome }, point);
      crashes++;
    }
  }
  return { crashes, operations };
}

async function countOperations<T>(
  program: (disk: SimulatedDisk, note: Note<T>) => Promise<void> | void,
  options: SimulatedDiskOptions,
): Promise<number> {
  using disk = new SimulatedDisk(options);
  await program(disk, () => {});
  return disk.operationCount;
}

async function crashOnce<T>(
  program: (disk: SimulatedDisk, note: Note<T>) => Promise<void> | void,
  check: (disk: SimulatedDisk, notes: readonly T[]) => Promise<void> | void,
  options: SimulatedDiskOptions & { seed: number },
  point: number,
): Promise<void> {
  using disk = new SimulatedDisk(options);
  const notes: T[] = [];
  disk.crashAfter(point);
  try {
    await program(disk, (promised) => notes.push(promised));
  } catch (error) {
    if (disk.operationCount < point) {
      throw new CrashFailure(options.seed, disk.operationCount, disk.operations, error);
    }
  }
  const done = Math.min(point, disk.operationCount);
  disk.crash();
  try {
    await check(disk, notes);
  } catch (error) {
    throw new CrashFailure(options.seed, done, disk.operations, error);
  }
}
