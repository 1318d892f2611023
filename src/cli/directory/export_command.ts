/** `varve export --dir`: from a store to a tree on disk, with progress and a summary. */
import { CommandError, incomplete, messageOf } from "../failure.ts";
import { forEachInFlight } from "../in_flight.ts";
import { Progress } from "../progress.ts";
import { existingFamily, type Family, openToRead } from "../store.ts";
import { printable } from "../text.ts";
import {
  CONTENT_FAMILY,
  decodeMetadata,
  hashContent,
  IN_FLIGHT_BYTES_MAX,
  METADATA_FAMILY,
} from "./layout.ts";
import { safePath, Target } from "./target.ts";

/** Files written at the same time. */
const FILES_IN_FLIGHT_MAX = 16;

type ContentEntry = [key: Uint8Array, content: Uint8Array];

/** Recreates the tree in the store at `path` below `directory`. */
export async function exportTree(
  path: string,
  directory: string,
  signal: AbortSignal,
): Promise<void> {
  await using db = await openToRead(path);
  const content = await existingFamily(db, CONTENT_FAMILY);
  const metadata = await existingFamily(db, METADATA_FAMILY);
  const target = await Target.open(directory);
  const bytesTotal = Progress.isWatched ? await content.approximateSize({}) : undefined;
  using progress = new Progress("files exported", bytesTotal);
  const bounds = {
    jobsMax: FILES_IN_FLIGHT_MAX,
    weightMax: IN_FLIGHT_BYTES_MAX,
    weigh: ([, bytes]: ContentEntry) => bytes.length,
  };
  let failed = 0;
  await forEachInFlight(content.entries({ signal }), bounds, async ([key, bytes]) => {
    try {
      await exportFile(target, metadata, key, bytes);
      progress.advance(1, bytes.length);
    } catch (error) {
      failed++;
      progress.note(`failed ${printable(key)}: ${messageOf(error)}`);
    }
  });
  progress.note(`exported ${progress.summary("files")}; ${failed} failed`);
  if (failed > 0) throw incomplete(failed, "exported");
}

async function exportFile(
  target: Target,
  metadata: Family,
  key: Uint8Array,
  content: Uint8Array,
): Promise<void> {
  const path = safePath(key);
  const known = decodeMetadata(await metadata.get(key));
  if (known !== undefined && known.sha256 !== hashContent(content)) {
    throw new CommandError("ERR_CORRUPTION", "the content is not what its metadata says");
  }
  await target.write(path, content, known);
}
