/** Opening a store: from a locked directory to a `Store` that takes calls. */
import { corruption, VarveError } from "../base/errors.ts";
import type { StoreId } from "../format/manifest_file.ts";
import type { FoundFile } from "../native/files.ts";
import { FileKind } from "../native/layout.gen.ts";
import type { Task } from "../native/task.ts";
import { CURRENT, Manifest } from "../tree/manifest.ts";
import { Families } from "./families.ts";
import { recover, type ReplayWitness, settle } from "./recovery.ts";
import type { StoreSettings } from "./settings.ts";
import { type Foundation, Store } from "./store.ts";

/**
 * Opens what is in the directory, or makes a store there. The foundation is released on failure, unless there is a witness: then
 * it is a Worker's that was attached before.
 */
export function* openStore(
  foundation: Foundation,
  settings: StoreSettings,
  storeId: StoreId,
  witness?: ReplayWitness,
): Task<Store> {
  const families = new Families();
  try {
    // Nobody else makes files here: one list serves from beginning to end.
    const found = yield* foundation.files.list();
    const manifest = yield* openManifest(foundation, found, settings, storeId);
    const recovered = yield* recover(
      foundation.files,
      found,
      manifest,
      settings,
      foundation.context,
      families,
      witness,
    );
    if (!settings.readOnly) yield* settle(foundation.files, found, manifest, recovered.log);
    return new Store(foundation, manifest, settings, recovered);
  } catch (error) {
    families.release();
    if (witness === undefined) foundation.release();
    throw error;
  }
}

function* openManifest(
  { files, health, path }: Foundation,
  found: readonly FoundFile[],
  settings: StoreSettings,
  storeId: StoreId,
): Task<Manifest> {
  if (found.some(({ kind }) => kind === FileKind.current)) {
    if (settings.errorIfExists) {
      throw new VarveError("ERR_EXISTS", `Cannot create '${path}': there is a store`, { path });
    }
    return yield* Manifest.open(files, health, !settings.readOnly);
  }
  const leftovers = found.filter(({ kind }) => kind !== FileKind.lock);
  if (!isUnfinished(leftovers)) {
    const current = files.path(CURRENT);
    throw corruption(`Cannot open '${path}': its pointer file '${current}' is missing`, {
      path: current,
    });
  }
  if (settings.readOnly || !settings.createIfMissing) {
    throw new VarveError("ERR_NOT_FOUND", `Cannot open '${path}': there is no store`, { path });
  }
  // The temporaries say that the rest is no store, so they go when nothing else can come back.
  const rest = leftovers.filter(({ kind }) => kind !== FileKind.temporary);
  for (const file of rest) yield* files.unlink(file);
  if (rest.length > 0) yield* files.syncDirectory();
  for (const file of leftovers) if (!rest.includes(file)) yield* files.unlink(file);
  return yield* Manifest.create(files, health, storeId);
}

/**
 * Whether files without a pointer are what an interrupted creation leaves: temporaries, and perhaps the first manifest.
 * Anything more was a store once.
 */
function isUnfinished(files: readonly FoundFile[]): boolean {
  if (files.length === 0) return true;
  return files.some(({ kind }) => kind === FileKind.temporary) &&
    files.every(({ kind, number }) =>
      kind === FileKind.temporary || (kind === FileKind.manifest && number === 1)
    );
}
