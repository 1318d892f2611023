/** What the store needs of the options, already checked. `src/api/options.ts` has them with defaults and bounds. */
import type { FamilyTuning } from "../tree/family.ts";

export interface StoreSettings {
  readonly createIfMissing: boolean;
  readonly errorIfExists: boolean;
  readonly readOnly: boolean;
  /** Bytes of all memtables together, indexes included. */
  readonly totalWriteBufferSize: number;
  /** Milliseconds that a buffered write stays unsynced at most; zero: no such limit. */
  readonly syncInterval: number;
  /** Bytes of table blocks kept in memory. */
  readonly blockCacheSize: number;
  readonly walSegmentSize: number;
  /** Descriptors of tables. */
  readonly maxOpenFiles: number;
  readonly directIo: "auto" | boolean;
  readonly ioThreads: number;
  /** Bytes a second that compaction writes; `Infinity`: no limit. */
  readonly compactionRate: number;
  readonly familyDefaults: FamilyTuning;
  readonly columnFamilies: ReadonlyMap<string, FamilyTuning>;
}
