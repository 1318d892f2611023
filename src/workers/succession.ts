/**
 * How a Worker becomes the host when there is none any more: it opens the store again, beside the Workers that are attached.
 *
 * What is on the disk says everything about what was logged, as after a crash of the process, so the death of a host at any instant
 * is as harmless as a crash at that instant. Three things are more than a crash leaves, and are kept: `"volatile"` writes, which lie
 * in the memtables that the last catalog names; the numbers that were given; and the writes and requests under way, of which it
 * is found out whether the host that died had carried them out.
 */
import { inBlocks } from "../blob/value_memory.ts";
import { readAddress } from "../format/blob_address.ts";
import { KeyProbe } from "../memtable/key_probe.ts";
import { Memtable } from "../memtable/memtable.ts";
import {
  BlobAddress,
  EntryType,
  FileKind,
  LogRun,
  MEMTABLE_HEADER_WORDS,
  MemtableEntry,
  MemtableHeader,
  StoreShared,
  Submission,
  SubmissionFlag,
  WorkerState,
} from "../native/layout.gen.ts";
import { TailLease } from "../commit/tail_lease.ts";
import { Visibility } from "../commit/visibility.ts";
import type { StoreId } from "../format/manifest_file.ts";
import { type Region, region } from "../native/region.ts";
import { closeSession } from "../native/store_handle.ts";
import type { Task } from "../native/task.ts";
import { wordsOf } from "../base/words.ts";
import { sequenceOf } from "../base/sequence.ts";
import type { Families } from "../store/families.ts";
import { openStore } from "../store/open.ts";
import type { ReplayWitness } from "../store/recovery.ts";
import type { Store } from "../store/store.ts";
import type { StoreSettings } from "../store/settings.ts";
import type { Family } from "../tree/family.ts";
import { type Catalog, readText } from "./catalog.ts";
import type { CoreWords, SlotWords } from "./core_words.ts";
import { settleSubmission } from "./foreign_buffer.ts";
import type { GuestLink } from "./guest_link.ts";
import { Hosting } from "./hosting.ts";
import { releaseNamed } from "./remains.ts";

const POISONED = StoreShared.poisoned >> 2;
const ENTRY_WORDS = MemtableEntry.BYTES >> 2;

/** What a Worker would open the store with if it were the first. */
export interface Ambition {
  readonly settings: StoreSettings;
  readonly storeId: StoreId;
  /** Describes an engine; the public module's. */
  describer(): Store["describe"];
}

/** Opens the store in this Worker. REQUIRES: it has just claimed to be the host. */
export function* takeOver(link: GuestLink, ambition: Ambition): Task<Hosting> {
  const { foundation, words, slot } = link;
  // Nobody commits any more until this Worker lends what will then be its own.
  new TailLease(foundation.core, foundation.handle).recall();
  for (const index of words.occupied()) {
    // Jobs that it had begun end here; nothing of it reaches the disk any more.
    if (words.stateOf(index) === WorkerState.dead) closeSession(words.slot(index).session);
  }
  const old = words.generation === 0 ? undefined : readText(words.catalog) as Catalog;
  for (const { active } of old?.families ?? []) Memtable.borrowed(active).freeze();
  // What a failed write left is found out by the replay, as by any other reopen.
  Atomics.store(words.i32, POISONED, 0);
  const witness = new Witness(words, old);
  const settings = old === undefined ? ambition.settings : settingsOf(old);
  const store = yield* openStore(foundation, settings, ambition.storeId, witness);
  yield* syncUnloggedValues(store);
  const hosting = new Hosting(store, words, slot, true);
  store.describe = ambition.describer();
  // With the first catalog of this host, which takes the old one's place.
  if (old !== undefined) hosting.retire({ release: () => releaseNamed(old, foundation.handle) });
  hosting.share();
  forgetUncommitted(words, witness);
  // Whoever can see now what was found finds it in this catalog.
  store.visibility.publish(store.visibility.lastGiven);
  settleCommitted(words, witness);
  hosting.succeed();
  hosting.start();
  return hosting;
}

/** The running options, with what families were opened with since. */
function settingsOf({ settings, families }: Catalog): StoreSettings {
  const columnFamilies = new Map(settings.columnFamilies);
  for (const { name, tuning } of families) columnFamilies.set(name, tuning);
  return { ...settings, columnFamilies, createIfMissing: false, errorIfExists: false };
}

/**
 * Takes the numbers back that the last host had given to what it did not commit. They are about to be visible like all that were given,
 * and were this host to die then, its own successor would take what is visible for committed.
 */
function forgetUncommitted(words: CoreWords, witness: Witness): void {
  for (const slot of writersOf(words)) {
    const submitted = slot.load(slot.submitted);
    for (let count = slot.load(slot.done); count !== submitted; count = (count + 1) >>> 0) {
      if (witness.isCommitted(slot, count)) continue;
      const record = slot.submission(count);
      const memory = region(slot.core.i32[(record + Submission.region) >> 2]);
      memory.f64[LogRun.firstSequence >> 3] = 0;
    }
  }
}

/**
 * Submissions that the last host had committed without saying so are settled; the others will be committed. Of each Worker those
 * are the first: see `nextGroup`.
 */
function settleCommitted(words: CoreWords, witness: Witness): void {
  for (const slot of writersOf(words)) {
    const submitted = slot.load(slot.submitted);
    for (let count = slot.load(slot.done); count !== submitted; count = (count + 1) >>> 0) {
      if (!witness.isCommitted(slot, count)) break;
      settleSubmission(slot, count, undefined);
    }
  }
}

function* writersOf(words: CoreWords): Iterable<SlotWords> {
  for (const index of words.occupied()) {
    const slot = words.slot(index);
    if (slot.state === WorkerState.alive) yield slot;
  }
}

/** An entry of a memtable that no log holds. */
interface UnloggedEntry {
  readonly family: number;
  readonly sequence: number;
  readonly region: Region;
  readonly word: number;
}

/** Puts between what the log has what only memory has, in the order of its numbers. */
class Witness implements ReplayWitness {
  /** Numbers of the first entries of the runs that the log has. */
  readonly #runs = new Set<number>();
  readonly #unlogged: UnloggedEntry[];
  readonly #lastGiven: number;
  readonly visible: number;
  #next = 0;

  constructor(words: CoreWords, old: Catalog | undefined) {
    const visibility = new Visibility(words.region);
    this.#lastGiven = visibility.lastGiven;
    this.visible = Math.min(visibility.lastKnown, Math.max(0, this.#lastGiven));
    this.#unlogged = old === undefined ? [] : [...unloggedEntries(old, this.visible)];
    this.#unlogged.sort((a, b) => a.sequence - b.sequence);
  }

  begin(): void {
    this.#runs.clear();
    this.#next = 0;
  }

  beforeRun(firstSequence: number, entryCount: number, families: Families): void {
    this.#runs.add(firstSequence);
    this.#insertBefore(firstSequence, families);
    // The log has these.
    const end = firstSequence + entryCount;
    while (this.#next < this.#unlogged.length && this.#unlogged[this.#next].sequence < end) {
      this.#next++;
    }
  }

  atEnd(families: Families, lastSequence: number): number {
    this.#insertBefore(Infinity, families);
    return Math.max(lastSequence, this.#lastGiven, this.visible);
  }

  /** REQUIRES: the replay has ended. */
  isCommitted(slot: SlotWords, count: number): boolean {
    const { u32, i32 } = slot.core;
    const record = slot.submission(count);
    const { f64 } = region(i32[(record + Submission.region) >> 2]);
    const first = f64[LogRun.firstSequence >> 3];
    if (first === 0) return false;
    const entryCount = u32[(record + Submission.entryCount) >> 2];
    const last = first + entryCount - 1;
    const isLogged = (u32[(record + Submission.flags) >> 2] & SubmissionFlag.logged) !== 0;
    // What was visible is there: in the log, or in memory.
    return last <= this.visible && entryCount > 0 || isLogged && this.#runs.has(first);
  }

  #insertBefore(sequence: number, families: Families): void {
    for (; this.#next < this.#unlogged.length; this.#next++) {
      const entry = this.#unlogged[this.#next];
      if (entry.sequence >= sequence) return;
      const family = families.get(entry.family);
      if (family !== undefined) insert(family, entry);
    }
  }
}

/** Entries of memtables that hold unlogged ones; some of these are in the log all the same. */
function* unloggedEntries({ families }: Catalog, visible: number): Iterable<UnloggedEntry> {
  for (const { id: family, active, frozen } of families) {
    for (const id of [...frozen, active]) {
      const memory = region(id);
      const { u32 } = memory;
      if (u32[MemtableHeader.volatileCount >> 2] === 0) continue;
      let word = Atomics.load(u32, MemtableHeader.newestEntry >> 2);
      while (word >= MEMTABLE_HEADER_WORDS) {
        const high = u32[word + (MemtableEntry.sequenceHighAndType >> 2)] & 0xff_ffff;
        const sequence = sequenceOf(high, u32[word + (MemtableEntry.sequenceLow >> 2)]);
        if (sequence <= visible) yield { family, sequence, region: memory, word };
        word = u32[word + (MemtableEntry.older >> 2)];
      }
    }
  }
}

function insert(family: Family, { region: { u32 }, word, sequence }: UnloggedEntry): void {
  const type = u32[word + (MemtableEntry.sequenceHighAndType >> 2)] >>> 24;
  const keyBytes = u32[word + (MemtableEntry.keyBytes >> 2)];
  const valueBytes = u32[word + (MemtableEntry.valueBytes >> 2)];
  const keyStart = word + ENTRY_WORDS;
  const valueStart = keyStart + wordsOf(keyBytes);
  const key = new KeyProbe(family.active.region, 0);
  key.point(u32, keyStart, keyBytes);
  const memtable = family.memtableFor(keyBytes, valueBytes);
  if (type === EntryType.deleteRange) {
    memtable.insertRange(key, sequence, valueStart, valueBytes, 0);
  } else memtable.insert(key, type, sequence, valueStart, valueBytes, 0);
  if (type !== EntryType.putBlob && type !== EntryType.putBlobExpiring) return;
  const valueEnd = valueStart + wordsOf(valueBytes);
  const { number, bytes } = readAddress(u32, valueEnd - (BlobAddress.BYTES >> 2));
  memtable.pointTo(number, inBlocks(bytes));
}

/**
 * Large values that no log knows of may not be on stable storage, and the store that was opened takes every segment that it found
 * for synced.
 */
function* syncUnloggedValues({ families, files }: Store): Task<void> {
  const numbers = new Set<number>();
  for (const { active, frozen } of families.all()) {
    for (const { volatileCount, blobs } of [active, ...frozen]) {
      if (volatileCount > 0) { for (const number of blobs) numbers.add(number); }
    }
  }
  for (const number of numbers) {
    const file = yield* files.open({ kind: FileKind.blob, number }, 0);
    try {
      yield* files.sync(file);
    } finally {
      yield* files.close(file);
    }
  }
}
