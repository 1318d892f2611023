/** What the objects of one `Varve.open` share: the store behind them, this handle's durability, and whether it was closed. */
import { closed, VarveError } from "../base/errors.ts";
import { Writer } from "../commit/writer.ts";
import type { PointReader } from "../read/point_reader.ts";
import type { Cursor } from "../read/cursor.ts";
import type { OpenStore } from "../store/open_store.ts";
import type { Family } from "../tree/family.ts";
import { Allocations } from "./allocations.ts";
import type { Durability } from "./options.ts";

export class Handle {
  readonly writer: Writer;
  readonly reader: PointReader;
  /** What users hold of native memory, taken back with the handle. */
  readonly allocations: Allocations;
  /** Open cursors, closed with the handle. */
  readonly cursors = new Set<Cursor>();
  closed = false;

  constructor(readonly store: OpenStore, readonly durability: Durability) {
    this.writer = new Writer(store.pipeline);
    this.allocations = new Allocations(store.valueMemory);
    this.reader = store.newReader();
    store.handles.add(this);
  }

  /** Every later use fails; open cursors let go of what they pin. */
  end(): void {
    this.closed = true;
    this.store.handles.delete(this);
    for (const cursor of this.cursors) cursor.close();
    this.cursors.clear();
    this.allocations.end();
  }

  requireOpen(attempt: string): void {
    if (this.closed) throw closed(attempt, "the store");
  }

  /** The checks that every call on a family begins with. */
  requireFamily(family: Family, attempt: string): void {
    this.requireOpen(attempt);
    family.refresh();
    if (family.dropped) {
      throw new VarveError(
        "ERR_COLUMN_FAMILY_DROPPED",
        `Cannot ${attempt}: column family '${family.name}' was dropped`,
      );
    }
  }
}
