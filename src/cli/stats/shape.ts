/**
 * What a store consists of: of one that can be opened with all it says of itself, of one that another process has open as its
 * manifest has it, which that process keeps to itself neither.
 */
import { join } from "node:path";
import { type FilePart, inspectFile, type Stats, type Varve, VarveError } from "../../../mod.ts";
import { openToRead } from "../store.ts";

/** One level of a family. */
export interface Level {
  files: number;
  bytes: number;
}

/** The tree of a store that is in use. */
export interface Shape {
  readonly path: string;
  readonly inUse: true;
  /** The least that the store's last sequence number can be. */
  readonly sequence: number;
  readonly log: { readonly segments: number };
  readonly blobs: { readonly segments: number };
  readonly columnFamilies: Readonly<Record<string, { readonly levels: readonly Level[] }>>;
}

/** A manifest may be replaced between the pointer's being read and its own. */
const ATTEMPTS_MAX = 5;

/** Of a store that is not open for writing, what it says of itself; else its shape. */
export async function statsOrShape(path: string): Promise<Stats | Shape> {
  let db: Varve;
  try {
    db = await openToRead(path);
  } catch (error) {
    if (error instanceof VarveError && error.code === "ERR_LOCKED") return await shapeOf(path);
    throw error;
  }
  await using _ = db;
  return db.stats();
}

async function shapeOf(path: string): Promise<Shape> {
  for (let attempt = 1;; attempt++) {
    const manifest = await manifestOf(path);
    const shape = new ManifestShape(path);
    try {
      for await (const part of inspectFile(manifest)) {
        if (part.kind === "record") shape.apply(part);
      }
    } catch (error) {
      if (!(error instanceof VarveError)) throw error;
      if (error.code === "ERR_NOT_FOUND" && attempt < ATTEMPTS_MAX) continue;
      // Its writer may be in the middle of a record.
      if (error.code !== "ERR_CORRUPTION" || shape.records === 0) throw error;
    }
    return shape.result();
  }
}

async function manifestOf(path: string): Promise<string> {
  let number = 0;
  for await (const { fields } of inspectFile(join(path, "CURRENT"))) {
    number = Number(fields.manifest);
  }
  return join(path, `MANIFEST-${String(number).padStart(6, "0")}`);
}

interface Table {
  readonly family: number;
  readonly number: number;
  readonly level: number;
  readonly fileBytes: number;
}

/** A manifest's records, one after the other. */
class ManifestShape {
  records = 0;
  readonly #names = new Map<number, string>();
  readonly #tables = new Map<number, Table>();
  readonly #logs = new Set<number>();
  readonly #blobs = new Set<number>();
  #sequence = 0;

  constructor(readonly path: string) {}

  apply({ fields }: FilePart): void {
    this.records++;
    for (const { id, name } of list<{ id: number; name: string }>(fields.createdFamilies)) {
      this.#names.set(id, name);
    }
    for (const id of list<number>(fields.droppedFamilies)) {
      this.#names.delete(id);
      for (const { family, number } of this.#tables.values()) {
        if (family === id) this.#tables.delete(number);
      }
    }
    for (const { number } of list<Table>(fields.removedTables)) this.#tables.delete(number);
    for (const table of list<Table>(fields.addedTables)) this.#tables.set(table.number, table);
    for (const number of list<number>(fields.addedLogs)) this.#logs.add(number);
    for (const number of list<number>(fields.removedLogs)) this.#logs.delete(number);
    for (const number of list<number>(fields.addedBlobs)) this.#blobs.add(number);
    for (const number of list<number>(fields.removedBlobs)) this.#blobs.delete(number);
    this.#sequence = Math.max(this.#sequence, Number(fields.lastSequence ?? 0));
  }

  result(): Shape {
    const families = [...this.#names].map(([id, name]) => {
      const levels: Level[] = [{ files: 0, bytes: 0 }];
      for (const { family, level, fileBytes } of this.#tables.values()) {
        if (family !== id) continue;
        while (levels.length <= level) levels.push({ files: 0, bytes: 0 });
        levels[level].files++;
        levels[level].bytes += fileBytes;
      }
      return [name, { levels }] as const;
    });
    return {
      path: this.path,
      inUse: true,
      sequence: this.#sequence,
      log: { segments: this.#logs.size },
      blobs: { segments: this.#blobs.size },
      columnFamilies: Object.fromEntries(families),
    };
  }
}

function list<T>(field: unknown): readonly T[] {
  return Array.isArray(field) ? field as T[] : [];
}
