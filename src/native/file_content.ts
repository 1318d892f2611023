/** Small files as a whole: read into memory, or written and synced. */
import { corruption } from "../base/errors.ts";
import type { FileName, Files, OpenFile } from "./files.ts";
import { FileFlag } from "./layout.gen.ts";
import { releaseRegion, reserveRegion } from "./region.ts";
import type { Task } from "./task.ts";

/** Writes bytes in place and syncs them. */
export function* writeAndSync(
  files: Files,
  file: OpenFile,
  bytes: Uint8Array,
  offset: number,
): Task<void> {
  const region = reserveRegion(bytes.length);
  try {
    region.u8.set(bytes);
    yield* files.write(file, region, offset, bytes.length);
    yield* files.sync(file);
  } finally {
    releaseRegion(region.id);
  }
}

/** A new, synced file with this content. */
export function* writeWhole(files: Files, name: FileName, content: Uint8Array): Task<void> {
  const file = yield* files.open(name, FileFlag.create);
  yield* writeAndSync(files, file, content, 0);
  yield* files.close(file);
}

/** A file's content; one larger than `bytesMax` is damaged. */
export function* readWhole(files: Files, name: FileName, bytesMax: number): Task<Uint8Array> {
  const file = yield* files.open(name, FileFlag.readOnly);
  const bytes = yield* files.size(file);
  if (bytes > bytesMax) {
    const path = files.path(name);
    throw corruption(`Cannot read '${path}': it has ${bytes} bytes`, { path, offset: bytesMax });
  }
  const region = reserveRegion(Math.max(bytes, 1));
  try {
    const read = yield* files.read(file, region, 0, bytes);
    return region.u8.slice(0, read);
  } finally {
    releaseRegion(region.id);
    yield* files.close(file);
  }
}
