/** What flushes and compactions have moved through the levels of one family since the store was opened. */
import { LEVEL_COUNT } from "../native/layout.gen.ts";

/** Bytes of tables. */
export interface LevelTraffic {
  /** That came in: from a flush, or from the levels above. */
  bytesIn: number;
  /** That compactions into this level read, and wrote. A table that moves by an edit alone is neither. */
  bytesRead: number;
  bytesWritten: number;
}

export function newTraffic(): readonly LevelTraffic[] {
  return Array.from({ length: LEVEL_COUNT }, () => ({ bytesIn: 0, bytesRead: 0, bytesWritten: 0 }));
}
