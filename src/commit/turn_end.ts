/**
 * When a turn's writes are in: both pipelines close their open buffer then, the engine's and that of a Worker beside it. And when
 * the next ones may be: a writer that awaits a commit goes on from the microtask queue, so does the commit, and between them they
 * would never let a timer or a socket have its turn.
 */
import { setImmediate } from "node:timers";
import type { Jobs } from "../native/jobs.ts";

/** How often the end is put off while further writes keep arriving in the same turn. */
const ROUNDS_MAX = 100;

/** Commits that follow each other without a turn of the event loop are watched from this time on, and so long, in milliseconds. */
const UNWATCHED_MILLISECONDS = 1;
const WATCHED_MILLISECONDS = 1;

/** Of this Worker's event loop. Watching costs a turn of its own: it begins only when the last one seen is a while ago. */
let turnSeenAt = 0;
let watchedSince = 0;
let isWatched = false;
/** What waits for the turn that is watched for. */
let waiting: (() => void)[] = [];

function turned(): void {
  isWatched = false;
  turnSeenAt = performance.now();
  const due = waiting;
  waiting = [];
  for (const then of due) queueMicrotask(then);
}

/** Calls `then`: now, or after a turn of the event loop if there was none for some milliseconds of commits. */
function lettingLoopTurn(then: () => void): void {
  const now = performance.now();
  if (isWatched && now - watchedSince > WATCHED_MILLISECONDS) {
    waiting.push(then);
    return;
  }
  if (!isWatched && now - turnSeenAt > UNWATCHED_MILLISECONDS) {
    isWatched = true;
    watchedSince = now;
    setImmediate(turned);
  }
  then();
}

/**
 * Calls `then` once no write has come for a round of microtasks: no earlier than the end of their queue, and in this turn unless
 * commits have kept the event loop from turning for too long. On a simulated disk time is nobody's business.
 */
export function whenWritesEnd(
  jobs: Jobs,
  writeCount: () => number,
  then: () => void,
): void {
  let rounds = 0;
  let seen = -1;
  const look = (): void => {
    const count = writeCount();
    if (count !== seen && rounds++ < ROUNDS_MAX) {
      seen = count;
      queueMicrotask(look);
      return;
    }
    if (jobs.isStepped) then();
    else lettingLoopTurn(then);
  };
  queueMicrotask(look);
}
