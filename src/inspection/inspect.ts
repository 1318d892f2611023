/**
 * Any file of a store, part by part, whether it is in one or not: for people who want to know what is in it.
 *
 * Promises: it is only read, and by the runtime's own means, for it may lie anywhere and its store may be in use; memory is
 * bounded by the file's size; whatever the bytes are, what is sound is shown before the first damage is thrown.
 */
import { type FileHandle, open, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { invalidArgument, VarveError } from "../base/errors.ts";
import type { ValueAddress } from "../format/blob_address.ts";
import { permitted } from "../native/platform.ts";
import { blobParts } from "./blob_parts.ts";
import { logParts } from "./log_parts.ts";
import { manifestParts, pointerParts } from "./manifest_parts.ts";
import { type FilePart, Findings, type ReadableFile } from "./part.ts";
import { tableParts } from "./table_parts.ts";

type Kind = "log" | "manifest" | "table" | "pointer" | "blob";

const NAMES: readonly (readonly [Kind, RegExp])[] = [
  ["log", /(?:^|\/)(\d{6,16})\.log$/],
  ["table", /(?:^|\/)(\d{6,16})\.table$/],
  ["blob", /(?:^|\/)(\d{6,16})\.blob$/],
  ["manifest", /(?:^|\/)MANIFEST-(\d{6,16})$/],
  ["manifest", /(?:^|\/)FAMILIES()$/],
  ["pointer", /(?:^|\/)CURRENT()$/],
];
/** Files by what they say of themselves: magic numbers, and where they stand. */
const HEAD_MAGICS: ReadonlyMap<string, Kind> = new Map([["VLOG", "log"], ["VMAN", "manifest"], [
  "VBLB",
  "blob",
]]);
const HEAD_MAGIC_OFFSET = 4;
const FOOTER_MAGIC = "VARVETBL";
const FOOTER_BYTES = 64;

/** See `inspectFile` of the public module. */
export async function* inspect(path: string): AsyncGenerator<FilePart> {
  const findings = new Findings(path);
  yield* partsOfFile(path, findings);
  findings.conclude();
}

async function* partsOfFile(path: string, findings: Findings): AsyncGenerator<FilePart> {
  const handle = await openFile(path);
  try {
    const file = await readable(path, handle);
    const named = NAMES.find(([, pattern]) => pattern.test(path));
    const digits = named?.[1].exec(path)?.[1];
    const number = digits === undefined || digits === "" ? undefined : Number(digits);
    yield* partsOf(named?.[0] ?? await kindOf(file), file, number, findings);
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
    case "blob":
      return blobParts(file, number, (of) => addressesBeside(file.path, of), findings);
    default:
      return pointerParts(file, findings);
  }
}

/** Addresses in a blob segment, from what is sound in the tables and log segments of its directory. */
async function addressesBeside(path: string, number: number): Promise<ValueAddress[]> {
  const directory = dirname(path);
  const addresses: ValueAddress[] = [];
  for (const name of await readdir(directory)) {
    if (!/^\d{6,16}\.(?:log|table)$/.test(name)) continue;
    const other = join(directory, name);
    for await (const { kind, fields } of partsOfFile(other, new Findings(other))) {
      if (kind !== "entry" || fields.segment !== number) continue;
      addresses.push({
        number,
        offset: Number(fields.segmentOffset),
        bytes: Number(fields.valueBytes),
        checksum: Number(fields.valueChecksum),
      });
    }
  }
  return addresses;
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
