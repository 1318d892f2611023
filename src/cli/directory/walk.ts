/**
 * The regular files below a directory, in an order that is the same every time: a directory's files
 * by name, then its directories. Never follows a symbolic link. What cannot be taken is named.
 */
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";

/** A regular file. */
export interface FoundFile {
  readonly kind: "file";
  /** Relative to the root, with `/` between its parts. */
  readonly key: string;
  /** Where it is. */
  readonly path: string;
  readonly bytes: number;
  /** In whole milliseconds since 1970. */
  readonly mtime: number;
  readonly mode: number;
}

/** Something that is no regular file. */
export interface Skipped {
  readonly kind: "skipped";
  readonly key: string;
  /** What it is: "a symbolic link". */
  readonly what: string;
}

/** Something that could not be read. */
export interface Unreadable {
  readonly kind: "unreadable";
  readonly key: string;
  readonly error: unknown;
}

export type TreeEntry = FoundFile | Skipped | Unreadable;

const PERMISSION_BITS = 0o777;
const NANOSECONDS_PER_MILLISECOND = 1_000_000n;

/** Walks `root`. `excluded` is a directory to leave out: a store does not import itself. */
export async function* walk(root: string, excluded?: string): AsyncGenerator<TreeEntry> {
  const directories = [""];
  for (let key; (key = directories.pop()) !== undefined;) {
    const entries = await tried(key, () => readdir(join(root, key), { withFileTypes: true }));
    if ("error" in entries) {
      yield entries;
      continue;
    }
    const below: string[] = [];
    for (const entry of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
      const entryKey = key === "" ? entry.name : `${key}/${entry.name}`;
      const path = join(root, entryKey);
      if (path === excluded) yield { kind: "skipped", key: entryKey, what: "the store itself" };
      else if (entry.isDirectory()) below.push(entryKey);
      else if (entry.isFile()) yield await tried(entryKey, () => findFile(entryKey, path));
      else if (entry.isSymbolicLink()) {
        yield { kind: "skipped", key: entryKey, what: "a symbolic link" };
      } else yield { kind: "skipped", key: entryKey, what: "no regular file" };
    }
    directories.push(...below.reverse());
  }
}

/** What is known of the file at `path`, which is `key` in its tree. */
export async function findFile(key: string, path: string): Promise<FoundFile> {
  // As bigint: the same milliseconds in every runtime, without rounding.
  const { size, mtimeNs, mode } = await lstat(path, { bigint: true });
  return {
    kind: "file",
    key,
    path,
    bytes: Number(size),
    mtime: Number(mtimeNs / NANOSECONDS_PER_MILLISECOND),
    mode: Number(mode) & PERMISSION_BITS,
  };
}

async function tried<T>(key: string, read: () => Promise<T>): Promise<T | Unreadable> {
  try {
    return await read();
  } catch (error) {
    return { kind: "unreadable", key, error };
  }
}
