/** What a simulated disk can be told: which operations fail and how, how late they answer, what it finds broken. */
import { invalidArgument, quote, VarveError } from "../base/errors.ts";
import { errnoOf } from "../native/failure.ts";
import { DiskOperation, FAULT_SHORT } from "../native/layout.gen.ts";

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

/**
 * How an operation fails: with an errno by its name, `"EIO"` or `"ENOSPC"` say. Two of them a store never sees: `"EINTR"` (a signal
 * interrupts the call before it did anything, and it is made again) and `"short"` (a write or a read transfers only a part, and is made
 * again for the rest; the power may fail between).
 */
export type Fault = "short" | "EINTR" | (string & Record<never, never>);

/** Faults that come by chance. */
export interface ChanceOfFault {
  /** Of all operations of this kind, how many fail: 0 to 1. */
  readonly probability: number;
  /** Default: `"EIO"`. */
  readonly errno?: Fault;
}

/**
 * How late the answers of one kind of operation come: by so many steps of the disk, or by a number between two that is drawn from the
 * seed. With every step one job of the store is run, or time passes. Whole numbers, 0 to 2²⁰.
 */
export type Latency = number | readonly [least: number, most: number];

/** A file as `SimulatedDisk.files` finds it. */
export interface SimulatedFile {
  readonly name: string;
  readonly bytes: number;
}

/** The bit that `SimulatedDisk.rot` turned over. */
export interface RottenBit {
  /** In bytes from the file's start. */
  readonly offset: number;
  /** 0 to 7, the lowest first. */
  readonly bit: number;
}

export interface SimulatedDiskOptions {
  /** A whole number, 0 to 2⁵³ − 1. Everything that chance decides is drawn from it. Default: 0. */
  readonly seed?: number;
  readonly faults?: { readonly [Operation in DiskOperationName]?: ChanceOfFault };
  /** Bytes that all files together may have; beyond them: `ENOSPC`. Default: no bound. */
  readonly capacity?: number;
  /** Default: answers come at once. */
  readonly latency?: { readonly [Operation in DiskOperationName]?: Latency };
}

export interface FailNextOptions {
  /** So many operations of this kind succeed first. Default: 0. */
  readonly skip?: number;
  /** So many fail. Default: 1. */
  readonly count?: number;
}

/** The library's number of a kind of operation. */
export function kindOf(operation: DiskOperationName): number {
  const kind = DiskOperation[operation];
  if (kind !== undefined) return kind;
  const known = Object.keys(DiskOperation).join(", ");
  throw invalidArgument(`Cannot fail ${quote(operation)}: takes one of ${known}`);
}

/** The library's number of a fault. */
export function faultNumber(operation: DiskOperationName, fault: Fault): number {
  if (fault !== "short") return errnoNumber(fault);
  if (operation === "read" || operation === "write") return FAULT_SHORT;
  throw invalidArgument(`Cannot let ${quote(operation)} be short: only reads and writes can`);
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
