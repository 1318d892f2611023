/**
 * A directory that files are written into, and nothing outside of it, whatever their names say and
 * whatever symbolic links lie there already. The directory is taken to be the exporter's own while
 * it runs: somebody who swaps directories for links meanwhile is not kept out.
 */
import { chmod, lstat, mkdir, realpath, rename, rm, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { CommandError } from "../failure.ts";
import { decodeUtf8, oneLine, printable } from "../text.ts";
import type { FileMetadata } from "./layout.ts";

export class Target {
  readonly #root: string;
  /** Directories below the root that are known to be real ones, by key. */
  readonly #directories = new Map<string, Promise<void>>();
  #temporaryCount = 0;

  private constructor(root: string) {
    this.#root = root;
  }

  /** The directory at `path`, created when missing. */
  static async open(path: string): Promise<Target> {
    await mkdir(path, { recursive: true });
    return new Target(await realpath(path));
  }

  /** Writes a file whole or not at all; an old one, or a link of that name, is replaced. */
  async write(key: string, content: Uint8Array, metadata: FileMetadata | undefined): Promise<void> {
    const parts = key.split("/");
    for (let depth = 1; depth < parts.length; depth++) {
      await this.#ensureDirectory(parts.slice(0, depth).join("/"));
    }
    const path = join(this.#root, key);
    const temporary = join(dirname(path), `.varve-${process.pid}-${this.#temporaryCount++}.tmp`);
    try {
      await writeFile(temporary, content, { flag: "wx" }); // never through a link
      if (metadata !== undefined) {
        await chmod(temporary, metadata.mode & 0o777);
        const changed = new Date(metadata.mtime);
        await utimes(temporary, changed, changed);
      }
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }

  #ensureDirectory(key: string): Promise<void> {
    const known = this.#directories.get(key);
    if (known !== undefined) return known;
    const ensured = this.#makeDirectory(join(this.#root, key));
    this.#directories.set(key, ensured);
    return ensured;
  }

  async #makeDirectory(path: string): Promise<void> {
    try {
      await mkdir(path);
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
      if ((await lstat(path)).isDirectory()) return;
      throw new CommandError("ERR_EXISTS", `Cannot write below "${oneLine(path)}": no directory`);
    }
  }
}

/** The path that a stored key means, refused if it could lead out of the directory. */
export function safePath(key: Uint8Array): string {
  const path = decodeUtf8(key);
  const refuse = (why: string) =>
    new CommandError("ERR_INVALID_ARGUMENT", `Cannot export "${printable(key)}": ${why}`);
  if (path === undefined) throw refuse("the name is not UTF-8");
  if (path.includes("\0")) throw refuse("the name contains a zero byte");
  const separators = process.platform === "win32" ? /[/\\:]/ : /\//;
  for (const part of path.split(separators)) {
    if (part === "" || part === "." || part === "..") {
      throw refuse("the path could lead out of the directory");
    }
  }
  return path;
}
