/**
 * A version: the tables of one family, as an immutable handle that native reads and cursors pin. A new version replaces
 * the old one in one assignment; who still reads the old one keeps its tables open.
 */
import { compareBytes } from "../base/bytes.ts";
import { nativeError } from "../native/failure.ts";
import { CONTEXT_KEY_OFFSET } from "../native/layout.gen.ts";
import { native } from "../native/library.ts";
import type { Region } from "../native/region.ts";
import type { TableRecord } from "../format/manifest_edit.ts";

/** An open table: its manifest record, and the handle that the library gave. */
export interface Table {
  readonly record: TableRecord;
  readonly handle: number;
}

export class Version {
  private constructor(
    readonly handle: number,
    /** Level 0 newest first (its numbers are in order of age), the levels below by key. */
    readonly levels: readonly (readonly Table[])[],
    readonly isEmpty: boolean,
  ) {}

  /** `context` is scratch memory. */
  static create(tables: Iterable<Table>, context: Region): Version {
    const levels: Table[][] = [[]];
    for (const table of tables) {
      while (levels.length <= table.record.level) levels.push([]);
      levels[table.record.level].push(table);
    }
    levels[0].sort((a, b) => b.record.number - a.record.number);
    for (const level of levels.slice(1)) {
      level.sort((a, b) => compareBytes(a.record.smallestKey, b.record.smallestKey));
    }
    const isEmpty = levels.every((level) => level.length === 0);
    return new Version(createHandle(levels, context), levels, isEmpty);
  }

  /** Another Worker's version, for readers: it is not this one's to release. */
  static borrowed(handle: number, isEmpty: boolean): Version {
    return new Version(handle, [[]], isEmpty);
  }

  get tables(): readonly Table[] {
    return this.levels.flat();
  }

  /** Lets go of the version; its tables stay open as long as somebody reads it. */
  release(): void {
    const result = native().call.varve_version_release(this.handle);
    if (result < 0) throw nativeError(result, "Cannot release a version");
  }
}

function createHandle(levels: readonly (readonly Table[])[], context: Region): number {
  const { i32 } = context;
  let word = CONTEXT_KEY_OFFSET >> 2;
  i32[word++] = levels.length;
  for (const level of levels) {
    i32[word++] = level.length;
    for (const { handle } of level) i32[word++] = handle;
  }
  const words = word - (CONTEXT_KEY_OFFSET >> 2);
  const handle = native().call.varve_version_create(context.id, words);
  if (handle < 0) throw nativeError(handle, "Cannot make a version");
  return handle;
}

/** Closes a table once no version has it. */
export function releaseTable(table: Table): void {
  const result = native().call.varve_table_release(table.handle);
  if (result < 0) throw nativeError(result, "Cannot release a table");
}

/** Bytes that tables point to in blob segments. */
export function blobBytesOf(tables: Iterable<Table>): number {
  let total = 0;
  for (const { record: { blobs } } of tables) for (const { bytes } of blobs) total += bytes;
  return total;
}
