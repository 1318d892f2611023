/**
 * A store as a Worker has it that did not open it first: what its engine does elsewhere is asked for, reads are done here. It stays
 * what it is when the engine comes to this Worker: then its host is next door.
 */
import { ValueMemory } from "../blob/value_memory.ts";
import { VarveError } from "../base/errors.ts";
import { Visibility } from "../commit/visibility.ts";
import type { Region } from "../native/region.ts";
import type { Task } from "../native/task.ts";
import { claimCache, unclaimCache } from "../read/cache_budget.ts";
import type { CheckpointTarget } from "../store/checkpoint.ts";
import { Clock } from "../store/clock.ts";
import type { Families } from "../store/families.ts";
import type { OpenStore } from "../store/open_store.ts";
import type { Foundation, OperatorName, Store, StoreHandle } from "../store/store.ts";
import type { Family, FamilyTuning } from "../tree/family.ts";
import type { KeySpan } from "../tree/key_span.ts";
import { readText } from "./catalog.ts";
import type { GuestLink } from "./guest_link.ts";
import { GuestHealth, GuestPipeline } from "./guest_pipeline.ts";
import { GuestReader } from "./guest_reader.ts";
import { HeldSequences } from "./held_sequences.ts";
import { Mirror } from "./mirror.ts";
import { releaseLeft } from "./remains.ts";
import { WorkerState } from "../native/layout.gen.ts";

/** How long statistics are waited for before the last known ones must do: the host may be busy with its own program. */
const STATS_MILLISECONDS = 50;

export class GuestStore implements OpenStore {
  readonly handles = new Set<StoreHandle>();
  readonly health: GuestHealth;
  readonly pipeline: GuestPipeline;
  readonly snapshots: HeldSequences;
  readonly visibility: HeldSequences;
  readonly clock: Clock;
  readonly valueMemory = new ValueMemory();
  readonly #mirror: Mirror;
  #describe: ((engine: Store) => unknown) | undefined;
  #closed = false;
  #released = false;

  /** REQUIRES: there is a catalog. */
  constructor(readonly foundation: Foundation, readonly link: GuestLink) {
    this.health = new GuestHealth(foundation);
    this.snapshots = this.visibility = new HeldSequences(
      link.slot,
      new Visibility(foundation.core),
    );
    this.#mirror = new Mirror(link.words, link.slot);
    this.pipeline = new GuestPipeline(link, this.health, this.#mirror);
    this.#mirror.refresh();
    const { time, settings } = this.#mirror.catalog;
    this.clock = new GuestClock(foundation.disk, time, () => link.expires = true);
    claimCache(foundation.handle, settings.blockCacheSize);
  }

  /** Describes an engine, should it come here. */
  get describe() {
    return this.#describe;
  }

  set describe(describe: ((engine: Store) => unknown) | undefined) {
    this.#describe = describe;
    const { engine } = this.link;
    if (engine !== undefined) engine.store.describe = describe;
  }

  get path(): string {
    return this.#mirror.catalog.path;
  }

  get jobs() {
    return this.foundation.jobs;
  }

  get files() {
    return this.foundation.files;
  }

  get events() {
    return this.foundation.events;
  }

  get context(): Region {
    return this.foundation.context;
  }

  get families(): Families {
    this.#mirror.refresh();
    return this.#mirror.families;
  }

  get readOnly(): boolean {
    return this.#mirror.catalog.readOnly;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  get isReleased(): boolean {
    return this.#released;
  }

  newReader(): GuestReader {
    return new GuestReader(this.foundation, this.clock, this.valueMemory, this.#mirror);
  }

  requireWritable(attempt: string): void {
    if (!this.readOnly) return;
    throw new VarveError("ERR_READ_ONLY", `Cannot ${attempt}: the store is read-only`, {
      path: this.path,
    });
  }

  endHandles(): void {
    for (const handle of [...this.handles]) handle.end();
  }

  *openFamily(
    name: string,
    tuning: FamilyTuning,
    operator: OperatorName | undefined,
  ): Task<Family> {
    const known = this.families.named(name);
    if (known !== undefined && operator === undefined) return known;
    yield* this.link.request({ op: "openFamily", name, tuning, operator });
    const family = this.families.named(name);
    if (family !== undefined) return family;
    throw new VarveError(
      "ERR_COLUMN_FAMILY_DROPPED",
      `Cannot open column family '${name}': it was dropped meanwhile`,
    );
  }

  *dropFamily(name: string): Task<void> {
    yield* this.link.request({ op: "dropFamily", name });
  }

  *flush(): Task<void> {
    yield* this.#settled();
    yield* this.link.request({ op: "flush" });
  }

  *compact(families: Iterable<Family>, span: KeySpan): Task<void> {
    const ids = [...families].map(({ id }) => id);
    yield* this.#settled();
    yield* this.link.request({ op: "compact", families: ids, span });
  }

  *checkpoint(target: CheckpointTarget): Task<void> {
    yield* this.#settled();
    yield* this.link.request({ op: "checkpoint", target });
  }

  *verify(): Task<void> {
    yield* this.link.request({ op: "verify" });
  }

  /** The engine's statistics, which are every Worker's. */
  remoteStats(): unknown {
    const described = this.link.requestNow({ op: "stats" }, STATS_MILLISECONDS);
    if (described !== undefined) return described;
    const { stats } = this.link.words;
    if (stats !== 0) return readText(stats);
    throw new VarveError("ERR_IO", "Cannot read statistics: the Worker that has them is busy", {
      path: this.path,
    });
  }

  /** Everything that was written here before is committed. */
  *#settled(): Task<void> {
    const barrier = this.pipeline.requestBarrier(false);
    yield barrier;
    if (barrier.error !== undefined) throw barrier.error;
  }

  /** Ends this Worker's part in the store, and with the last one the store. */
  *close(): Task<void> {
    this.#closed = true;
    try {
      if (!this.pipeline.isIdle) yield* this.#settled();
    } finally {
      yield* this.#release();
    }
  }

  *#release(): Task<void> {
    const { link, foundation } = this;
    try {
      for (;;) {
        while (link.isPending) yield link.quiet();
        while (this.jobs.outstanding > 0 && link.engine === undefined) yield this.jobs.quiet();
        if (link.engine !== undefined || !this.#mustSucceed()) break;
        yield* this.#settled(); // by this Worker, for there is no other
      }
      if (link.engine !== undefined) yield* link.engine.store.close();
    } finally {
      if (link.engine === undefined) {
        link.slot.state = WorkerState.leaving;
        releaseLeft(link.words, link.slot.index, foundation.handle);
      }
      this.pipeline.pool.drain();
      this.valueMemory.drain();
      unclaimCache(foundation.handle);
      link.end();
      foundation.release();
      this.#released = true;
    }
  }

  /**
   * Whether this is the last Worker, and the host died with writes that are in memory alone: a close keeps those, so it takes the host's
   * place first. Otherwise this slot says `leaving`; of several that leave at once, each may find that it is the last.
   */
  #mustSucceed(): boolean {
    const { words, slot } = this.link;
    slot.state = WorkerState.leaving;
    if (words.host < 0 || words.isHosted || words.hasOthers(slot.index)) return false;
    if (this.readOnly || !this.#hasVolatile()) return false;
    slot.state = WorkerState.alive;
    return true;
  }

  #hasVolatile(): boolean {
    for (const { active, frozen } of this.families.all()) {
      if ([active, ...frozen].some(({ volatileCount }) => volatileCount > 0)) return true;
    }
    return false;
  }
}

/** Says when `ttl` comes into use, for the manifest is to keep the time then. */
class GuestClock extends Clock {
  readonly #onUse: () => void;

  constructor(disk: number, recorded: number, onUse: () => void) {
    super(disk, recorded);
    this.#onUse = onUse;
  }

  override use(): void {
    this.#onUse();
  }
}
