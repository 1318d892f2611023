/**
 * The words that all Workers on one store share: who hosts, what is published, and a slot for each Worker. `docs/workers.md` says
 * who may write which, and in what order.
 */
import {
  Submission,
  SUBMISSION_COUNT,
  WORKER_COUNT_MAX,
  WORKER_SLOTS_OFFSET,
  WorkerRequest,
  WORKERS_SHARED_OFFSET,
  WorkerSlot,
  WorkersShared,
  WorkerState,
} from "../native/layout.gen.ts";
import { native } from "../native/library.ts";
import type { Region } from "../native/region.ts";

const HOST = word(WorkersShared.host);
const EPOCH = word(WorkersShared.epoch);
export const BELL = word(WorkersShared.bell);
const DEATHS = word(WorkersShared.deaths);
const HOST_SLEEPING = word(WorkersShared.hostSleeping);
const GENERATION = word(WorkersShared.catalogGeneration);
const CATALOG_REGION = word(WorkersShared.catalogRegion);
const STATS_REGION = word(WorkersShared.statsRegion);

function word(offset: number): number {
  return (WORKERS_SHARED_OFFSET + offset) >> 2;
}

export class CoreWords {
  readonly u32: Uint32Array<ArrayBuffer>;
  readonly i32: Int32Array<ArrayBuffer>;

  constructor(readonly region: Region) {
    this.u32 = region.u32;
    this.i32 = region.i32;
  }

  /** The host's slot; -1: nobody hosts. */
  get host(): number {
    return Atomics.load(this.u32, HOST) - 1;
  }

  /** Becomes the host in the place of `seen`, or finds that somebody else has. */
  claimHost(seen: number, slot: number): boolean {
    const before = Atomics.compareExchange(this.u32, HOST, seen + 1, slot + 1);
    if (before !== seen + 1) return false;
    Atomics.add(this.u32, EPOCH, 1);
    return true;
  }

  /** The last word of a host, if it still is one: whoever needs a host takes its place. */
  leaveHost(slot: number): void {
    Atomics.compareExchange(this.u32, HOST, slot + 1, 0);
    this.ring();
    this.wake(GENERATION);
  }

  /** Whether there is a host, or one that has yet to say its last word. Who died will not. */
  get isHosted(): boolean {
    const { host } = this;
    if (host < 0) return false;
    const state = this.stateOf(host);
    return state === WorkerState.alive || state === WorkerState.leaving;
  }

  /** How many Workers have died so far. */
  get deaths(): number {
    return Atomics.load(this.u32, DEATHS);
  }

  /** Tells the host that there is something for it. */
  ring(): void {
    Atomics.add(this.u32, BELL, 1);
    if (Atomics.load(this.u32, HOST_SLEEPING) === 1) this.wake(BELL);
  }

  get bell(): number {
    return Atomics.load(this.u32, BELL);
  }

  set hostSleeps(sleeps: boolean) {
    Atomics.store(this.u32, HOST_SLEEPING, sleeps ? 1 : 0);
  }

  /** Which catalog is the newest; zero: none. */
  get generation(): number {
    return Atomics.load(this.u32, GENERATION);
  }

  /** The region of the newest catalog. */
  get catalog(): number {
    return Atomics.load(this.i32, CATALOG_REGION);
  }

  /** Makes a catalog the newest. A reader that dies or sleeps between the stores finds a whole one at any moment. */
  publish(region: number): void {
    Atomics.store(this.i32, CATALOG_REGION, region);
    const next = (this.generation + 1) >>> 0 || 1;
    Atomics.store(this.u32, GENERATION, next);
    this.wake(GENERATION);
  }

  /** There is no catalog any more. */
  unpublish(): void {
    Atomics.store(this.u32, GENERATION, 0);
    Atomics.store(this.i32, CATALOG_REGION, 0);
  }

  /** The region of the newest statistics; zero: none. */
  get stats(): number {
    return Atomics.load(this.i32, STATS_REGION);
  }

  set stats(region: number) {
    Atomics.store(this.i32, STATS_REGION, region);
  }

  /** Sleeps until another generation is there, at most so long. */
  awaitGeneration(seen: number, microseconds: number): void {
    this.wait(GENERATION, seen, microseconds);
  }

  /** Sleeps while a word is what it was seen to be. */
  wait(index: number, seen: number, microseconds: number): void {
    native().call.varve_word_wait(this.region.id, index << 2, seen, microseconds);
  }

  wake(index: number): void {
    native().call.varve_word_wake(this.region.id, index << 2);
  }

  slot(index: number): SlotWords {
    return new SlotWords(this, index);
  }

  /** A Worker's state without its slot's other words. */
  stateOf(slot: number): number {
    const offset = WORKER_SLOTS_OFFSET + slot * WorkerSlot.BYTES + WorkerSlot.state;
    return Atomics.load(this.u32, offset >> 2);
  }

  /** The slots that are in use, dead ones too. */
  *occupied(): Iterable<number> {
    for (let slot = 0; slot < WORKER_COUNT_MAX; slot++) {
      if (this.stateOf(slot) !== WorkerState.free) yield slot;
    }
  }

  /** Whether another Worker is attached and alive. */
  hasOthers(own: number): boolean {
    for (const slot of this.occupied()) {
      if (slot !== own && this.stateOf(slot) === WorkerState.alive) return true;
    }
    return false;
  }
}

/** One Worker's slot: word indexes from the start of the core's region. */
export class SlotWords {
  readonly base: number;
  readonly done: number;
  readonly news: number;
  readonly pinned: number;
  readonly heldRegion: number;
  readonly heldCount: number;
  readonly submitted: number;
  readonly requested: number;
  readonly sleeping: number;

  constructor(readonly core: CoreWords, readonly index: number) {
    this.base = WORKER_SLOTS_OFFSET + index * WorkerSlot.BYTES;
    const at = (offset: number) => (this.base + offset) >> 2;
    this.done = at(WorkerSlot.done);
    this.news = at(WorkerSlot.news);
    this.pinned = at(WorkerSlot.pinnedGeneration);
    this.heldRegion = at(WorkerSlot.heldRegion);
    this.heldCount = at(WorkerSlot.heldCount);
    this.submitted = at(WorkerSlot.submitted);
    this.requested = at(WorkerSlot.requested);
    this.sleeping = at(WorkerSlot.sleeping);
  }

  get session(): number {
    return Atomics.load(this.core.i32, (this.base + WorkerSlot.session) >> 2);
  }

  get state(): number {
    return this.core.stateOf(this.index);
  }

  set state(state: number) {
    Atomics.store(this.core.u32, (this.base + WorkerSlot.state) >> 2, state);
  }

  load(index: number): number {
    return Atomics.load(this.core.u32, index);
  }

  store(index: number, value: number): void {
    Atomics.store(this.core.u32, index, value);
  }

  /** Byte offset of a submission's record. */
  submission(count: number): number {
    return this.base + WorkerSlot.submissions + (count % SUBMISSION_COUNT) * Submission.BYTES;
  }

  request(index: number): number {
    return this.base + WorkerSlot.requests + index * WorkerRequest.BYTES;
  }

  /** There is something for the Worker to see. */
  notify(): void {
    Atomics.add(this.core.u32, this.news, 1);
    if (this.load(this.sleeping) === 1) this.core.wake(this.news);
  }
}
