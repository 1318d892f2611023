/**
 * Any file of a store, part by part, whether it is in one or not: for people who want to know what is in it.
 *
 * Promises: it is only read, and by the runtime's own means, for it may lie anywhere and its store may be in use; memory is
 * bounded by the file's size; whatever the bytes are, what is sound is shown before the first damage is thrown.
 */
import { type FileHandle, open } from "node:fs/promises";
import { invalidArgument, VarveError } from "../base/errors.ts";
import { permitted } from "../native/platform.ts";
import { logParts } from "./log_parts.ts";
import { manifestParts, pointerParts } from "./manifest_parts.ts";
import { type FilePart, Findings, type ReadableFile } from "./part.ts";
import { tableParts } from "./table_parts.ts";

type Kind = "log" | "manifest" | "table" | "pointer";

const NAMES: readonly (readonly [Kind, RegExp])[] = [
  ["log", /(?:^|\/)(\d{6,16})\.log$/],
  ["table", /(?:^|\/)(\d{6,16})\.table$/],
  ["manifest", /(?:^|\/)MANIFEST-(\d{6,16})$/],
  ["manifest", /(?:^|\/)FAMILIES()$/],
  ["pointer", /(?:^|\/)CURRENT()$/],
];
/** Files by what they say of themselves: magic numbers, and where they stand. */
const HEAD_MAGICS: ReadonlyMap<string, Kind> = new Map([["VLOG", "log"], ["VMAN", "manifest"]]);
const HEAD_MAGIC_OFFSET = 4;
const FOOTER_MAGIC = "VARVETBL";
const FOOTER_BYTES = 64;

/** See `inspectFile` of the public module. */
export async function* inspect(path: string): AsyncGenerator<FilePart> {
  const handle = await openFile(path);
  try {
    const file = await readable(path, handle);
    const named = NAMES.find(([, pattern]) => pattern.test(path));
    const digits = named?.[1].exec(path)?.[1];
    const number = digits === undefined || digits === "" ? undefined : Number(digits);
    const kind = named?.[0] ?? await kindOf(file);
    const findings = new Findings(path);
    yield* partsOf(kind, file, number, findings);
    findings.conclude();
  } finally {
    await handle.close();
  }
}

function partsOf(
  kind: Kind,
  file: ReadableFile,
  number: number | undefined,
  findings: Findings,
): AsyncGenerator<FilePart> {
  switch (kind) {
    case "log":
      return logParts(file, number, findings);
    case "manifest":
      return manifestParts(file, number, findings);
    case "table":
      return tableParts(file, number, findings);
    default:
      return pointerParts(file, findings);
  }
}

async function openFile(path: string): Promise<FileHandle> {
  if (!permitted("read", path)) {
    const message = `Cannot open '${path}': Deno was started without --allow-read for it`;
    throw new VarveError("ERR_IO", message, { path });
  }
  try {
    return await open(path, "r");
  } catch (error) {
    throw systemError(error, "open", path);
  }
}

async function readable(path: string, handle: FileHandle): Promise<ReadableFile> {
  const status = await handle.stat();
  if (!status.isFile()) throw invalidArgument(`Cannot read '${path}': it is not a file`);
  return {
    path,
    bytes: status.size,
    async read(offset, bytes) {
      const into = new Uint8Array(new ArrayBuffer(bytes));
      for (let filled = 0; filled < bytes;) {
        let count: number;
        try {
          const place = offset + filled;
          ({ bytesRead: count } = await handle.read(into, filled, bytes - filled, place));
        } catch (error) {
          throw systemError(error, "read", path);
        }
        if (count === 0) {
          throw new VarveError("ERR_IO", `Cannot read '${path}': it has been cut off meanwhile`, {
            path,
            offset: offset + filled,
          });
        }
        filled += count;
      }
      return into;
    },
  };
}

async function kindOf(file: ReadableFile): Promise<Kind> {
  const head = await magicAt(file, HEAD_MAGIC_OFFSET, 4);
  const foot = await magicAt(file, file.bytes - FOOTER_BYTES, FOOTER_MAGIC.length);
  const kind = HEAD_MAGICS.get(head) ?? (foot === FOOTER_MAGIC ? "table" : undefined);
  if (kind !== undefined) return kind;
  throw invalidArgument(
    `Cannot read '${file.path}': neither its name nor its content is that of a store's file`,
  );
}

async function magicAt(file: ReadableFile, offset: number, bytes: number): Promise<string> {
  if (offset < 0 || offset + bytes > file.bytes) return "";
  return new TextDecoder("latin1").decode(await file.read(offset, bytes));
}

function systemError(error: unknown, verb: string, path: string): unknown {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") {
    return error;
  }
  const errnoName = error.code;
  const code = errnoName === "ENOENT" ? "ERR_NOT_FOUND" : "ERR_IO";
  const message = `Cannot ${verb} '${path}': ${errnoName}`;
  return new VarveError(code, message, { path, errnoName, cause: error });
}
