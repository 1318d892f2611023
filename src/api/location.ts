/** Where a store lives, from what a caller gave: a path or `file:` URL, and perhaps a simulated disk. */
import { fileURLToPath } from "node:url";
import { invalidArgument, quote } from "../base/errors.ts";
import { simulatedDiskOf } from "../native/simulated_disks.ts";
import { REAL_DISK } from "../native/store_handle.ts";
import type { StoreLocation } from "../workers/registry.ts";
import type { ResolvedOptions } from "./options.ts";

/** Longer than any system takes; what a system takes less of is its own error. */
const PATH_UNITS_MAX = 32_767;

export function locate(path: unknown, { disk }: ResolvedOptions): StoreLocation {
  if (disk !== undefined) {
    const simulated = simulatedDiskOf(disk);
    if (simulated === undefined) {
      throw invalidArgument("Cannot open on this disk: it is no SimulatedDisk");
    }
    return {
      disk: simulated.id,
      stepped: true,
      path: resolveStorePath(path),
      storeId: simulated.nextStoreId(),
    };
  }
  const [low, high] = crypto.getRandomValues(new Uint32Array(2));
  return {
    disk: REAL_DISK,
    stepped: false,
    path: resolveStorePath(path),
    storeId: { low, high },
  };
}

/** The directory that something new is made in, and its name there. Throws `ERR_INVALID_ARGUMENT`. */
export function resolveTarget(path: unknown): { parent: string; name: string } {
  const whole = resolveStorePath(path).replace(/\/+$/, "");
  const end = whole.lastIndexOf("/");
  const name = whole.slice(end + 1);
  if (name === "" || name === "." || name === "..") {
    throw invalidArgument(`Cannot make ${quote(path)}: takes a path that ends in a name`);
  }
  const parent = end < 0 ? "." : end === 0 ? "/" : whole.slice(0, end);
  return { parent, name };
}

/** A path as the system takes it. Throws `ERR_INVALID_ARGUMENT`. */
export function resolveStorePath(path: unknown): string {
  if (path instanceof URL) {
    if (path.protocol === "file:") return fileURLToPath(path);
    throw invalidArgument(`Cannot open ${quote(path.href)}: takes a file: URL`);
  }
  if (typeof path !== "string" || path === "" || path.includes("\0")) {
    throw invalidArgument(`Cannot open ${quote(path)}: takes a path or a file: URL`);
  }
  if (path.length > PATH_UNITS_MAX) {
    throw invalidArgument(`Cannot open a path of ${path.length} characters`);
  }
  return path;
}
