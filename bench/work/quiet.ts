/**
 * Waits until a store's background work has ended. What a store says of itself is believed only when the system agrees: nothing
 * has been written for half a second. That half second is not counted.
 */
import { setTimeout } from "node:timers/promises";
import { ioCounts } from "../harness/process_counters.ts";
import type { Store } from "../peers/peer.ts";

const LOOK_MS = 5;
const STILL_MS = 500;

/** The moment, as `performance.now()` gives it, at which the last of the work was seen. */
export async function untilQuiet(store: Store): Promise<number> {
  let busyAt = performance.now();
  let written = ioCounts()?.deviceWrittenBytes;
  for (;;) {
    await setTimeout(LOOK_MS);
    const now = performance.now();
    const nowWritten = ioCounts()?.deviceWrittenBytes;
    if (nowWritten !== written || store.isQuiet?.() === false) busyAt = now;
    if (now - busyAt >= STILL_MS) return busyAt;
    written = nowWritten;
  }
}
