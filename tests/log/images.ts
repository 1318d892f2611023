/** A store's files as bytes: taken while it runs, as a kill would leave them, damaged, and opened again. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "../harness.ts";
import { Varve, VarveError } from "../../mod.ts";

/** File name → content. */
export type Image = ReadonlyMap<string, Uint8Array>;

export interface Reopened {
  /** The error that opening, or reading all, ended with. */
  readonly error?: VarveError;
  readonly entries: ReadonlyMap<string, string>;
}

/** One that does not exist yet. */
export function freshDirectory(): string {
  return join(temporaryDirectory(), "store");
}

/** The files of a directory as they are now: what a kill at this moment leaves. */
export function imageOf(directory: string): Image {
  const image = new Map<string, Uint8Array>();
  for (const name of readdirSync(directory)) {
    try {
      image.set(name, new Uint8Array(readFileSync(join(directory, name))));
    } catch (error) {
      // Removed by an I/O thread since it was listed: no manifest names it any more.
      if ((error as { code?: string }).code !== "ENOENT") throw error;
    }
  }
  return image;
}

/** An image with one file replaced, or left out. */
export function withFile(image: Image, name: string, content: Uint8Array | undefined): Image {
  const changed = new Map(image);
  if (content === undefined) changed.delete(name);
  else changed.set(name, content);
  return changed;
}

export function flipped(content: Uint8Array, offset: number, mask = 0xff): Uint8Array {
  const copy = content.slice();
  copy[offset] ^= mask;
  return copy;
}

export function cut(content: Uint8Array, bytes: number): Uint8Array {
  return content.slice(0, bytes);
}

/** Zeros from a place on: what a crash leaves of space that was reserved and not written. */
export function unwritten(content: Uint8Array, from: number): Uint8Array {
  return content.slice().fill(0, from);
}

export function write(image: Image): string {
  const directory = freshDirectory();
  mkdirSync(directory);
  for (const [name, content] of image) writeFileSync(join(directory, name), content);
  return directory;
}

/** Opens an image and reads everything. Anything but a `VarveError` is thrown on. */
export function reopen(image: Image): Reopened {
  const directory = write(image);
  try {
    return reopenDirectory(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

export function reopenDirectory(directory: string): Reopened {
  const entries = new Map<string, string>();
  try {
    const db = Varve.openSync(directory, { createIfMissing: true });
    try {
      for (const name of db.columnFamilies()) {
        const family = db.columnFamilySync(name, TEXT);
        for (const [key, value] of family.entries()) entries.set(`${name}/${key}`, value);
      }
    } finally {
      db.closeSync();
    }
    return { entries };
  } catch (error) {
    if (!(error instanceof VarveError)) throw error;
    return { error, entries };
  }
}

export const TEXT = { keyEncoding: "utf8", valueEncoding: "utf8" } as const;

/** Log segments, oldest first. */
export function logNames(image: Image): string[] {
  return [...image.keys()].filter((name) => name.endsWith(".log")).sort();
}

export function manifestName(image: Image): string {
  return [...image.keys()].find((name) => name.startsWith("MANIFEST-"))!;
}

/** The last byte that is not zero, plus one. */
export function usedBytes(content: Uint8Array): number {
  return content.findLastIndex((byte) => byte !== 0) + 1;
}
