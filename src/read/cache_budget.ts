/** The block cache is one for the whole process: it gets the largest budget that an open store of this Worker asked for. */
import { nativeError } from "../native/failure.ts";
import { native } from "../native/library.ts";

const budgets = new Map<number, number>();

/** Notes what a store, named by its handle, wants. */
export function claimCache(store: number, bytes: number): void {
  budgets.set(store, bytes);
  resize();
}

/** Takes a closed store's claim back. The last store's budget stays: an empty cache costs nothing. */
export function unclaimCache(store: number): void {
  budgets.delete(store);
  if (budgets.size > 0) resize();
}

function resize(): void {
  const result = native().call.varve_cache_resize(Math.max(...budgets.values()));
  if (result < 0) throw nativeError(result, "Cannot size the block cache");
}
