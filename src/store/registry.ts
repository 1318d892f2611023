/**
 * The stores that this Worker has open, by native handle. A second open of the same directory, however it is spelled, attaches to
 * the running store; the last close closes it.
 */
import { VarveError } from "../base/errors.ts";
import type { StoreId } from "../format/manifest_file.ts";
import { Signal } from "../native/signal.ts";
import { openDirectory, openRemains } from "../native/store_handle.ts";
import { runTask, runTaskSync, type Task } from "../native/task.ts";
import { openStore } from "./open.ts";
import { rebuild, type Rebuilt, type RepairReport } from "./repair.ts";
import type { StoreSettings } from "./settings.ts";
import { Foundation, type Store } from "./store.ts";

/** Where a store lives: a disk of the library, and a path on it. */
export interface StoreLocation {
  readonly disk: number;
  readonly stepped: boolean;
  readonly path: string;
  readonly storeId: StoreId;
}

interface Entry {
  readonly disk: number;
  readonly foundation: Foundation;
  /** Set when opening ended, one way or the other. */
  readonly opened: Signal;
  /** Set when the store is gone. */
  readonly gone: Signal;
  store: Store | undefined;
  handleCount: number;
  closing: boolean;
}

const entries = new Map<number, Entry>();
/** Stores that are being repaired, by handle. */
const repairs = new Map<number, Pick<Entry, "disk" | "foundation">>();

/** Opens a store or attaches to it. Every success is to be matched by one `detach`. */
export async function attach(location: StoreLocation, settings: StoreSettings): Promise<Store> {
  for (;;) {
    const { entry, isNew } = find(location, settings);
    const { jobs } = entry.foundation;
    if (isNew) return await runTask(jobs, opening(entry, location, settings));
    if (!entry.closing && entry.store !== undefined) return attached(entry, settings);
    jobs.hold();
    const { promise, resolve } = Promise.withResolvers<void>();
    (entry.closing ? entry.gone : entry.opened).whenSet(resolve);
    await promise.finally(() => jobs.unhold());
  }
}

/** The same, blocking this thread. */
export function attachSync(location: StoreLocation, settings: StoreSettings): Store {
  for (;;) {
    const { entry, isNew } = find(location, settings);
    const { jobs } = entry.foundation;
    if (isNew) return runTaskSync(jobs, opening(entry, location, settings));
    if (!entry.closing && entry.store !== undefined) return attached(entry, settings);
    const awaited = entry.closing ? entry.gone : entry.opened;
    jobs.drive(() => awaited.ready);
  }
}

/** Makes whatever is left of a store one that opens again. */
export async function repair(
  { disk, stepped, path, storeId }: StoreLocation,
  settings: StoreSettings,
): Promise<RepairReport> {
  const handle = openRemains(disk, path, settings.ioThreads, settings);
  const foundation = new Foundation(handle, path, disk, stepped);
  repairs.set(foundation.handle, { disk, foundation });
  return await runTask(foundation.jobs, repairing(foundation, settings, storeId));
}

/** The store is opened and closed once, so that a repair which resolves has left one that opens. */
function* repairing(
  foundation: Foundation,
  settings: StoreSettings,
  storeId: StoreId,
): Task<RepairReport> {
  try {
    let rebuilt: Rebuilt;
    try {
      rebuilt = yield* rebuild(foundation.files, storeId);
    } catch (error) {
      foundation.release();
      throw error;
    }
    const store = yield* openStore(foundation, settings, storeId);
    try {
      if (rebuilt.flushIsDue) yield* store.flush();
    } finally {
      yield* store.close();
    }
    return rebuilt.report;
  } finally {
    repairs.delete(foundation.handle);
  }
}

/** Gives one handle back; the last one closes the store. */
export async function detach(store: Store): Promise<void> {
  const entry = leave(store);
  if (entry === undefined) return;
  await runTask(store.jobs, closing(entry, store));
}

export function detachSync(store: Store): void {
  const entry = leave(store);
  if (entry === undefined) return;
  runTaskSync(store.jobs, closing(entry, store));
}

/**
 * Ends every store on a simulated disk that has crashed: what is pending fails, nothing more reaches the disk, and memory and
 * native handles are given back before this returns.
 */
export function abandonStores(disk: number): void {
  for (const entry of [...entries.values()]) {
    if (entry.disk === disk) abandon(entry);
  }
  for (const [handle, { disk: on, foundation: { jobs } }] of [...repairs]) {
    if (on === disk) jobs.drive(() => !repairs.has(handle));
  }
}

function abandon(entry: Entry): void {
  const { jobs, health, events, handle, path } = entry.foundation;
  events.clear();
  const crashed = `Cannot use '${path}': its simulated disk has crashed`;
  health.poison(new VarveError("ERR_CLOSED", crashed, { path }));
  if (entry.store !== undefined) entry.store.endHandles();
  // Every job fails now, and with it what waits for it: an open or a close that was under way, too.
  if (entry.store === undefined || entry.closing) {
    jobs.drive(() => !entries.has(handle));
    return;
  }
  jobs.drive(() => jobs.outstanding === 0);
  entry.closing = true;
  try {
    runTaskSync(jobs, closing(entry, entry.store));
  } catch (error) {
    // What it owed is lost, and whoever waited for that was told.
    if (!(error instanceof VarveError)) throw error;
  }
}

function find(
  { disk, stepped, path }: StoreLocation,
  settings: StoreSettings,
): { entry: Entry; isNew: boolean } {
  const { createIfMissing, readOnly, ioThreads } = settings;
  const directory = openDirectory(disk, path, createIfMissing, readOnly, ioThreads, settings);
  if (directory.attached) {
    const entry = entries.get(directory.handle);
    if (entry !== undefined) return { entry, isNew: false };
    if (repairs.has(directory.handle)) {
      throw new VarveError("ERR_LOCKED", `Cannot open '${path}': it is being repaired`, { path });
    }
    throw new VarveError(
      "ERR_UNSUPPORTED",
      `Cannot open '${path}': another Worker of this process has it open, and sharing is not there yet`,
      { path },
    );
  }
  const entry: Entry = {
    disk,
    foundation: new Foundation(directory.handle, path, disk, stepped),
    opened: new Signal(),
    gone: new Signal(),
    store: undefined,
    handleCount: 0,
    closing: false,
  };
  entries.set(directory.handle, entry);
  return { entry, isNew: true };
}

/** Whoever waits for the end of this is resumed inside the task: a blocking caller's thread turns no event loop. */
function* opening(
  entry: Entry,
  { storeId }: StoreLocation,
  settings: StoreSettings,
): Task<Store> {
  try {
    const store = yield* openStore(entry.foundation, settings, storeId);
    entry.handleCount = 1;
    entry.store = store;
    return store;
  } catch (error) {
    entries.delete(entry.foundation.handle);
    throw error;
  } finally {
    entry.opened.set();
  }
}

function* closing(entry: Entry, store: Store): Task<void> {
  try {
    yield* store.close();
  } finally {
    entries.delete(entry.foundation.handle);
    entry.gone.set();
  }
}

function attached(entry: Entry, { readOnly, errorIfExists }: StoreSettings): Store {
  const store = entry.store!;
  const { path } = store;
  if (errorIfExists) {
    throw new VarveError("ERR_EXISTS", `Cannot create '${path}': there is a store`, { path });
  }
  if (store.readOnly && !readOnly) {
    throw new VarveError("ERR_READ_ONLY", `Cannot open '${path}' for writing: it runs read-only`, {
      path,
    });
  }
  entry.handleCount++;
  return store;
}

/** Takes one handle off; returns the entry if it was the last. */
function leave(store: Store): Entry | undefined {
  const entry = entries.get(store.foundation.handle);
  // Its disk has crashed, and nothing is left of it.
  if (entry?.store !== store) return undefined;
  if (--entry.handleCount > 0) return undefined;
  entry.closing = true;
  return entry;
}
