/**
 * Small stores as bytes, and what may be read of them: one that was closed, and one whose process was killed. Their files are
 * damaged, put on a fresh disk, and looked at.
 */
import assert from "node:assert/strict";
import { Varve, VarveError } from "../../mod.ts";
import { SimulatedDisk, type StoreOperation, type WriteDurability } from "../../testing.ts";
import { Driver, PATH, stateOf } from "../crash/driver.ts";
import { isSame, show, type State } from "../crash/history.ts";
import { SMALL } from "../crash/support.ts";
import { JOINING } from "../entries.ts";

/** File name → content. */
export type Files = ReadonlyMap<string, Uint8Array>;

export interface Specimen {
  readonly name: string;
  readonly files: Files;
  /** Every state that an undamaged reader may find; the last one is that of the undamaged store. */
  readonly states: readonly State[];
}

/** Values from here on lie in a blob segment: one that tables name, one that the log does, one behind the last sync. */
const BLOB_THRESHOLD = 1024;
/** Longer than any look at a few kilobytes may take. */
const LOOK_MILLISECONDS_MAX = 5_000;

function put(
  family: string,
  key: string,
  bytes: number,
  durability: WriteDurability = "sync",
): StoreOperation {
  return { type: "write", changes: [{ family, key, bytes }], durability, awaited: true };
}

/** Tables of two levels with range tombstones, operands and expiring entries; a log of two segments; a manifest begun anew. */
const TREE: readonly StoreOperation[] = [
  { type: "createFamily", family: "left" },
  put("default", "a", 300),
  put("default", "e", 1_500),
  put("left", "e", 1_200),
  put("left", "a", 40),
  { type: "flush", awaited: true },
  put("default", "b", 30),
  { type: "compact", awaited: true },
  {
    type: "write",
    changes: [
      { family: "default", from: "b", to: "c" },
      { family: "default", key: "a", operandBytes: 20 },
      { family: "left", key: "d", operandBytes: 7 },
    ],
    durability: "sync",
    awaited: true,
  },
  {
    type: "expire",
    change: { family: "default", key: "e", bytes: 9 },
    ttl: 50,
    durability: "sync",
    awaited: true,
  },
  { type: "flush", awaited: true },
];

const LOG: readonly StoreOperation[] = [
  put("default", "c", 100),
  put("left", "b", 2_000),
  {
    type: "write",
    changes: [
      { family: "left", key: "a", bytes: undefined },
      { family: "default", key: "d", bytes: 33 },
      { family: "left", from: "c", to: undefined },
    ],
    durability: "buffered",
    awaited: true,
  },
  put("default", "a", 5, "sync"),
];

/** Behind the last sync: these may go, the last one first. */
const TAIL: readonly StoreOperation[] = [
  put("default", "b", 12, "buffered"),
  put("left", "e", 5_000, "buffered"),
  put("default", "c", 3, "buffered"),
];

function filesOf(disk: SimulatedDisk): Files {
  return new Map(
    disk.files(PATH).filter(({ name }) => name !== "LOCK")
      .map(({ name }) => [name, disk.readFile(`${PATH}/${name}`).slice()]),
  );
}

/** The disk's seed gives the store its number. */
export async function closedStore(seed = 1): Promise<Specimen> {
  using disk = new SimulatedDisk({ seed });
  const driver = new Driver(disk, BLOB_THRESHOLD);
  await driver.open();
  await driver.run([...TREE, ...LOG]);
  const state = driver.state();
  await driver.close();
  return { name: "closed", files: filesOf(disk), states: [state] };
}

export async function killedStore(): Promise<Specimen> {
  using disk = new SimulatedDisk({ seed: 1 });
  const driver = new Driver(disk, BLOB_THRESHOLD);
  await driver.open();
  await driver.run([...TREE, ...LOG]);
  const states = [driver.state()];
  for (const operation of TAIL) {
    await driver.run([operation]);
    states.push(driver.state());
  }
  const files = filesOf(disk);
  disk.kill();
  return { name: "killed", files, states };
}

export function diskWith(files: Files): SimulatedDisk {
  const disk = new SimulatedDisk({ seed: 1 });
  for (const [name, content] of files) disk.writeFile(`${PATH}/${name}`, content);
  return disk;
}

export function openOn(disk: SimulatedDisk): Promise<Varve> {
  return Varve.open(PATH, {
    ...SMALL,
    disk,
    mergeOperator: JOINING.native,
    createIfMissing: false,
  });
}

/** What a look at a store found: `"intact"`, or the code of the first error. */
export type Found = "intact" | VarveError["code"];

/**
 * Opens a store of these files, reads and checks everything in it. Whatever it holds, an error has a code, and it does not take
 * long; with `states`, what is read is of one of them, and before an error each value is.
 */
export async function look(files: Files, states?: readonly State[]): Promise<Found> {
  using disk = diskWith(files);
  const started = performance.now();
  let found: Found = "intact";
  try {
    await using db = await openOn(disk);
    found = await read(db, states);
  } catch (error) {
    found = codeOf(error);
  }
  const milliseconds = performance.now() - started;
  assert.ok(milliseconds < LOOK_MILLISECONDS_MAX, `it took ${milliseconds} ms`);
  return found;
}

async function read(db: Varve, states: readonly State[] | undefined): Promise<Found> {
  let found: Found = "intact";
  if (states !== undefined) found = await readKeys(db, states);
  try {
    const state = stateOf(db);
    if (states !== undefined && !states.some((allowed) => isSame(allowed, state))) {
      throw new Error(`${show(state)} instead of ${states.map(show).join(" or ")}`);
    }
    await db.verify();
  } catch (error) {
    found = codeOf(error);
  }
  return found;
}

/** Key by key: where one cannot be read, the next one may be. */
async function readKeys(db: Varve, states: readonly State[]): Promise<Found> {
  let found: Found = "intact";
  const text = new TextDecoder();
  for (const name of db.columnFamilies()) {
    const family = await db.columnFamily(name);
    for (const key of ["a", "b", "c", "d", "e"]) {
      let value: string | undefined;
      try {
        const bytes = await family.get(key);
        value = bytes === undefined ? undefined : text.decode(bytes);
      } catch (error) {
        found = codeOf(error);
        continue;
      }
      const allowed = states.map((state) => state.get(name)?.get(key));
      if (!allowed.includes(value)) {
        throw new Error(`${name}/${key} is ${value}, and would be ${allowed.join(" or ")}`);
      }
    }
  }
  return found;
}

function codeOf(error: unknown): VarveError["code"] {
  if (!(error instanceof VarveError)) throw error;
  return error.code;
}

/** The files with one of them changed. */
export function withFile(files: Files, name: string, content: Uint8Array | undefined): Files {
  const changed = new Map(files);
  if (content === undefined) changed.delete(name);
  else changed.set(name, content);
  return changed;
}
