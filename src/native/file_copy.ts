/**
 * A file of one directory in another one: by a second name, or byte by byte in bounded steps. A copy is synced, its name is
 * not. Used by checkpoints and repairs.
 */
import { VarveError } from "../base/errors.ts";
import type { FileName, Files, OpenFile } from "./files.ts";
import { FileFlag } from "./layout.gen.ts";
import { releaseRegion, reserveRegion } from "./region.ts";
import type { Task } from "./task.ts";

const COPY_BYTES = 1 << 20;
/** File systems without hard links, another volume, or too many links of one file. */
const NO_LINK = new Set(["EXDEV", "EPERM", "EOPNOTSUPP", "ENOTSUP", "EMLINK", "ENOSYS"]);

/** Gives a file its name in another directory too. REQUIRES: it is never written to again. */
export function* linkOrCopy(from: Files, to: Files, name: FileName): Task<void> {
  try {
    yield* from.link(name, to);
  } catch (error) {
    if (!(error instanceof VarveError) || !NO_LINK.has(error.errnoName ?? "")) throw error;
    yield* copyFile(from, to, name, Infinity);
  }
}

/** Copies the first `bytesMax` bytes of a file, under another name if there is one; zeros that take no space stand for the rest. */
export function* copyFile(
  from: Files,
  to: Files,
  name: FileName,
  bytesMax: number,
  newName = name,
): Task<void> {
  const source = yield* from.open(name, FileFlag.readOnly);
  try {
    const copy = yield* to.open(newName, FileFlag.create);
    try {
      const bytes = yield* from.size(source);
      yield* copyBytes(from, source, to, copy, Math.min(bytes, bytesMax));
      yield* to.truncate(copy, bytes);
      yield* to.sync(copy);
    } finally {
      yield* to.close(copy);
    }
  } finally {
    yield* from.close(source);
  }
}

function* copyBytes(
  from: Files,
  source: OpenFile,
  to: Files,
  copy: OpenFile,
  bytes: number,
): Task<void> {
  const region = reserveRegion(COPY_BYTES);
  try {
    for (let offset = 0; offset < bytes; offset += COPY_BYTES) {
      const piece = Math.min(COPY_BYTES, bytes - offset);
      const read = yield* from.read(source, region, offset, piece);
      yield* to.write(copy, region, offset, read);
      if (read < piece) return;
    }
  } finally {
    releaseRegion(region.id);
  }
}
