/** Compares files in a store with the files on disk that they were made from, byte for byte. */
import { Buffer } from "node:buffer";
import { readFile } from "node:fs/promises";
import type { Varve } from "../../mod.ts";
import {
  CONTENT_FAMILY,
  decodeMetadata,
  hashContent,
  METADATA_FAMILY,
} from "../cli/directory/layout.ts";
import { findFile, type FoundFile } from "../cli/directory/walk.ts";
import { forEachInFlight } from "../cli/in_flight.ts";
import { existingFamily, type Family } from "../cli/store.ts";

const READERS = 16;
const BYTES_MAX = 64 * 1024 * 1024;

/** What a check found. */
export interface CheckResult {
  /** Files that are in the store, as they are on disk. */
  files: number;
  bytes: number;
  /** Files that somebody changed on disk meanwhile; the store has what it was given. */
  changed: number;
  /** Files that are missing in the store, or not what was put. */
  lost: string[];
}

/** Checks `files`; `onChecked` hears of each. */
export async function checkFiles(
  db: Varve,
  files: Iterable<FoundFile>,
  signal: AbortSignal,
  onChecked: (file: FoundFile) => void,
): Promise<CheckResult> {
  const content = await existingFamily(db, CONTENT_FAMILY);
  const metadata = await existingFamily(db, METADATA_FAMILY);
  const result: CheckResult = { files: 0, bytes: 0, changed: 0, lost: [] };
  const bounds = { jobsMax: READERS, weightMax: BYTES_MAX, weigh: (file: FoundFile) => file.bytes };
  await forEachInFlight(files, bounds, async (file) => {
    signal.throwIfAborted();
    const stored = await content.get(Buffer.from(file.key));
    const verdict = stored === undefined ? "lost" : await judge(file, stored, metadata);
    if (verdict === "lost") result.lost.push(file.key);
    else if (verdict === "changed") result.changed++;
    else {
      result.files++;
      result.bytes += file.bytes;
    }
    onChecked(file);
  });
  return result;
}

async function judge(
  file: FoundFile,
  stored: Uint8Array,
  metadata: Family,
): Promise<"same" | "changed" | "lost"> {
  const onDisk = await ifPresent(readFile(file.path));
  if (onDisk?.equals(stored)) return "same";
  const known = decodeMetadata(await metadata.get(Buffer.from(file.key)));
  if (known === undefined || known.sha256 !== hashContent(stored)) return "lost";
  const now = await ifPresent(findFile(file.key, file.path));
  const unchanged = now?.bytes === known.bytes && now.mtime === known.mtime;
  return unchanged ? "lost" : "changed";
}

/** `undefined` for a file that is gone. */
async function ifPresent<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
