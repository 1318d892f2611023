/** `inspectFile`: a file of a store, shown part by part. */
import { inspect } from "../inspection/inspect.ts";
import type { FilePart } from "../inspection/part.ts";
import { resolveStorePath } from "./location.ts";

/**
 * The parts of one file of a store, in the order in which they lie in it: a log segment, a manifest, `FAMILIES`, `CURRENT`, a
 * table or a blob segment (whose values are known from the tables and log segments in its directory). The file is only read, and may belong to a store that is open, or to none. `docs/format.md` has the formats.
 *
 * Known by its name, or under another name by its content; a file that is neither is `ERR_INVALID_ARGUMENT`. Everything is
 * checked; whatever is wrong is thrown at the end, when all that is sound has been given: `ERR_CORRUPTION` with `path` and
 * `offset`, or `ERR_UNSUPPORTED` for a later version's file. An unfinished write at the end of a log or manifest counts as damage
 * here, although a store that opens knows better. Throws `ERR_NOT_FOUND` and `ERR_IO`, too.
 *
 * @example
 * ```ts
 * import { inspectFile } from "varve";
 *
 * for await (const { kind, offset, bytes } of inspectFile("data/CURRENT")) {
 *   console.log(offset, bytes, kind); // 0 25 pointer
 * }
 * ```
 */
export async function* inspectFile(path: string | URL): AsyncGenerator<FilePart> {
  yield* inspect(resolveStorePath(path));
}
