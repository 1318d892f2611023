/**
 * The manifest on disk: the one place that says which files are the store. An edit is written, synced and only then
 * applied; edits queue. A failed write or sync is final and poisons the store; space is reserved first, so that a
 * full disk is found before anything is written.
 */
import { corruption } from "../base/errors.ts";
import { decodeEdit, encodeEdit, type ManifestEdit } from "../format/manifest_edit.ts";
import {
  checksumOfRecord,
  decodeManifest,
  decodePointer,
  encodeManifestHeader,
  encodeManifestRecord,
  encodePointer,
  type StoreId,
} from "../format/manifest_file.ts";
import type { Health } from "../log/health.ts";
import { readWhole, writeAndSync, writeWhole } from "../native/file_content.ts";
import { type FileName, type Files, type OpenFile, required } from "../native/files.ts";
import { FileFlag, FileKind } from "../native/layout.gen.ts";
import type { Task } from "../native/task.ts";
import { TaskLock } from "../native/task_lock.ts";
import { ManifestState } from "./manifest_state.ts";

export const CURRENT: FileName = { kind: FileKind.current, number: 0 };

/** Space is reserved in steps of this. */
const RESERVE_BYTES = 64 * 1024;
/** A manifest is begun anew when it is this large, and so many times what its state takes. Only tests make it sooner. */
export const ROLLOVER = { bytes: 1 << 20, factor: 4 };
const POINTER_BYTES_MAX = 64;
/** Larger than any manifest that a rollover lets grow; a file beyond it is not read into memory. */
const MANIFEST_BYTES_MAX = 1 << 30;

interface Position {
  file: OpenFile;
  end: number;
  chain: number;
  reserved: number;
  /** Bytes of the first record: what the state took when the file was begun. */
  base: number;
}

export class Manifest {
  readonly #lock = new TaskLock();
  #amendment: ManifestEdit = {};
  #time = (): number | undefined => undefined;
  #changed = false;
  /** What was read, until it has been written again: a sync that failed before may have lost some of it. */
  #unsettled: Uint8Array | undefined;

  private constructor(
    readonly state: ManifestState,
    readonly storeId: StoreId,
    readonly files: Files,
    readonly health: Health,
    private position: Position,
  ) {}

  /**
   * Makes the manifest and pointer of a new store. Both are whole and synced under temporary names before either
   * gets its own, so a store without a pointer is either unfinished (a temporary is there) or damaged.
   */
  static *create(files: Files, health: Health, storeId: StoreId): Task<Manifest> {
    const state = new ManifestState();
    state.apply(
      { createdFamilies: [{ id: 0, name: "default" }], nextFamilyId: 1, nextFileNumber: 4 },
      files.directory,
      0,
    );
    const content: FileName = { kind: FileKind.temporary, number: 2 };
    const pointer: FileName = { kind: FileKind.temporary, number: 3 };
    const name: FileName = { kind: FileKind.manifest, number: 1 };
    const position = yield* begin(files, content, name.number, storeId, state);
    yield* writeWhole(files, pointer, encodePointer(name.number));
    yield* files.syncDirectory();
    yield* files.rename(content, name);
    // Renames may reach the disk in any order: the pointer's comes when what it names is there for good.
    yield* files.syncDirectory();
    yield* files.rename(pointer, CURRENT);
    yield* files.syncDirectory();
    position.file = { ...position.file, ...name };
    return new Manifest(state, storeId, files, health, position);
  }

  /** Reads the manifest that the pointer names. `writable`: later edits will be appended. */
  static *open(files: Files, health: Health, writable: boolean): Task<Manifest> {
    const pointer = yield* readWhole(files, CURRENT, POINTER_BYTES_MAX);
    const number = decodePointer(pointer, files.path(CURRENT));
    const name: FileName = { kind: FileKind.manifest, number };
    const path = files.path(name);
    const bytes = yield* required(path, readWhole(files, name, MANIFEST_BYTES_MAX));
    const content = decodeManifest(bytes, path);
    if (content.header.number !== number) {
      throw corruption(`Cannot read '${path}': it is manifest ${content.header.number}`, {
        path,
        offset: 16,
      });
    }
    const state = new ManifestState();
    for (const { offset, payload } of content.records) {
      state.apply(decodeEdit(payload, path, offset), path, offset);
    }
    const file = yield* files.open(name, writable ? 0 : FileFlag.readOnly);
    const { end, chain, torn } = content;
    // Behind a torn append nothing is appended: the next edit begins a new manifest.
    const base = torn ? 0 : content.records[0].payload.length;
    const position = { file, end, chain, reserved: torn ? 0 : end, base };
    const manifest = new Manifest(state, content.header.storeId, files, health, position);
    if (writable) manifest.#unsettled = bytes.subarray(0, end);
    return manifest;
  }

  /**
   * Writes a manifest that is nothing but this state, which gives it its number, and a pointer to it under a temporary name;
   * all synced. It counts when `point` has given the pointer its name.
   */
  static *write(files: Files, storeId: StoreId, state: ManifestState): Task<FileName> {
    const { position, pointer } = yield* draft(files, storeId, state);
    yield* files.close(position.file);
    return pointer;
  }

  /** Makes the manifest count that a pointer names, in place of the one before. */
  static *point(files: Files, pointer: FileName): Task<void> {
    yield* files.rename(pointer, CURRENT);
    yield* files.syncDirectory();
  }

  /** Reads it from the disk again and checks every checksum, while no edit is written. */
  verify(): Task<void> {
    return this.#lock.run(() => this.#verify());
  }

  *#verify(): Task<void> {
    const read = yield* Manifest.open(this.files, this.health, false);
    yield* read.close();
  }

  /** What was read is on stable storage from now on, whatever became of the sync of whoever wrote it. */
  settle(): Task<void> {
    return this.#lock.run(() => this.#settle());
  }

  /**
   * Makes an edit durable and applies it. It is made when its turn has come, from the state as it is then; `undefined`: none.
   * A full disk is `ERR_NO_SPACE`, and nothing happened.
   */
  append(make: () => ManifestEdit | undefined): Task<void> {
    return this.#lock.run(() => this.#append(make));
  }

  /** What recovery found goes out with the first edit. */
  amendFirstEdit(edit: ManifestEdit): void {
    this.#amendment = edit;
  }

  /** Every edit from now on says the time, where there is one to be said. */
  stampEdits(time: () => number | undefined): void {
    this.#time = time;
  }

  /** The number of the file that is being appended to. */
  get number(): number {
    return this.position.file.number;
  }

  /** Whether an edit was written since this manifest was opened. */
  get isChanged(): boolean {
    return this.#changed;
  }

  *close(): Task<void> {
    yield* this.files.close(this.position.file);
  }

  takeFileNumber(): number {
    return this.takeFileNumbers(1);
  }

  /** The first of `count` numbers that follow one another. */
  takeFileNumbers(count: number): number {
    const first = this.state.nextFileNumber;
    this.state.nextFileNumber = first + count;
    return first;
  }

  *#settle(): Task<void> {
    const { file } = this.position;
    if (this.#unsettled === undefined) return;
    yield* this.health.guard(writeAndSync(this.files, file, this.#unsettled, 0));
    this.#unsettled = undefined;
  }

  *#append(make: () => ManifestEdit | undefined): Task<void> {
    this.health.requireSound("change the manifest");
    const edit = make();
    if (edit === undefined) return;
    yield* this.#settle();
    const at = this.position;
    const torn = at.reserved === 0;
    if (torn || (at.end > ROLLOVER.bytes && at.end > ROLLOVER.factor * at.base)) {
      yield* this.#rollOver();
    }
    const position = this.position;
    const full: ManifestEdit = {
      ...edit,
      removedLogs: [...this.#amendment.removedLogs ?? [], ...edit.removedLogs ?? []],
      logEnds: [...this.#amendment.logEnds ?? [], ...edit.logEnds ?? []],
      nextFileNumber: this.state.nextFileNumber,
      time: this.#time(),
    };
    const record = encodeManifestRecord(encodeEdit(full), position.chain);
    const end = position.end + record.length;
    if (end > position.reserved) {
      const bytes = Math.ceil(record.length / RESERVE_BYTES) * RESERVE_BYTES;
      yield* this.files.allocate(position.file, position.end, bytes, false);
      position.reserved = position.end + bytes;
    }
    yield* this.health.guard(writeAndSync(this.files, position.file, record, position.end));
    this.#amendment = {};
    this.#changed = true;
    position.end = end;
    position.chain = checksumOfRecord(record);
    this.state.apply(full, this.files.path(position.file), position.end);
  }

  /** Begins a new manifest with the present state, and points to it. */
  *#rollOver(): Task<void> {
    const old = this.position.file;
    const { position, pointer } = yield* draft(this.files, this.storeId, this.state);
    // From the rename on, which manifest a crash leaves is open: a failure is final.
    yield* this.health.guard(Manifest.point(this.files, pointer));
    this.position = position;
    yield* this.files.remove(old);
  }
}

/** A new manifest with this state, and a pointer to it under a temporary name: both synced, names too. */
function* draft(
  files: Files,
  storeId: StoreId,
  state: ManifestState,
): Task<{ position: Position; pointer: FileName }> {
  const name: FileName = { kind: FileKind.manifest, number: state.nextFileNumber++ };
  const pointer: FileName = { kind: FileKind.temporary, number: state.nextFileNumber++ };
  const position = yield* begin(files, name, name.number, storeId, state);
  yield* writeWhole(files, pointer, encodePointer(name.number));
  yield* files.syncDirectory();
  return { position, pointer };
}

/** A new manifest file that holds one record: the state. Synced; its name is not. */
function* begin(
  files: Files,
  name: FileName,
  number: number,
  storeId: StoreId,
  state: ManifestState,
): Task<Position> {
  const header = encodeManifestHeader(number, storeId);
  const snapshot = encodeEdit(state.snapshot());
  const record = encodeManifestRecord(snapshot, checksumOfRecord(header));
  const bytes = new Uint8Array(header.length + record.length);
  bytes.set(header);
  bytes.set(record, header.length);
  const file = yield* files.open(name, FileFlag.create);
  const reserved = Math.ceil(bytes.length / RESERVE_BYTES) * RESERVE_BYTES;
  yield* files.allocate(file, 0, reserved, false);
  yield* writeAndSync(files, file, bytes, 0);
  const chain = checksumOfRecord(record);
  return { file, end: bytes.length, chain, reserved, base: snapshot.length };
}
