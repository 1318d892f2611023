/** The files that the demonstration imports: those of a directory, up to a number and a size. */
import { type FoundFile, walk } from "../cli/directory/walk.ts";

/** The most to take. */
export interface SampleLimits {
  readonly filesMax: number;
  readonly bytesMax: number;
}

/**
 * The regular files below `root`, in the order of the walk, without those that no longer fit. The
 * same for everybody who asks while the directory stays as it is.
 */
export async function* sample(root: string, limits: SampleLimits): AsyncGenerator<FoundFile> {
  let files = 0, bytes = 0;
  for await (const entry of walk(root)) {
    if (entry.kind !== "file" || bytes + entry.bytes > limits.bytesMax) continue;
    if (++files > limits.filesMax) return;
    bytes += entry.bytes;
    yield entry;
  }
}
