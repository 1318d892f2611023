/**
 * The protocol of `docs/workers.md` as a model small enough to run through all of its interleavings: guests with rings, a host with
 * its stages, a log, memory, the visible number, the catalog and its pins, the log's tail, lent or not, with commits that overlap
 * there, and succession. Each step is one store, load or compare-and-swap of a shared word, or one act that the others see whole (a
 * frame in the log, a job's end, the taking of a place).
 *
 * Between any two steps a Worker may die, but within a native call. `protocol.test.ts` says what must hold.
 */

/** Bounds: everything within them is tried. */
export interface Bounds {
  readonly workers: number;
  /** Writes of each Worker. */
  readonly writes: number;
  readonly deaths: number;
  /** Rotations, each of which retires what the catalog before it named. */
  readonly rotations: number;
  /** Whether Workers read, too. */
  readonly reads: boolean;
}

/** A mistake to build in, so that the checker is seen to find it. */
export type Mistake =
  | "settles before the log"
  | "visible before the log"
  | "releases without looking at pins"
  | "looks at pins before it publishes"
  | "successor forgets taken writes"
  | "successor commits taken writes again"
  | "successor settles before it publishes"
  | "successor shows numbers that nothing was written under"
  | "takes writes while the tail is lent"
  | "takes the tail back from under a commit"
  | "ends commits at the tail out of their order"
  | "successor leaves old memtables active"
  | "nobody succeeds";

interface Worker {
  alive: boolean;
  /** Submissions handed over, settled, and acknowledged to their caller. */
  submitted: number;
  done: number;
  acknowledged: number;
  /** The catalog that it reads by: 0 none; and the step of a read it is at. */
  pinned: number;
  reading: 0 | 1 | 2;
}

/** A commit at the tail, between two acts of one native call. */
interface Place {
  readonly worker: number;
  readonly number: number;
  /** The catalog by which its memtable was found. */
  readonly pinned: number;
  /** Whether its frame is where it belongs. */
  written: boolean;
}

type HostStage =
  | "idle"
  | "taken"
  | "numbered"
  | "logged"
  | "applied"
  | "visible"
  | "published"
  | "claimed"
  | "replayed"
  | "shown"
  | "restored"
  | "forgotten"
  | "settling";

export interface State {
  readonly workers: Worker[];
  /** Slot of the host, or -1. */
  host: number;
  stage: HostStage;
  /** What the host has taken: a write as `worker * 10 + number`, or -1. */
  group: number;
  /** Known to the host's JavaScript: how far it has looked into each ring. */
  taken: number[];
  /** Writes in the log, in order, and their numbers; the shared header of a submission says which it was given (0: none). */
  log: number[];
  logged: number[];
  numbers: Record<number, number>;
  /** The last number that was given, and the last one that readers see. */
  given: number;
  visible: number;
  /** Known to a successor's JavaScript: what was visible when it began. */
  witnessed: number;
  /** How many of the log's writes the newest catalog's memory holds. */
  inMemory: number;
  /** Generation of the newest catalog; the oldest one whose memory is still there. */
  catalog: number;
  oldest: number;
  /** Whether the host has lent the log's tail. */
  lent: boolean;
  /** Commits under way there, in the order of their places. */
  readonly places: Place[];
  /** The first catalog that names the memtables which take entries now. */
  active: number;
  rotations: number;
  deaths: number;
}

export function begin({ workers }: Bounds): State {
  return {
    workers: Array.from({ length: workers }, () => ({
      alive: true,
      submitted: 0,
      done: 0,
      acknowledged: 0,
      pinned: 0,
      reading: 0,
    })),
    host: 0,
    stage: "idle",
    group: -1,
    taken: Array.from({ length: workers }, () => 0),
    log: [],
    logged: [],
    numbers: {},
    given: 0,
    visible: 0,
    witnessed: 0,
    inMemory: 0,
    catalog: 1,
    oldest: 1,
    lent: false,
    places: [],
    active: 1,
    rotations: 0,
    deaths: 0,
  };
}

/** No catalog names what takes entries. */
const NONE_YET = Number.MAX_SAFE_INTEGER;

export class Violation extends Error {}

type Step = (state: State) => void;

function idOf(worker: number, number: number): number {
  return worker * 10 + number;
}

/** Every step that can be taken next. */
export function* steps(
  state: State,
  bounds: Bounds,
  mistake: Mistake | undefined,
): Iterable<Step> {
  for (const [index, worker] of state.workers.entries()) {
    if (!worker.alive) continue;
    yield* guestSteps(state, index, worker, bounds, mistake);
    // A native call is never cut short.
    const isWithin = state.places.some((place) => place.worker === index);
    if (state.deaths < bounds.deaths && !isWithin) {
      yield (next) => {
        next.deaths++;
        next.workers[index].alive = false;
      };
    }
  }
  yield* tailSteps(state, mistake);
  yield* hostSteps(state, bounds, mistake);
  if (mistake !== "nobody succeeds") yield* succession(state);
}

function* guestSteps(
  state: State,
  index: number,
  worker: Worker,
  { writes, reads }: Bounds,
  mistake: Mistake | undefined,
): Iterable<Step> {
  if (state.places.some((place) => place.worker === index)) return;
  // One write at a time, as `putSync` makes them.
  if (worker.submitted < writes && worker.acknowledged === worker.submitted) {
    yield (next) => void next.workers[index].submitted++;
    // By the catalog that it has pinned; where nobody reads, by the newest.
    const pinned = reads ? worker.pinned : state.catalog;
    const isActive = pinned >= state.active || mistake === "successor leaves old memtables active";
    const isPinned = !reads || worker.reading === 2;
    if (state.lent && isActive && isPinned) yield (next) => takePlace(next, index, pinned);
  }
  if (worker.acknowledged < worker.done) {
    yield (next) => {
      next.workers[index].acknowledged++;
      checkAcknowledged(next, idOf(index, next.workers[index].acknowledged));
    };
  }
  // A read: store the pin, look again whether it is the newest catalog, read, let go.
  if (worker.reading === 0) {
    if (reads && (state.rotations > 0 || state.deaths > 0)) {
      yield (next) => {
        next.workers[index].pinned = state.catalog;
        next.workers[index].reading = 1;
      };
    }
  } else if (worker.reading === 1) {
    yield (next) => {
      const reader = next.workers[index];
      if (next.catalog === reader.pinned) reader.reading = 2;
      else reader.pinned = next.catalog;
    };
  } else {
    yield (next) => {
      const reader = next.workers[index];
      if (reader.pinned < next.oldest) throw new Violation("a reader's catalog was released");
      reader.reading = 0;
      reader.pinned = 0;
    };
  }
}

/** Under the lock: a number, and room in the log and in the memtable. */
function takePlace(state: State, index: number, pinned: number): void {
  const worker = state.workers[index];
  const number = ++worker.submitted;
  // It is in no ring: the host has nothing to take.
  state.taken[index] = number;
  state.numbers[idOf(index, number)] = ++state.given;
  state.places.push({ worker: index, number, pinned, written: false });
}

/** What each does at the same time as others, and what is done in the order of the places. */
function* tailSteps(state: State, mistake: Mistake | undefined): Iterable<Step> {
  for (const [index, { written }] of state.places.entries()) {
    if (!written) yield (next) => void (next.places[index].written = true);
    else if (index === 0 || mistake === "ends commits at the tail out of their order") {
      yield (next) => endPlace(next, index);
    }
  }
}

function endPlace(state: State, index: number): void {
  const [{ worker, number, pinned }] = state.places.splice(index, 1);
  const id = idOf(worker, number);
  // A recovery finds its frame, for those before it are all there.
  enterLog(state, id);
  if (pinned < state.active) throw new Violation("an acknowledged write is where nobody looks");
  state.visible = state.numbers[id];
  state.inMemory++;
  state.workers[worker].done = state.workers[worker].acknowledged = number;
  checkAcknowledged(state, id);
}

function checkAcknowledged(state: State, id: number): void {
  const place = state.log.indexOf(id);
  if (place < 0) throw new Violation("an acknowledged write is in no log");
  if (state.visible < state.logged[place]) {
    throw new Violation("an acknowledged write is not visible");
  }
  if (state.inMemory <= place) throw new Violation("an acknowledged write cannot be found");
}

function* hostSteps(
  state: State,
  { rotations }: Bounds,
  mistake: Mistake | undefined,
): Iterable<Step> {
  const { host, stage, group } = state;
  if (host < 0 || !state.workers[host].alive) return;
  // It waits until those that have a place there have ended, and is itself within a call if it has one.
  const isUsed = state.places.length > 0 && mistake !== "takes the tail back from under a commit";
  if (isUsed && !state.lent || state.places.some(({ worker }) => worker === host)) return;
  const writer = Math.floor(group / 10);
  const settle: Step = (next) => {
    next.workers[writer].done = group % 10;
    next.stage = "idle";
    next.group = -1;
  };
  switch (stage) {
    case "idle":
      yield (next) => void (next.lent = !next.lent);
      if (state.lent && mistake !== "takes writes while the tail is lent") break;
      for (const [index, { alive, submitted }] of state.workers.entries()) {
        if (!alive || state.taken[index] >= submitted) continue;
        yield (next) => {
          next.group = idOf(index, ++next.taken[index]);
          next.stage = "taken";
        };
      }
      if (state.rotations < rotations) {
        yield (next) => {
          next.rotations++;
          next.stage = "published";
          next.active = next.catalog + 1;
          if (mistake === "releases without looking at pins") next.oldest = next.catalog + 1;
          if (mistake !== "looks at pins before it publishes") next.catalog++;
          else if (isFree(next)) next.oldest = next.catalog + 1;
        };
      }
      break;
    case "taken":
      yield (next) => {
        if (mistake === "settles before the log") return settle(next);
        // The number is in the run's header first, then in the log with the run.
        next.numbers[group] = ++next.given;
        next.stage = "numbered";
      };
      break;
    case "numbered":
      yield (next) => {
        next.stage = "logged";
        if (mistake === "visible before the log") next.visible = next.given;
        else enterLog(next, group);
      };
      break;
    case "logged":
      yield (next) => {
        if (mistake === "visible before the log") enterLog(next, group);
        next.inMemory = next.log.length;
        next.stage = "applied";
      };
      break;
    case "applied":
      yield (next) => {
        next.visible = next.given;
        next.stage = "visible";
      };
      break;
    case "visible":
      yield settle;
      break;
    case "published":
      // Releases what the catalog before named, if nobody reads by it; else it stays, for the next time.
      yield (next) => {
        if (mistake === "looks at pins before it publishes") next.catalog++;
        else if (isFree(next)) next.oldest = next.catalog;
        next.stage = "idle";
      };
      break;
    default:
      yield* successorSteps(state, mistake);
  }
}

function enterLog(state: State, id: number): void {
  state.log.push(id);
  state.logged.push(state.numbers[id]);
}

/** Whether the log has a write under the number in its submission's header. */
function isLogged({ log, logged, numbers }: State, id: number): boolean {
  const place = log.indexOf(id);
  return place >= 0 && logged[place] === numbers[id];
}

/** Whether no living Worker reads by a catalog before the newest. */
function isFree({ workers, catalog }: State): boolean {
  return workers.every(({ alive, pinned }) => !alive || pinned === 0 || pinned >= catalog);
}

/** Whoever finds the host dead claims its place. */
function* succession(state: State): Iterable<Step> {
  const { host, workers } = state;
  if (host >= 0 && workers[host].alive) return;
  for (const [index, { alive }] of workers.entries()) {
    if (!alive) continue;
    yield (next) => {
      next.host = index;
      next.lent = false;
      next.stage = "claimed";
      next.group = -1;
    };
  }
}

function* successorSteps(state: State, mistake: Mistake | undefined): Iterable<Step> {
  /** As a successor finds it out: what was visible was written. */
  const isCommitted = (next: State, id: number): boolean => {
    const number = next.numbers[id] ?? 0;
    return number > 0 && (number <= next.witnessed || isLogged(next, id));
  };
  const settleCommitted: Step = (next) => {
    for (const [index, worker] of next.workers.entries()) {
      next.taken[index] = worker.done;
      for (let number = worker.done + 1; worker.alive && number <= worker.submitted; number++) {
        const id = idOf(index, number);
        const wasTaken = (next.numbers[id] ?? 0) > 0;
        if (mistake === "successor forgets taken writes" && wasTaken) next.taken[index] = number;
        if (!isCommitted(next, id) || mistake === "successor commits taken writes again") continue;
        next.taken[index] = worker.done = number;
      }
    }
  };
  /** Their numbers are going to be visible, and are not theirs. */
  const forgetUncommitted: Step = (next) => {
    for (const [index, { alive, done, submitted }] of next.workers.entries()) {
      for (let number = done + 1; alive && number <= submitted; number++) {
        const id = idOf(index, number);
        if (!isCommitted(next, id)) next.numbers[id] = 0;
      }
    }
  };
  switch (state.stage) {
    case "claimed":
      yield (next) => {
        if (mistake !== "successor leaves old memtables active") next.active = NONE_YET;
        // What the last host's JavaScript knew is gone; its frame is in the log, or it is not.
        next.taken = next.workers.map(() => 0);
        next.stage = "replayed";
      };
      break;
    case "replayed":
      yield (next) => {
        next.witnessed = next.visible;
        if (mistake === "successor settles before it publishes") settleCommitted(next);
        next.stage = "shown";
      };
      break;
    case "shown":
      // Its first catalog, with everything that the log has; then everybody may see that.
      yield (next) => {
        next.catalog++;
        next.active = next.catalog;
        next.inMemory = next.log.length;
        next.stage = "restored";
      };
      break;
    case "restored":
      yield (next) => {
        const isForgetful = mistake === "successor forgets taken writes";
        const shows = mistake === "successor shows numbers that nothing was written under";
        if (!isForgetful && !shows) forgetUncommitted(next);
        next.stage = "forgotten";
      };
      break;
    case "forgotten":
      yield (next) => {
        next.visible = next.given;
        if (isFree(next)) next.oldest = next.catalog;
        next.stage = "settling";
      };
      break;
    case "settling":
      yield (next) => {
        settleCommitted(next);
        next.stage = "idle";
      };
      break;
    default:
      break;
  }
}

/** What must hold in every state. */
export function check(state: State): void {
  for (const [index, { alive, submitted }] of state.workers.entries()) {
    for (let number = 1; alive && number <= submitted; number++) {
      const id = idOf(index, number);
      const given = state.numbers[id] ?? 0;
      if (given > 0 && given <= state.visible && !isLogged(state, id)) {
        throw new Violation("a number is visible whose write is not in the log");
      }
    }
  }
  if (new Set(state.log).size < state.log.length) {
    throw new Violation("a write is in the log twice");
  }
  for (const [index] of state.workers.entries()) {
    const own = state.log.filter((id) => Math.floor(id / 10) === index);
    if (own.some((id, place) => id !== idOf(index, place + 1))) {
      throw new Violation("a Worker's writes are out of order");
    }
  }
}

/** What must hold where nothing more can happen. */
export function checkEnd(state: State): void {
  for (const { alive, submitted, acknowledged } of state.workers) {
    if (alive && acknowledged < submitted) throw new Violation("a Worker waits for ever");
  }
}
