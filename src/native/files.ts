/**
 * The files of one directory, a store's own as a rule, as tasks over jobs. A file is named by kind and number; its handle is a
 * small integer that the library checks. Every failure is a `VarveError` that names the file.
 */
import { corruption, VarveError } from "../base/errors.ts";
import { type FailurePlace, nativeError } from "./failure.ts";
import {
  DirectoryEntry,
  FileFlag,
  FileJob,
  FileKind,
  JobFlag,
  JobHead,
  Lane,
  Opcode,
} from "./layout.gen.ts";
import type { Jobs } from "./jobs.ts";
import { type Region, region, releaseRegion, reserveRegion } from "./region.ts";
import { takeJob, type Task } from "./task.ts";

export interface FileName {
  readonly kind: number;
  readonly number: number;
}

export interface OpenFile extends FileName {
  readonly handle: number;
  /** Whether the file system granted direct I/O. */
  readonly direct: boolean;
}

export interface FoundFile extends FileName {
  readonly bytes: number;
}

/** A directory's entries come in one piece: room for as many as this. */
const LISTED_FILES_MAX = 1 << 20;
/** The handle of the directory that the store lives in. */
export const STORE_DIRECTORY = 0;

export class Files {
  constructor(
    readonly jobs: Jobs,
    readonly directory: string,
    readonly lane: number = Lane.background,
    /** Which directory: the store's own, or one that `Directories` has opened. */
    readonly directoryHandle: number = STORE_DIRECTORY,
  ) {}

  *open(name: FileName, flags: number): Task<OpenFile> {
    const job = yield* this.#job(Opcode.fileOpen, name);
    this.jobs.shared.u32[(job + FileJob.fileFlags) >> 2] = flags;
    yield job;
    const granted = this.jobs.shared.u32[(job + FileJob.fileFlags) >> 2];
    const handle = this.#finish(job, "open", name);
    return { ...name, handle, direct: (granted & FileFlag.direct) !== 0 };
  }

  *close(file: OpenFile): Task<void> {
    const job = yield* this.#job(Opcode.fileClose, file, file.handle);
    yield job;
    this.#finish(job, "close", file);
  }

  /** Fills the region from its start; returns the bytes read, fewer only at the end of the file. */
  *read(file: OpenFile, into: Region, offset: number, bytes: number): Task<number> {
    const job = yield* this.#transfer(Opcode.fileRead, file, into, 0, offset, bytes);
    return yield* this.#read(job, file, offset);
  }

  /**
   * The same, but zero where the file system knows that nothing but a hole follows to the end of the file. File systems have erred
   * about bytes that were just written: for a second look, not for what must not be missed.
   */
  *readData(file: OpenFile, into: Region, offset: number, bytes: number): Task<number> {
    const job = yield* this.#transfer(Opcode.fileRead, file, into, 0, offset, bytes);
    this.jobs.shared.u32[(job + JobHead.flags) >> 2] = JobFlag.sparse;
    return yield* this.#read(job, file, offset);
  }

  *#read(job: number, file: OpenFile, offset: number): Task<number> {
    yield job;
    const read = this.jobs.value(job);
    this.#finish(job, "read", file, offset);
    return read;
  }

  /** Writes the region's bytes from `fromOffset` on. */
  *write(
    file: OpenFile,
    from: Region,
    offset: number,
    bytes: number,
    fromOffset = 0,
  ): Task<void> {
    const job = yield* this.#transfer(Opcode.fileWrite, file, from, fromOffset, offset, bytes);
    yield job;
    this.#finish(job, "write", file, offset);
  }

  *sync(file: OpenFile): Task<void> {
    const job = yield* this.#job(Opcode.fileSync, file, file.handle);
    yield job;
    this.#finish(job, "sync", file);
  }

  /** Reserves space; with `zero`, also writes it, so that a synced write there changes no metadata. */
  *allocate(file: OpenFile, offset: number, bytes: number, zero: boolean): Task<void> {
    const job = yield* this.#job(Opcode.fileAllocate, file, file.handle);
    this.jobs.shared.f64[(job + FileJob.offset) >> 3] = offset;
    this.jobs.shared.f64[(job + FileJob.bytes) >> 3] = bytes;
    if (zero) this.jobs.shared.u32[(job + JobHead.flags) >> 2] = JobFlag.zero;
    yield job;
    this.#finish(job, "allocate", file, offset);
  }

  /** Cuts a file, or lengthens it by zeros that take no space. */
  *truncate(file: OpenFile, bytes: number): Task<void> {
    const job = yield* this.#job(Opcode.fileTruncate, file, file.handle);
    this.jobs.shared.f64[(job + FileJob.bytes) >> 3] = bytes;
    yield job;
    this.#finish(job, "truncate", file);
  }

  *size(file: OpenFile): Task<number> {
    const job = yield* this.#job(Opcode.fileSize, file, file.handle);
    yield job;
    const bytes = this.jobs.value(job);
    this.#finish(job, "measure", file);
    return bytes;
  }

  *rename(from: FileName, to: FileName): Task<void> {
    const job = yield* this.#job(Opcode.fileRename, from);
    this.jobs.shared.u32[(job + FileJob.targetKind) >> 2] = to.kind;
    this.jobs.shared.f64[(job + FileJob.targetNumber) >> 3] = to.number;
    yield job;
    this.#finish(job, "rename", from);
  }

  *unlink(name: FileName): Task<void> {
    const job = yield* this.#job(Opcode.fileUnlink, name);
    yield job;
    this.#finish(job, "remove", name);
  }

  /** Closes a file and unlinks its name. */
  *remove(file: OpenFile): Task<void> {
    yield* this.close(file);
    yield* this.unlink(file);
  }

  /** Runs a task that makes a file what it is to be. A failure leaves no file behind. */
  *making<T>(file: OpenFile, task: Task<T>): Task<T> {
    try {
      return yield* task;
    } catch (error) {
      yield* this.remove(file);
      throw error;
    }
  }

  /** Gives a file the same name in another directory. Neither name's file may be written to from then on. */
  *link(name: FileName, target: Files): Task<void> {
    const job = yield* this.#job(Opcode.fileLink, name);
    const { u32, i32, f64 } = this.jobs.shared;
    u32[(job + FileJob.targetKind) >> 2] = name.kind;
    f64[(job + FileJob.targetNumber) >> 3] = name.number;
    i32[(job + FileJob.targetDirectory) >> 2] = target.directoryHandle;
    yield job;
    this.#finish(job, "link", name);
  }

  *syncDirectory(): Task<void> {
    const job = yield* this.#job(Opcode.directorySync, { kind: 0, number: 0 });
    yield job;
    const result = this.jobs.result(job);
    this.jobs.release(job);
    if (result < 0) {
      throw nativeError(result, "Cannot sync the directory", { path: this.directory });
    }
  }

  /** Every file of ours in the directory. */
  *list(): Task<FoundFile[]> {
    const into = reserveRegion(LISTED_FILES_MAX * DirectoryEntry.BYTES, DirectoryEntry.BYTES);
    try {
      const job = yield* this.#job(Opcode.directoryList, { kind: 0, number: 0 });
      this.jobs.shared.i32[(job + FileJob.region) >> 2] = into.id;
      this.jobs.shared.f64[(job + FileJob.bytes) >> 3] = into.bytes;
      yield job;
      const result = this.jobs.result(job);
      const count = this.jobs.value(job);
      this.jobs.release(job);
      if (result < 0) {
        throw nativeError(result, "Cannot list the directory", { path: this.directory });
      }
      const { u32, f64 } = region(into.id, count * DirectoryEntry.BYTES);
      return Array.from({ length: count }, (_, index) => {
        const entry = index * DirectoryEntry.BYTES;
        return {
          kind: u32[(entry + DirectoryEntry.kind) >> 2],
          number: f64[(entry + DirectoryEntry.number) >> 3],
          bytes: f64[(entry + DirectoryEntry.bytes) >> 3],
        };
      });
    } finally {
      releaseRegion(into.id);
    }
  }

  path(name: FileName): string {
    return `${this.directory}/${fileName(name)}`;
  }

  *#job(opcode: number, name: FileName, handle = -1): Task<number> {
    const job = yield* takeJob(this.jobs, opcode, this.lane);
    const { u32, i32, f64 } = this.jobs.shared;
    u32[(job + FileJob.kind) >> 2] = name.kind;
    f64[(job + FileJob.number) >> 3] = name.number;
    i32[(job + FileJob.file) >> 2] = handle;
    i32[(job + FileJob.directory) >> 2] = this.directoryHandle;
    return job;
  }

  *#transfer(
    opcode: number,
    file: OpenFile,
    data: Region,
    dataOffset: number,
    offset: number,
    bytes: number,
  ): Task<number> {
    const job = yield* this.#job(opcode, file, file.handle);
    const { i32, f64 } = this.jobs.shared;
    i32[(job + FileJob.region) >> 2] = data.id;
    f64[(job + FileJob.regionOffset) >> 3] = dataOffset;
    f64[(job + FileJob.offset) >> 3] = offset;
    f64[(job + FileJob.bytes) >> 3] = bytes;
    return job;
  }

  #finish(job: number, verb: string, name: FileName, offset?: number): number {
    const result = this.jobs.result(job);
    this.jobs.release(job);
    if (result >= 0) return result;
    const place: FailurePlace = { path: this.path(name), offset };
    throw nativeError(result, `Cannot ${verb} '${fileName(name)}'`, place);
  }
}

/** A file that another one names is there, or the store is damaged. */
export function* required<T>(path: string, task: Task<T>): Task<T> {
  try {
    return yield* task;
  } catch (error) {
    if (!(error instanceof VarveError) || error.errnoName !== "ENOENT") throw error;
    throw corruption(`Cannot open '${path}': it is missing`, { path, offset: 0, cause: error });
  }
}

/** The name that the library gives a file; only messages use it. */
export function fileName({ kind, number }: FileName): string {
  const digits = String(number).padStart(6, "0");
  switch (kind) {
    case FileKind.log:
      return `${digits}.log`;
    case FileKind.table:
      return `${digits}.table`;
    case FileKind.manifest:
      return `MANIFEST-${digits}`;
    case FileKind.current:
      return "CURRENT";
    case FileKind.temporary:
      return `${digits}.temporary`;
    case FileKind.blob:
      return `${digits}.blob`;
    case FileKind.families:
      return "FAMILIES";
    default:
      return "LOCK";
  }
}
