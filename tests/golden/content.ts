/** What the golden store holds, and how it was made: every kind of entry, in the log, in tables and in a blob segment. */
import { type ColumnFamily, Varve } from "../../mod.ts";

const TEXT = { keyEncoding: "utf8", valueEncoding: "utf8" } as const;
export const DEFAULT_OPTIONS = { ...TEXT, mergeOperator: "append" } as const;
export const COUNTER_OPTIONS = { keyEncoding: "utf8", mergeOperator: "add" } as const;
/** Far enough for whoever runs the test. */
const CENTURIES = 1000 * 365 * 24 * 3600 * 1000;

type Rows = readonly (readonly [string, string])[];
type Reader = Pick<ColumnFamily<string, string, string, string>, "entries">;

const word = (index: number) => `word ${String(index).padStart(4, "0")}`;
const large = (letter: string) => letter.repeat(9_000);

export async function makeGolden(path: string): Promise<void> {
  const db = await Varve.open(path, {
    ...DEFAULT_OPTIONS,
    walSegmentSize: 64 * 1024,
    blobThreshold: 8_192,
    blockSize: 1024,
  });
  const counters = await db.columnFamily("counters", COUNTER_OPTIONS);
  const packed = await db.columnFamily("packed ✓", {
    ...TEXT,
    compression: { type: "zstd", level: 3 },
    blockSize: 1024,
  });
  for (let index = 0; index < 200; index++) {
    await db.put(word(index), `value ${index}`, { durability: "buffered" });
    await packed.put(word(index), "the same again and again", { durability: "buffered" });
  }
  await db.put("large in a table", large("t"));
  await db.merge("merged", "one,");
  await db.merge("merged", "two,");
  await counters.merge("seen", 40n);
  await db.deleteRange({ gte: word(100), lt: word(150) });
  await db.delete(word(0));
  await db.put("expires late", "there", { ttl: CENTURIES });
  await db.flush();
  await packed.compact();
  // A table above, whose range tombstone hides what lies below.
  await db.deleteRange({ gte: word(10), lt: word(90) });
  await counters.merge("seen", 1n);
  await db.flush();
  // And what only the log has.
  await db.put("large in the log", large("l"));
  await db.merge("merged", "three");
  await counters.merge("seen", 1n);
  await packed.delete(word(7));
  await db.put("\u{1f600}", "", { ttl: CENTURIES });
  const dropped = await db.columnFamily("dropped");
  await dropped.put("gone", "gone");
  await db.dropColumnFamily("dropped");
  await db.close();
}

const range = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => from + index);

export const EXPECTED: ReadonlyMap<string, Rows> = new Map([
  ["default", [
    ["expires late", "there"],
    ["large in a table", large("t")],
    ["large in the log", large("l")],
    ["merged", "one,two,three"],
    ...[...range(1, 10), ...range(90, 100), ...range(150, 200)].map((index) =>
      [word(index), `value ${index}`] as const
    ),
    ["\u{1f600}", ""],
  ]],
  ["packed ✓", [
    ...range(0, 200).filter((index) => index !== 7)
      .map((index) => [word(index), "the same again and again"] as const),
  ]],
]);

export function rowsOf(family: Reader): Rows {
  return [...family.entries()];
}
