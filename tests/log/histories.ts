/** Writes in order, the stores that hold them, and what may be left of them after damage. */
import assert from "node:assert/strict";
import { type OpenOptions, Varve } from "../../mod.ts";
import { freshDirectory, type Image, imageOf, type Reopened, TEXT } from "./images.ts";

export interface Write {
  readonly key: string;
  readonly value: string;
  readonly sync: boolean;
}

/** Some writes that overwrite each other now and then; every `syncEvery`th is synced. */
export function history(count: number, syncEvery: number, valueBytes = 40): Write[] {
  return Array.from({ length: count }, (_, index) => ({
    key: `key ${index % Math.ceil(count * 0.7)}`,
    value: `${index} `.padEnd(valueBytes + index % 23, "v"),
    sync: index % syncEvery === syncEvery - 1,
  }));
}

type Options = Pick<OpenOptions, "durability" | "walSegmentSize">;

/** Runs a history, each write a group of its own. Returns the files before the close, and after it. */
export function run(
  writes: readonly Write[],
  options: Options = {},
): { killed: Image; closed: Image } {
  const directory = freshDirectory();
  const db = Varve.openSync(directory, { ...options, ...TEXT });
  for (const { key, value, sync } of writes) {
    db.putSync(key, value, { durability: sync ? "sync" : "buffered" });
  }
  const killed = imageOf(directory);
  db.closeSync();
  return { killed, closed: imageOf(directory) };
}

/** What the first `count` writes make. */
export function stateAfter(writes: readonly Write[], count: number): Map<string, string> {
  return new Map(writes.slice(0, count).map(({ key, value }) => [`default/${key}`, value]));
}

/** Writes that some later record knew to be synced: none of these may go in silence. */
export function knownSynced(writes: readonly Write[]): number {
  return writes.slice(0, -1).findLastIndex(({ sync }) => sync) + 1;
}

/** The number of writes that are there, from the first on. Fails if they are no prefix of the history. */
export function prefixOf(writes: readonly Write[], { entries }: Reopened, what: string): number {
  for (let count = writes.length; count >= 0; count--) {
    const state = stateAfter(writes, count);
    if (state.size !== entries.size) continue;
    if ([...state].every(([key, value]) => entries.get(key) === value)) return count;
  }
  assert.fail(`${what}: what was read is no prefix of what was written`);
}

/** The rule of `docs/architecture.md`: an error with its place, or a prefix that keeps what was known to be synced. */
export function checkKilled(writes: readonly Write[], found: Reopened, what: string): void {
  if (found.error !== undefined) return checkDamage(found, what);
  const kept = prefixOf(writes, found, what);
  const known = knownSynced(writes);
  assert.ok(kept >= known, `${what}: ${kept} writes are left, ${known} were known to be synced`);
}

/** After a clean close: an error with its place, or everything. */
export function checkClosed(writes: readonly Write[], found: Reopened, what: string): void {
  if (found.error !== undefined) return checkDamage(found, what);
  assert.equal(prefixOf(writes, found, what), writes.length, `${what}: writes vanished in silence`);
}

export function checkDamage({ error }: Reopened, what: string): void {
  assert.equal(error!.code, "ERR_CORRUPTION", `${what}: ${error!.message}`);
  assert.equal(typeof error!.path, "string", `${what}: the error names no file`);
}
