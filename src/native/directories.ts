/**
 * Directories beside a store's own, as tasks over jobs: where a checkpoint goes, where a repair puts what is damaged.
 * A path is taken as the user gave it; a name is one step down from an open directory and follows no symbolic link.
 */
import { type FailurePlace, nativeError } from "./failure.ts";
import { Files, STORE_DIRECTORY } from "./files.ts";
import type { Jobs } from "./jobs.ts";
import { FileFlag, FileJob, JobFlag, JobHead, Lane, Opcode } from "./layout.gen.ts";
import { releaseRegion, reserveRegion } from "./region.ts";
import { takeJob, type Task } from "./task.ts";

export interface SubdirectoryOptions {
  /** Make it, its name synced, if it is missing. */
  readonly create?: boolean;
  /** Lock it as a store is locked, until it is closed. Throws `ERR_LOCKED`. */
  readonly lock?: boolean;
}

export class Directories {
  constructor(readonly jobs: Jobs, readonly lane: number = Lane.background) {}

  /** A directory by its path; it and its parents are made if they are missing, each name synced. */
  *open(path: string): Task<Files> {
    const handle = yield* this.#call(
      Opcode.directoryOpen,
      STORE_DIRECTORY,
      path,
      { create: true },
      [`Cannot open the directory '${path}'`, { path }],
    );
    return new Files(this.jobs, path, this.lane, handle);
  }

  /** A directory within another. */
  *openIn(parent: Files, name: string, options: SubdirectoryOptions): Task<Files> {
    const path = pathIn(parent, name);
    const handle = yield* this.#call(
      Opcode.subdirectoryOpen,
      parent.directoryHandle,
      name,
      options,
      [`Cannot open the directory '${path}'`, { path }],
    );
    return new Files(this.jobs, path, this.lane, handle);
  }

  /** Renames a directory; nothing but an empty one may have the new name. Syncs nothing. */
  *rename(parent: Files, from: string, to: string): Task<void> {
    const path = pathIn(parent, to);
    yield* this.#call(
      Opcode.subdirectoryRename,
      parent.directoryHandle,
      `${from}\0${to}`,
      {},
      [`Cannot rename '${from}' to '${path}'`, { path }],
    );
  }

  /** Unlinks the files of ours that are in a directory, then it. REQUIRES: nobody else has its lock. */
  *remove(parent: Files, name: string): Task<void> {
    const path = pathIn(parent, name);
    yield* this.#call(
      Opcode.subdirectoryRemove,
      parent.directoryHandle,
      name,
      {},
      [`Cannot remove '${path}'`, { path }],
    );
  }

  /** Gives a directory back, and its lock. */
  *close(directory: Files): Task<void> {
    const { directory: path, directoryHandle } = directory;
    yield* this.#call(
      Opcode.directoryClose,
      directoryHandle,
      "",
      {},
      [`Cannot close '${path}'`, { path }],
    );
  }

  *#call(
    opcode: number,
    directory: number,
    text: string,
    { create = false, lock = false }: SubdirectoryOptions,
    [attempt, place]: readonly [string, FailurePlace],
  ): Task<number> {
    const bytes = new TextEncoder().encode(text);
    const region = reserveRegion(Math.max(bytes.length, 1));
    try {
      region.u8.set(bytes);
      const job = yield* takeJob(this.jobs, opcode, this.lane);
      const { u32, i32, f64 } = this.jobs.shared;
      i32[(job + FileJob.directory) >> 2] = directory;
      i32[(job + FileJob.region) >> 2] = region.id;
      f64[(job + FileJob.bytes) >> 3] = bytes.length;
      if (create) u32[(job + FileJob.fileFlags) >> 2] = FileFlag.create;
      if (lock) u32[(job + JobHead.flags) >> 2] = JobFlag.lock;
      yield job;
      const result = this.jobs.result(job);
      this.jobs.release(job);
      if (result < 0) throw nativeError(result, attempt, place);
      return result;
    } finally {
      releaseRegion(region.id);
    }
  }
}

function pathIn({ directory }: Files, name: string): string {
  return `${directory}/${name}`;
}
