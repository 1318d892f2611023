/**
 * The stores that this Worker has open, by the number of their core. A second open of the same directory, however it is spelled and
 * in whichever Worker, attaches to the running store; the last close closes it.
 */
import { VarveError } from "../base/errors.ts";
import type { StoreId } from "../format/manifest_file.ts";
import { Signal } from "../native/signal.ts";
import {
  attachSession,
  coreOf,
  openDirectory,
  openRemains,
  slotOf,
} from "../native/store_handle.ts";
import { runTask, runTaskSync, type Task } from "../native/task.ts";
import { openStore } from "../store/open.ts";
import type { OpenStore } from "../store/open_store.ts";
import { rebuild, type Rebuilt, type RepairReport } from "../store/repair.ts";
import type { StoreSettings } from "../store/settings.ts";
import { Foundation, type Store } from "../store/store.ts";
import { CoreWords } from "./core_words.ts";
import { GuestLink } from "./guest_link.ts";
import { GuestStore } from "./guest_store.ts";
import { Hosting } from "./hosting.ts";
import { takeOver } from "./succession.ts";

/** Where a store lives: a disk of the library, and a path on it. */
export interface StoreLocation {
  readonly disk: number;
  readonly stepped: boolean;
  readonly path: string;
  readonly storeId: StoreId;
}

interface Entry {
  readonly core: number;
  readonly disk: number;
  /** Another Worker opened it first. */
  readonly isGuest: boolean;
  readonly foundation: Foundation;
  /** Set when opening ended, one way or the other. */
  readonly opened: Signal;
  /** Set when the store is gone. */
  readonly gone: Signal;
  store: OpenStore | undefined;
  handleCount: number;
  closing: boolean;
}

const entries = new Map<number, Entry>();
/** Stores that are being repaired, by handle. */
const repairs = new Map<number, Pick<Entry, "disk" | "foundation">>();

/** Opens a store or attaches to it. Every success is to be matched by one `detach`. */
export async function attach(location: StoreLocation, settings: StoreSettings): Promise<OpenStore> {
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
export function attachSync(location: StoreLocation, settings: StoreSettings): OpenStore {
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
  const core = coreOf(handle);
  repairs.set(core, { disk, foundation });
  return await runTask(foundation.jobs, repairing(core, foundation, settings, storeId));
}

/** The store is opened and closed once, so that a repair which resolves has left one that opens. */
function* repairing(
  core: number,
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
    repairs.delete(core);
  }
}

/** Gives one handle back; the last one closes the store. */
export async function detach(store: OpenStore): Promise<void> {
  const entry = leave(store);
  if (entry === undefined) return;
  await runTask(store.jobs, closing(entry, store));
}

export function detachSync(store: OpenStore): void {
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
  const { jobs, health, events, path } = entry.foundation;
  events.clear();
  const crashed = `Cannot use '${path}': its simulated disk has crashed`;
  health.poison(new VarveError("ERR_CLOSED", crashed, { path }));
  if (entry.store !== undefined) entry.store.endHandles();
  // Every job fails now, and with it what waits for it: an open or a close that was under way, too.
  if (entry.store === undefined || entry.closing) {
    jobs.drive(() => !entries.has(entry.core));
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
  for (;;) {
    const directory = openDirectory(disk, path, createIfMissing, readOnly, ioThreads, settings);
    const core = directory.attached ? directory.handle : coreOf(directory.handle);
    const known = entries.get(core);
    if (known !== undefined) return { entry: known, isNew: false };
    if (repairs.has(core)) {
      throw new VarveError("ERR_LOCKED", `Cannot open '${path}': it is being repaired`, { path });
    }
    const session = directory.attached ? attachSession(core, ioThreads, path) : directory.handle;
    if (session === undefined) continue; // closed meanwhile: now it can be opened
    const entry: Entry = {
      core,
      disk,
      isGuest: directory.attached,
      foundation: new Foundation(session, path, disk, stepped),
      opened: new Signal(),
      gone: new Signal(),
      store: undefined,
      handleCount: 0,
      closing: false,
    };
    entries.set(core, entry);
    return { entry, isNew: true };
  }
}

/** Whoever waits for the end of this is resumed inside the task: a blocking caller's thread turns no event loop. */
function* opening(
  entry: Entry,
  location: StoreLocation,
  settings: StoreSettings,
): Task<OpenStore> {
  try {
    const store = entry.isGuest
      ? yield* joinStore(entry.foundation, location, settings)
      : yield* hostStore(entry.foundation, location, settings);
    entry.handleCount = 1;
    entry.store = store;
    return store;
  } catch (error) {
    entries.delete(entry.core);
    throw error;
  } finally {
    entry.opened.set();
  }
}

/** Opens the store as its first Worker. */
function* hostStore(
  foundation: Foundation,
  { storeId, stepped }: StoreLocation,
  settings: StoreSettings,
): Task<Store> {
  const store = yield* openStore(foundation, settings, storeId);
  // A simulated disk is known to one Worker alone.
  if (!stepped) {
    const words = new CoreWords(foundation.core);
    new Hosting(store, words, words.slot(slotOf(foundation.handle)), false).start();
  }
  return store;
}

/** Attaches to a store that another Worker of the process opened, or opens it if that one is gone. */
function* joinStore(
  foundation: Foundation,
  { storeId }: StoreLocation,
  settings: StoreSettings,
): Task<GuestStore> {
  const words = new CoreWords(foundation.core);
  let joined: GuestStore | undefined;
  const ambition = {
    settings,
    storeId,
    describer: () => joined?.describe,
  };
  const link = new GuestLink(
    foundation,
    words,
    words.slot(slotOf(foundation.handle)),
    (link) => takeOver(link, ambition),
  );
  try {
    yield* link.awaitCatalog();
    joined = new GuestStore(foundation, link);
    requireAgreement(joined, settings);
    return joined;
  } catch (error) {
    if (joined === undefined) {
      link.end();
      foundation.release();
    } else yield* joined.close();
    throw error;
  }
}

function* closing(entry: Entry, store: OpenStore): Task<void> {
  try {
    yield* store.close();
  } finally {
    entries.delete(entry.core);
    entry.gone.set();
  }
}

function attached(entry: Entry, settings: StoreSettings): OpenStore {
  const store = entry.store!;
  requireAgreement(store, settings);
  entry.handleCount++;
  return store;
}

/** The running store's options stay; these two ask for what it is not. */
function requireAgreement(
  { path, readOnly: runsReadOnly }: OpenStore,
  { readOnly, errorIfExists }: StoreSettings,
): void {
  if (errorIfExists) {
    throw new VarveError("ERR_EXISTS", `Cannot create '${path}': there is a store`, { path });
  }
  if (runsReadOnly && !readOnly) {
    throw new VarveError("ERR_READ_ONLY", `Cannot open '${path}' for writing: it runs read-only`, {
      path,
    });
  }
}

/** Takes one handle off; returns the entry if it was the last. */
function leave(store: OpenStore): Entry | undefined {
  const entry = [...entries.values()].find((each) => each.store === store);
  // Its disk has crashed, and nothing is left of it.
  if (entry === undefined) return undefined;
  if (--entry.handleCount > 0) return undefined;
  entry.closing = true;
  return entry;
}
