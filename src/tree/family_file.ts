/**
 * `FAMILIES`: the column families once more, beside the manifest, for a repair to whom the manifest is lost. Nothing else reads it.
 *
 * It has the framing of a manifest, number 0, and edits that only make and drop families and give them merge
 * operators. A family is noted before the
 * manifest has it, and its end after the manifest has that: what the file does not know was never used, what it still knows may
 * be gone. The first note of a session writes the file anew, so that nothing needs to be read when a store opens.
 *
 * One note at a time: the caller sees to that.
 */
import { decodeEdit, encodeEdit, type ManifestEdit } from "../format/manifest_edit.ts";
import {
  checksumOfRecord,
  decodeManifest,
  encodeManifestHeader,
  encodeManifestRecord,
  type StoreId,
} from "../format/manifest_file.ts";
import { readWhole, writeAndSync } from "../native/file_content.ts";
import type { FileName, Files, OpenFile } from "../native/files.ts";
import { FileFlag, FileKind } from "../native/layout.gen.ts";
import type { Task } from "../native/task.ts";
import type { FamilyRegister } from "./manifest_state.ts";

const FAMILIES: FileName = { kind: FileKind.families, number: 0 };
const NUMBER = 0;
/** The file is begun anew when it is this large, and four times what the families take. */
const ROLLOVER_BYTES = 64 * 1024;
const ROLLOVER_FACTOR = 4;
/** Far more than families can be. */
const FILE_BYTES_MAX = 256 * 1024 * 1024;

/** A change of it. */
export type FamilyNote = Pick<
  ManifestEdit,
  "createdFamilies" | "droppedFamilies" | "operators" | "nextFamilyId"
>;

interface Position {
  readonly file: OpenFile;
  end: number;
  chain: number;
  /** Bytes that the families took when the file was begun. */
  readonly base: number;
}

export class FamilyFile {
  #position: Position | undefined;

  constructor(
    readonly files: Files,
    readonly storeId: StoreId,
    readonly takeFileNumber: () => number,
  ) {}

  /** Notes a change, durably. `families` is how things stand without it. */
  *note(families: FamilyRegister, change: FamilyNote): Task<void> {
    const at = this.#position;
    try {
      if (at === undefined || (at.end > ROLLOVER_BYTES && at.end > ROLLOVER_FACTOR * at.base)) {
        yield* this.#begin(changed(families, change));
      } else {
        const record = encodeManifestRecord(encodeEdit(change), at.chain);
        yield* writeAndSync(this.files, at.file, record, at.end);
        at.end += record.length;
        at.chain = checksumOfRecord(record);
      }
    } catch (error) {
      yield* this.close(); // how it stands is not known; the next note begins anew
      throw error;
    }
  }

  /** The next note writes the file anew. */
  *close(): Task<void> {
    const at = this.#position;
    this.#position = undefined;
    if (at !== undefined) yield* this.files.close(at.file);
  }

  *#begin(families: FamilyRegister): Task<void> {
    yield* this.close();
    const temporary = { kind: FileKind.temporary, number: this.takeFileNumber() };
    this.#position = yield* writeFamilies(this.files, temporary, this.storeId, families);
  }

  /** A whole file in a directory that is not in use, or not yet. `number`: of a temporary file. */
  static *write(
    files: Files,
    number: number,
    storeId: StoreId,
    families: FamilyRegister,
  ): Task<void> {
    const temporary = { kind: FileKind.temporary, number };
    yield* files.close((yield* writeFamilies(files, temporary, storeId, families)).file);
  }

  /** Throws `ERR_CORRUPTION` for a damaged one; that there is none is fine. */
  static *verify(files: Files): Task<void> {
    const found = yield* files.list();
    if (found.some(({ kind }) => kind === FileKind.families)) yield* FamilyFile.read(files);
  }

  /** What the file says, and of which store. Throws `ERR_CORRUPTION`. REQUIRES: there is one. */
  static *read(files: Files): Task<FamilyRegister & { storeId: StoreId }> {
    const path = files.path(FAMILIES);
    const content = decodeManifest(yield* readWhole(files, FAMILIES, FILE_BYTES_MAX), path);
    let register: FamilyRegister = { families: new Map(), operators: new Map(), nextFamilyId: 0 };
    for (const { offset, payload } of content.records) {
      register = changed(register, decodeEdit(payload, path, offset));
    }
    return { ...register, storeId: content.header.storeId };
  }
}

/** Written whole, synced, and named durably; it stays open. */
function* writeFamilies(
  files: Files,
  temporary: FileName,
  storeId: StoreId,
  { families, operators, nextFamilyId }: FamilyRegister,
): Task<Position> {
  const header = encodeManifestHeader(NUMBER, storeId);
  const createdFamilies = [...families].map(([id, name]) => ({ id, name }));
  const edit = encodeEdit({ createdFamilies, operators: [...operators.values()], nextFamilyId });
  const record = encodeManifestRecord(edit, checksumOfRecord(header));
  const bytes = new Uint8Array(header.length + record.length);
  bytes.set(header);
  bytes.set(record, header.length);
  const file = yield* files.open(temporary, FileFlag.create);
  try {
    yield* writeAndSync(files, file, bytes, 0);
    yield* files.rename(temporary, FAMILIES);
    yield* files.syncDirectory();
  } catch (error) {
    yield* files.close(file);
    throw error;
  }
  const base = edit.length;
  return {
    file: { ...file, ...FAMILIES },
    end: bytes.length,
    chain: checksumOfRecord(record),
    base,
  };
}

function changed(before: FamilyRegister, change: FamilyNote): FamilyRegister {
  const families = new Map(before.families);
  const operators = new Map(before.operators);
  for (const { id, name } of change.createdFamilies ?? []) families.set(id, name);
  for (const operator of change.operators ?? []) operators.set(operator.family, operator);
  for (const id of change.droppedFamilies ?? []) {
    families.delete(id);
    operators.delete(id);
  }
  const nextFamilyId = Math.max(before.nextFamilyId, change.nextFamilyId ?? 0);
  return { families, operators, nextFamilyId };
}
