/** How commands open a store and find its column families. Bytes in, bytes out. */
import { Varve, VarveError } from "../../mod.ts";
import { oneLine } from "./text.ts";

/** When a put is acknowledged. */
export type Durability = "sync" | "buffered" | "volatile";

/** A column family of byte strings, as the commands use them. */
export type Family = Awaited<ReturnType<typeof createFamily>>;
/** A range of keys of a {@linkcode Family}. */
export type Range = NonNullable<Parameters<Family["entries"]>[0]>;

/** Opens an existing store without changing it, beside other readers. */
export function openToRead(path: string): Promise<Varve> {
  return Varve.open(path, { readOnly: true, createIfMissing: false });
}

/** Opens a store to write to it; creates it when missing. */
export function openToWrite(path: string): Promise<Varve> {
  return Varve.open(path);
}

/** Opens an existing store to write to it. */
export function openExisting(path: string): Promise<Varve> {
  return Varve.open(path, { createIfMissing: false });
}

/** The family `name`, created when missing. */
export function createFamily(db: Varve, name: string) {
  return db.columnFamily(name, { keyEncoding: "binary", valueEncoding: "binary" });
}

/** The family `name`, or `ERR_NOT_FOUND`. */
export async function existingFamily(db: Varve, name: string): Promise<Family> {
  if (db.columnFamilies().includes(name)) return await createFamily(db, name);
  const known = db.columnFamilies().map((each) => oneLine(each)).join(", ");
  throw new VarveError(
    "ERR_NOT_FOUND",
    `Cannot use the column family "${oneLine(name)}": the store has only ${known}`,
  );
}
