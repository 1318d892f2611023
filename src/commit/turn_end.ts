/** When a turn's writes are in: both pipelines close their open buffer then, the engine's and that of a Worker beside it. */

/** How often the end is put off while further writes keep arriving in the same turn. */
const ROUNDS_MAX = 100;

/** Calls `then` once no write has come for a round of microtasks: no earlier than the end of their queue, and in this turn. */
export function whenWritesEnd(writeCount: () => number, then: () => void): void {
  let rounds = 0;
  let seen = -1;
  const look = (): void => {
    const count = writeCount();
    if (count !== seen && rounds++ < ROUNDS_MAX) {
      seen = count;
      queueMicrotask(look);
      return;
    }
    then();
  };
  queueMicrotask(look);
}
