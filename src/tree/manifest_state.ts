/**
 * What a store consists of, as its manifest states it: the sum of all edits. Pure data; nothing here does I/O.
 * Edits read from disk are checked against the state that they change: an impossible one is damage.
 */
import { corruption } from "../base/errors.ts";
import type {
  FamilyRecord,
  LogPosition,
  ManifestEdit,
  OperatorRecord,
  TableRecord,
} from "../format/manifest_edit.ts";

/** Which families there are. */
export interface FamilyRegister {
  /** Names by id. */
  readonly families: ReadonlyMap<number, string>;
  /** By the family's id, where it has one. */
  readonly operators: ReadonlyMap<number, OperatorRecord>;
  /** No family has this id or a higher one. */
  readonly nextFamilyId: number;
}

export interface FamilyState extends FamilyRecord {
  /** Every logged entry up to this sequence number is in the tables. */
  flushedSequence: number;
  /** What its merges are folded with, once it was given. */
  operator: OperatorRecord | undefined;
  /** In no particular order: a version knows how to sort them. */
  tables: TableRecord[];
}

export class ManifestState {
  readonly families = new Map<number, FamilyState>();
  /** Live log segments, ascending. */
  logs: number[] = [];
  /** Live blob segments. */
  readonly blobs = new Set<number>();
  /** Those of them that are never written to again. */
  readonly sealedBlobs = new Set<number>();
  /** No segment with a higher number was ever in use. */
  lastLog = 0;
  /** Ends that a recovery found. */
  readonly logEnds = new Map<number, number>();
  nextFileNumber = 1;
  nextFamilyId = 0;
  lastSequence = 0;
  /** The greatest time seen, in milliseconds since 1970, once `ttl` has been used. */
  time: number | undefined;
  cleanClose: LogPosition | undefined;

  /** Applies an edit; `path` and `offset` say where it was read. */
  apply(edit: ManifestEdit, path: string, offset: number): void {
    const impossible = (what: string) =>
      corruption(`Cannot read '${path}': the edit at offset ${offset} ${what}`, { path, offset });
    const family = (id: number): FamilyState => {
      const found = this.families.get(id);
      if (found === undefined) throw impossible(`names the unknown column family ${id}`);
      return found;
    };
    for (const { id, name } of edit.createdFamilies ?? []) {
      const isKnown = [...this.families.values()].some((known) => known.name === name);
      if (isKnown || this.families.has(id)) throw impossible(`creates column family ${id} again`);
      this.families.set(id, { id, name, flushedSequence: 0, operator: undefined, tables: [] });
    }
    for (const operator of edit.operators ?? []) {
      const state = family(operator.family);
      if (state.operator !== undefined) {
        throw impossible(`gives column family ${state.id} another merge operator`);
      }
      state.operator = operator;
    }
    for (const id of edit.droppedFamilies ?? []) {
      family(id);
      if (id === 0) throw impossible("drops the default column family");
      this.families.delete(id);
    }
    for (const { family: id, number } of edit.removedTables ?? []) {
      const { tables } = family(id);
      const index = tables.findIndex((table) => table.number === number);
      if (index === -1) throw impossible(`removes the unknown table ${number}`);
      tables.splice(index, 1);
    }
    for (const table of edit.addedTables ?? []) family(table.family).tables.push(table);
    for (const { family: id, sequence } of edit.flushed ?? []) {
      const state = family(id);
      state.flushedSequence = Math.max(state.flushedSequence, sequence);
    }
    this.#applyLogs(edit);
    for (const segment of edit.addedBlobs ?? []) {
      if (this.blobs.has(segment)) throw impossible(`adds blob segment ${segment} again`);
      this.blobs.add(segment);
    }
    for (const segment of edit.removedBlobs ?? []) {
      if (!this.blobs.delete(segment)) {
        throw impossible(`removes the unknown blob segment ${segment}`);
      }
      this.sealedBlobs.delete(segment);
    }
    for (const segment of edit.sealedBlobs ?? []) {
      if (!this.blobs.has(segment)) throw impossible(`seals the unknown blob segment ${segment}`);
      this.sealedBlobs.add(segment);
    }
    this.nextFileNumber = Math.max(this.nextFileNumber, edit.nextFileNumber ?? 0);
    this.nextFamilyId = Math.max(this.nextFamilyId, edit.nextFamilyId ?? 0);
    this.lastSequence = Math.max(this.lastSequence, edit.lastSequence ?? 0);
    if (edit.time !== undefined) this.time = Math.max(this.time ?? 0, edit.time);
    this.cleanClose = edit.cleanClose;
    const end = this.cleanClose?.segment ?? 0;
    if (end !== 0 && !this.logs.includes(end)) {
      throw impossible(`says that the log ends in segment ${end}, which is gone`);
    }
  }

  /** The families alone. */
  get register(): FamilyRegister {
    const families = new Map<number, string>();
    const operators = new Map<number, OperatorRecord>();
    for (const { id, name, operator } of this.families.values()) {
      families.set(id, name);
      if (operator !== undefined) operators.set(id, operator);
    }
    return { families, operators, nextFamilyId: this.nextFamilyId };
  }

  /** One edit that makes this state from nothing: the first record of a new manifest. */
  snapshot(): ManifestEdit {
    const families = [...this.families.values()];
    return {
      createdFamilies: families.map(({ id, name }) => ({ id, name })),
      operators: families.flatMap(({ operator }) => operator ?? []),
      addedTables: families.flatMap(({ tables }) => tables),
      flushed: families.filter(({ flushedSequence }) => flushedSequence > 0)
        .map(({ id, flushedSequence }) => ({ family: id, sequence: flushedSequence })),
      addedLogs: this.logs,
      addedBlobs: [...this.blobs],
      sealedBlobs: [...this.sealedBlobs],
      lastLog: this.lastLog,
      logEnds: [...this.logEnds].map(([segment, offset]) => ({ segment, offset })),
      nextFileNumber: this.nextFileNumber,
      nextFamilyId: this.nextFamilyId,
      lastSequence: this.lastSequence,
      time: this.time,
      cleanClose: this.cleanClose,
    };
  }

  #applyLogs(edit: ManifestEdit): void {
    for (const { segment, offset } of edit.logEnds ?? []) this.logEnds.set(segment, offset);
    this.lastLog = Math.max(this.lastLog, edit.lastLog ?? 0, ...edit.addedLogs ?? []);
    const removed = new Set(edit.removedLogs);
    for (const segment of removed) this.logEnds.delete(segment);
    this.logs = [...this.logs, ...edit.addedLogs ?? []]
      .filter((segment) => !removed.has(segment))
      .sort((a, b) => a - b);
  }
}
