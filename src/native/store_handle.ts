/** A directory as the library opens it: locked, and known by device and inode within the process. */
import { VarveError } from "../base/errors.ts";
import { failureDetail, nativeError } from "./failure.ts";
import { Code, OpenFlag } from "./layout.gen.ts";
import { native } from "./library.ts";

/** What fits into the library's word; no system allows as many. */
const OPEN_FILES_MAX = 2 ** 31;

/** The real disk; simulated ones have other numbers. */
export const REAL_DISK = 0;

export interface OpenedDirectory {
  /** The session's, or with `attached` the number of the core. */
  readonly handle: number;
  /** True: the process has this store open already. */
  readonly attached: boolean;
}

/** How the store's tables are reached. */
export interface TableAccess {
  /** Descriptors of tables at a time. */
  readonly maxOpenFiles: number;
  /** Past the page cache: reads and writes, none of them, or (`"auto"`) writes where the volume allows it. */
  readonly directIo: "auto" | boolean;
}

const ORDINARY_ACCESS: TableAccess = { maxOpenFiles: 1_000, directIo: "auto" };

/**
 * Opens and locks the directory, at once. With `create`, makes it and its missing parents.
 * Throws `ERR_LOCKED` naming the process that has it, `ERR_NOT_FOUND`, or `ERR_IO`.
 */
export function openDirectory(
  disk: number,
  path: string,
  create: boolean,
  readOnly: boolean,
  ioThreads: number,
  { maxOpenFiles, directIo }: TableAccess = ORDINARY_ACCESS,
): OpenedDirectory {
  const bytes = pathBytes(path);
  const flags = (readOnly ? OpenFlag.readOnly : create ? OpenFlag.create : 0) |
    (directIo === true ? OpenFlag.directReads : 0) |
    (directIo !== false ? OpenFlag.directWrites : 0);
  const handle = native().call.varve_store_open(
    disk,
    bytes,
    bytes.length,
    flags,
    ioThreads,
    Math.min(maxOpenFiles, OPEN_FILES_MAX),
  );
  if (handle >= 0) return { handle, attached: false };
  if (handle === Code.attached) return { handle: attachedHandle(), attached: true };
  throw openError(handle, "open", path);
}

/**
 * Opens and locks what is left of a store, its pointer missing or not.
 * Throws `ERR_LOCKED` while anybody has it open, `ERR_NOT_FOUND` where nothing of a store is, or `ERR_IO`.
 */
export function openRemains(
  disk: number,
  path: string,
  ioThreads: number,
  { maxOpenFiles }: TableAccess = ORDINARY_ACCESS,
): number {
  const bytes = pathBytes(path);
  const handle = native().call.varve_store_open(
    disk,
    bytes,
    bytes.length,
    OpenFlag.repair,
    ioThreads,
    Math.min(maxOpenFiles, OPEN_FILES_MAX),
  );
  if (handle >= 0) return handle;
  throw openError(handle, "repair", path);
}

/** One more session on a store that this process has open, by its core's number; `undefined` if it has been closed meanwhile. */
export function attachSession(core: number, ioThreads: number, path: string): number | undefined {
  const handle = native().call.varve_store_attach(core, ioThreads);
  if (handle >= 0) return handle;
  if (handle === Code.closed) return undefined;
  throw nativeError(handle, `Cannot open '${path}'`, { path });
}

/** The number of the core that a session is on: one for each directory. */
export function coreOf(handle: number): number {
  return checked(native().call.varve_store_core(handle));
}

/** The region that all sessions on a core share. */
export function coreRegionOf(handle: number): number {
  return checked(native().call.varve_store_core_region(handle));
}

/** A session's slot in that region. */
export function slotOf(handle: number): number {
  return checked(native().call.varve_store_slot(handle));
}

function checked(result: number): number {
  if (result < 0) throw nativeError(result, "Cannot use the store");
  return result;
}

/** Ends a session of a Worker that has gone; one that somebody else has ended is fine. */
export function closeSession(handle: number): void {
  const result = native().call.varve_store_close(handle);
  if (result < 0 && result !== Code.closed) throw nativeError(result, "Cannot end a session");
}

/** Stops the I/O threads, gives back files, lock and memory. */
export function closeDirectory(handle: number): void {
  const result = native().call.varve_store_close(handle);
  if (result < 0) throw nativeError(result, "Cannot close the store");
}

/** Removes the store's files, and its directory if nothing else is in it. A directory that is not there is fine. */
export function removeDirectory(disk: number, path: string): void {
  const bytes = pathBytes(path);
  const result = native().call.varve_store_remove(disk, bytes, bytes.length);
  if (result >= 0) return;
  const error = openError(result, "destroy", path);
  if (error.code !== "ERR_NOT_FOUND") throw error;
}

function pathBytes(path: string): Uint8Array {
  return new Uint8Array(new TextEncoder().encode(path));
}

function attachedHandle(): number {
  return Number(failureDetail().replace("store ", ""));
}

function openError(result: number, verb: string, path: string): VarveError {
  if (result === Code.attached) {
    const message = `Cannot ${verb} '${path}': it is open in this process`;
    return new VarveError("ERR_LOCKED", message, { path });
  }
  if (result === Code.locked) {
    const owner = failureDetail();
    return new VarveError("ERR_LOCKED", `Cannot ${verb} '${path}': ${owner} has it open`, { path });
  }
  if (result === Code.corruption) {
    const pointer = `${path}/CURRENT`;
    const message = `Cannot ${verb} '${path}': its pointer file '${pointer}' is missing or cut off`;
    return new VarveError("ERR_CORRUPTION", message, { path: pointer });
  }
  const error = nativeError(result, `Cannot ${verb} '${path}'`, { path });
  if (error.errnoName !== "ENOENT") return error;
  return new VarveError("ERR_NOT_FOUND", `Cannot ${verb} '${path}': there is no store`, {
    path,
    cause: error,
  });
}
