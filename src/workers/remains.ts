/**
 * What a host that is gone has left in memory: its last catalog, and what that names. The next host releases it, or, where there will
 * be none, the last Worker to leave.
 */
import { native } from "../native/library.ts";
import { releaseRegion } from "../native/region.ts";
import { type Catalog, readText, unpinBlobs } from "./catalog.ts";
import type { CoreWords } from "./core_words.ts";

/** Releases what a catalog names that nobody reads by any more. */
export function releaseNamed(old: Catalog, session: number): void {
  const { call } = native();
  unpinBlobs(session, old);
  for (const { active, frozen, version, tables } of old.families) {
    for (const memtable of [active, ...frozen]) call.varve_memtable_release(memtable);
    call.varve_version_release(version);
    for (const table of tables) call.varve_table_release(table);
  }
}

/**
 * For a Worker that leaves: ends what a host left, if no other Worker is there to go on. Of several that leave at once the one that
 * becomes the host does; a host that is about to leave looks for itself when it has. REQUIRES: its slot says `leaving`.
 */
export function releaseLeft(words: CoreWords, slot: number, session: number): void {
  if (words.hasOthers(slot) || words.isHosted) return;
  if (!words.claimHost(words.host, slot)) return;
  releaseCatalog(words, session);
  words.leaveHost(slot);
}

function releaseCatalog(words: CoreWords, session: number): void {
  if (words.generation === 0) return;
  const { catalog, stats } = words;
  const old = readText(catalog) as Catalog;
  words.unpublish();
  releaseNamed(old, session);
  releaseRegion(catalog);
  if (stats !== 0) releaseRegion(stats);
  words.stats = 0;
}
