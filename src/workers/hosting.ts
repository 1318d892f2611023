/**
 * The host's side of a store with several Workers: it takes their writes into its groups, does what they ask, publishes what they
 * read, and ends the sessions of those that have died. One for each engine.
 *
 * While nobody else has come it costs the engine one load of a word for each group, and a timer that fires now and then.
 */
import { clearTimeout, setImmediate, setTimeout } from "node:timers";
import type { WriteSource } from "../commit/commit_host.ts";
import { REQUEST_COUNT, RequestState, WorkerRequest, WorkerState } from "../native/layout.gen.ts";
import { native } from "../native/library.ts";
import { disownRegion, region, releaseRegion } from "../native/region.ts";
import { closeSession } from "../native/store_handle.ts";
import { Signal } from "../native/signal.ts";
import { startTask, type Task } from "../native/task.ts";
import type { Sharing, Store } from "../store/store.ts";
import type { FamilyWatcher, Released } from "../tree/family.ts";
import {
  type Catalog,
  catalogOf,
  encodeText,
  publishText,
  readText,
  unpinBlobs,
  writeText,
} from "./catalog.ts";
import { BELL, type CoreWords, type SlotWords } from "./core_words.ts";
import { ForeignBuffer } from "./foreign_buffer.ts";
import { heldBy } from "./held_sequences.ts";
import { type Answer, errorText, perform, type Request } from "./requests.ts";
import { releaseLeft } from "./remains.ts";
import { Retired } from "./retired.ts";

/** How soon a host that is alone and idle notices that another Worker has come. */
const LONELY_MILLISECONDS = 20;
/** Turns of the event loop without news before the host sleeps. */
const IDLE_TURNS_MAX = 200;
const SLEEP_MILLISECONDS = 1;
/** It bounds how late memory is given back, not how soon a write is seen. */
const SLEEP_MICROSECONDS = 100_000;

/** What the host knows of one slot. */
interface Guest {
  readonly slot: SlotWords;
  readonly session: number;
  /** Submissions taken into the pipeline. */
  taken: number;
  /** Requests looked at. */
  asked: number;
  /** Requests that are being carried out. */
  running: number;
}

export class Hosting implements WriteSource, FamilyWatcher, Sharing {
  readonly #guests = new Map<number, Guest>();
  readonly #retired: Retired;
  #published = false;
  /** The newest that was published. */
  #catalog: Catalog | undefined;
  #dirty = false;
  #leaving = false;
  #closing = false;
  #ended = false;
  #inFlight = 0;
  #idleTurns = 0;
  #heard = 0;
  #deaths = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `own`: the slot of the Worker that this runs in. `keeps`: its session is used by others than the engine, too. */
  constructor(
    readonly store: Store,
    readonly words: CoreWords,
    readonly own: SlotWords,
    readonly keeps: boolean,
  ) {
    this.#retired = new Retired(words);
    store.sharing = this;
    store.snapshots.others = () => this.#heldByOthers();
    this.#deaths = words.deaths;
  }

  /** From now on other Workers are served. */
  start(): void {
    this.store.pipeline.listen(this, this.words.u32, BELL);
    if (!this.store.jobs.isStepped) this.#sleep();
  }

  /** Goes on with what a host before had begun. REQUIRES: it is shared, and `start` is yet to come. */
  succeed(): void {
    for (const index of this.words.occupied()) {
      const guest = this.#guest(index);
      guest.taken = guest.slot.load(guest.slot.done);
      // Looked at from the beginning: those that are free are passed over.
      guest.asked = (guest.slot.load(guest.slot.requested) - 1) >>> 0;
    }
  }

  // --- WriteSource -----------------------------------------------------------------------------------------------

  collect(): void {
    if (this.#closing) return;
    this.#heard = this.words.bell;
    for (const index of this.words.occupied()) {
      if (index === this.own.index && !this.keeps) continue;
      if (!this.#published) this.share();
      if (this.words.stateOf(index) !== WorkerState.alive) continue;
      const guest = this.#guest(index);
      this.#takeWrites(guest);
      this.#takeRequests(guest);
    }
    this.#bury();
  }

  beforeVisible(): void {
    if (this.#dirty) this.publish();
  }

  #takeWrites(guest: Guest): void {
    const { slot } = guest;
    for (
      const submitted = slot.load(slot.submitted);
      guest.taken !== submitted;
      guest.taken = (guest.taken + 1) >>> 0
    ) {
      const buffer = new ForeignBuffer(slot, guest.taken, this.#settled);
      if (buffer.expires) this.store.clock.use();
      // Somebody awaits it, wherever.
      if (this.#inFlight++ === 0) this.store.jobs.hold();
      this.store.pipeline.enqueueForeign(buffer);
    }
  }

  readonly #settled = (): void => {
    if (--this.#inFlight === 0) this.store.jobs.unhold();
  };

  #takeRequests(guest: Guest): void {
    const { slot } = guest;
    const requested = slot.load(slot.requested);
    if (guest.asked === requested) return;
    guest.asked = requested;
    for (let index = 0; index < REQUEST_COUNT; index++) {
      const record = slot.request(index);
      const state = slot.load(record >> 2);
      if (state !== RequestState.asked && state !== RequestState.taken) continue;
      if (state === RequestState.taken && this.#running.has(record)) continue;
      slot.store(record >> 2, RequestState.taken);
      this.#carryOut(guest, record, state === RequestState.taken);
    }
  }

  /** Requests that this host has begun, by their records. */
  readonly #running = new Map<number, { readonly request: Request; readonly ended: Signal }>();

  #carryOut(guest: Guest, record: number, again: boolean): void {
    const { store } = this;
    const id = this.words.i32[(record + WorkerRequest.region) >> 2];
    const request = readText(id) as Request;
    const ended = new Signal();
    this.#running.set(record, { request, ended });
    guest.running++;
    store.jobs.hold();
    startTask(store.jobs, perform(store, request, again), (error, value) => {
      store.jobs.unhold();
      this.#running.delete(record);
      guest.running--;
      ended.set();
      // Closing has cut it short: it is the next host's.
      if (this.#closing && request.op === "compact") return;
      // Who asked for a family is to find it.
      if (this.#dirty && !this.#ended) this.publish();
      const answer: Answer = error === undefined ? { value } : { error: errorText(error) };
      if (!writeText(region(id), encodeText(answer))) {
        writeText(region(id), encodeText({ error: errorText("the answer is too long") }));
      }
      guest.slot.store(record >> 2, RequestState.answered);
      guest.slot.notify();
    });
  }

  #guest(index: number): Guest {
    const slot = this.words.slot(index);
    const { session } = slot;
    const known = this.#guests.get(index);
    if (known?.session === session) return known;
    const guest: Guest = { slot, session, taken: 0, asked: 0, running: 0 };
    this.#guests.set(index, guest);
    return guest;
  }

  /** Ends the sessions of dead Workers, once nothing of theirs is under way here. */
  #bury(): void {
    const { deaths } = this.words;
    if (deaths === this.#deaths) return;
    let left = false;
    for (const index of this.words.occupied()) {
      if (this.words.stateOf(index) !== WorkerState.dead) continue;
      const guest = this.#guest(index);
      if (guest.running > 0 || guest.taken !== guest.slot.load(guest.slot.done)) left = true;
      else closeSession(guest.session);
    }
    if (!left) this.#deaths = deaths;
  }

  // --- What readers elsewhere see ----------------------------------------------------------------------------------

  changed(): void {
    if (this.#dirty) return;
    this.#dirty = true;
    queueMicrotask(() => {
      if (this.#dirty && !this.#ended) this.publish();
    });
  }

  retire(item: Released): void {
    this.#retired.add(item);
  }

  /** Shows the store to others from now on. */
  share(): void {
    this.store.families.watch(this);
    this.publish();
    this.#publishStats();
  }

  /** Shows the store as it is now to Workers that read it. */
  publish(): void {
    this.#dirty = false;
    this.#published = true;
    const { words } = this;
    const before = words.catalog;
    const old = this.#catalog;
    this.#catalog = this.#describe();
    words.publish(publishText(this.#catalog));
    if (before !== 0) this.#retired.add({ release: () => releaseRegion(before) });
    if (old !== undefined) this.#retired.add({ release: () => this.#unpin(old) });
    this.#retired.seal(words.generation);
    this.#retired.sweep();
  }

  #describe(): Catalog {
    const catalog = catalogOf(this.store);
    for (const { active, frozen } of catalog.families) {
      // From now on they are the store's: no thread's end takes them away.
      for (const id of [active, ...frozen]) disownRegion(id);
    }
    if (!this.#leaving) return catalog;
    // A host that leaves releases its tables itself.
    return { ...catalog, families: catalog.families.map((each) => ({ ...each, tables: [] })) };
  }

  #unpin(catalog: Catalog): void {
    unpinBlobs(this.store.foundation.handle, catalog);
  }

  #publishStats(): void {
    const described = this.store.describe?.(this.store);
    if (described === undefined) return;
    const before = this.words.stats;
    this.words.stats = publishText(described);
    if (before !== 0) this.#retired.add({ release: () => releaseRegion(before) });
  }

  #heldByOthers(): number[] {
    const all: number[] = [];
    for (const index of this.words.occupied()) {
      if (this.words.stateOf(index) === WorkerState.alive) {
        all.push(...heldBy(this.words.slot(index)));
      }
    }
    return all;
  }

  // --- The host's event loop ---------------------------------------------------------------------------------------

  readonly #tick = (): void => {
    this.#timer = undefined;
    if (this.#ended) return;
    const isNew = this.words.bell !== this.#heard;
    this.#idleTurns = isNew ? 0 : this.#idleTurns + 1;
    if (isNew) this.store.pipeline.serve();
    this.#retired.sweep();
    this.#bury();
    // These few turns keep the process alive: in Deno, ones that do not may never come.
    if (this.#published && this.#idleTurns < IDLE_TURNS_MAX) setImmediate(this.#tick);
    else this.#sleep();
  };

  #sleep(): void {
    if (!this.#published) return this.#sleepFor(LONELY_MILLISECONDS);
    const { words } = this;
    const sleeping = native().waitForWord?.(
      words.region.id,
      BELL << 2,
      this.#heard,
      SLEEP_MICROSECONDS,
      true,
    );
    if (sleeping === undefined) return this.#sleepFor(SLEEP_MILLISECONDS);
    words.hostSleeps = true;
    sleeping.then(() => {
      if (this.#ended) return;
      words.hostSleeps = false;
      this.#tick();
    });
  }

  #sleepFor(milliseconds: number): void {
    this.#timer = setTimeout(this.#tick, milliseconds);
    this.#timer.unref();
  }

  // --- The end -----------------------------------------------------------------------------------------------------

  *closing(): Task<void> {
    this.#closing = true;
    for (const { request, ended } of [...this.#running.values()]) {
      if (request.op !== "compact") yield ended;
    }
  }

  leaving(): void {
    this.#leaving = true;
    if (!this.#published) return;
    this.publish();
    this.#retired.keep();
  }

  ended(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    const { words } = this;
    for (const index of words.occupied()) {
      if (words.stateOf(index) === WorkerState.dead) closeSession(words.slot(index).session);
    }
    this.own.state = WorkerState.leaving;
    if (this.#published) {
      // What the last catalog names stays for those who read by it, and is the next host's to release.
      if (words.hasOthers(this.own.index)) this.#retired.leave();
      else {
        this.#retired.releaseAll();
        this.#unpin(this.#catalog!);
        const { catalog, stats } = words;
        words.unpublish();
        releaseRegion(catalog);
        if (stats !== 0) releaseRegion(stats);
        words.stats = 0;
      }
    }
    words.leaveHost(this.own.index);
    // They may have left meanwhile, and found a host.
    releaseLeft(words, this.own.index, this.store.foundation.handle);
    if (!this.keeps) this.store.foundation.release();
  }
}
