/**
 * Takes files over into a store, many at once. A file's content and metadata are one batch, so that
 * both are there or neither; its metadata being there proves that it need not be taken again.
 */
import { Buffer } from "node:buffer";
import { readFile } from "node:fs/promises";
import type { Varve } from "../../../mod.ts";
import { codeOf } from "../failure.ts";
import { forEachInFlight } from "../in_flight.ts";
import { createFamily, type Durability, type Family } from "../store.ts";
import {
  CONTENT_FAMILY,
  decodeMetadata,
  encodeMetadata,
  hashContent,
  IN_FLIGHT_BYTES_MAX,
  METADATA_FAMILY,
} from "./layout.ts";
import type { FoundFile, TreeEntry } from "./walk.ts";

/** How to import, and whom to tell. */
export interface ImportFilesOptions {
  /** Files at the same time. */
  readonly writers: number;
  readonly durability: Durability;
  readonly signal: AbortSignal;
  /** Called when a file is acknowledged; the importer waits for it. */
  onImported?(file: FoundFile): void | Promise<void>;
  /** Called for a file that is in the store already, as it is. */
  onUnchanged?(file: FoundFile): void;
  /** Called for what is not to be imported. */
  onSkipped?(key: string, what: string): void;
  /** Called for what should have been imported and could not be read. */
  onFailed?(key: string, error: unknown): void;
}

interface Families {
  readonly content: Family;
  readonly metadata: Family;
}

/** Imports `entries`. A file that cannot be read is reported and the others go on. */
export async function importFiles(
  db: Varve,
  entries: AsyncIterable<TreeEntry>,
  options: ImportFilesOptions,
): Promise<void> {
  const families = {
    content: await createFamily(db, CONTENT_FAMILY),
    metadata: await createFamily(db, METADATA_FAMILY),
  };
  const bounds = {
    jobsMax: options.writers,
    weightMax: IN_FLIGHT_BYTES_MAX,
    weigh: (file: FoundFile) => file.bytes,
  };
  const files = filesAmong(entries, options);
  await forEachInFlight(files, bounds, (file) => importFile(db, families, file, options));
}

async function* filesAmong(
  entries: AsyncIterable<TreeEntry>,
  { signal, onSkipped, onFailed }: ImportFilesOptions,
): AsyncGenerator<FoundFile> {
  for await (const entry of entries) {
    signal.throwIfAborted();
    if (entry.kind === "file") yield entry;
    else if (entry.kind === "skipped") onSkipped?.(entry.key, entry.what);
    else onFailed?.(entry.key, entry.error);
  }
}

async function importFile(
  db: Varve,
  { content, metadata }: Families,
  file: FoundFile,
  options: ImportFilesOptions,
): Promise<void> {
  const known = decodeMetadata(await metadata.get(Buffer.from(file.key)));
  if (known !== undefined && known.bytes === file.bytes && known.mtime === file.mtime) {
    return options.onUnchanged?.(file);
  }
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file.path);
  } catch (error) {
    return options.onFailed?.(file.key, error);
  }
  const { mtime, mode } = file;
  const described = encodeMetadata({
    bytes: bytes.length,
    mtime,
    mode,
    sha256: hashContent(bytes),
  });
  try {
    await db.batch()
      .put(content, Buffer.from(file.key), bytes)
      .put(metadata, Buffer.from(file.key), Buffer.from(described))
      .write({ durability: options.durability });
  } catch (error) {
    if (codeOf(error) !== "ERR_TOO_LARGE") throw error;
    return options.onFailed?.(file.key, error);
  }
  await options.onImported?.(file);
}
