/**
 * A version: the tables of one family, as an immutable handle that native reads and cursors pin. A new version replaces
 * the old one in one assignment; who still reads the old one keeps its tables open.
 */
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
  private constructor(readonly handle: number, readonly tables: readonly Table[]) {}

  /** Tables of level 0 come newest first. `context` is scratch memory. */
  static create(tables: readonly Table[], context: Region): Version {
    const levels: Table[][] = [];
    for (const table of tables) (levels[table.record.level] ??= []).push(table);
    const { i32 } = context;
    let word = CONTEXT_KEY_OFFSET >> 2;
    i32[word++] = levels.length;
    for (let level = 0; level < levels.length; level++) {
      const handles = levels[level] ?? [];
      i32[word++] = handles.length;
      for (const { handle } of handles) i32[word++] = handle;
    }
    const words = word - (CONTEXT_KEY_OFFSET >> 2);
    const handle = native().call.varve_version_create(context.id, words);
    if (handle < 0) throw nativeError(handle, "Cannot make a version");
    return new Version(handle, tables);
  }

  /** Lets go of the version; its tables stay open as long as somebody reads it. */
  release(): void {
    const result = native().call.varve_version_release(this.handle);
    if (result < 0) throw nativeError(result, "Cannot release a version");
  }
}

/** Closes a table once no version has it. */
export function releaseTable(table: Table): void {
  const result = native().call.varve_table_release(table.handle);
  if (result < 0) throw nativeError(result, "Cannot release a table");
}
