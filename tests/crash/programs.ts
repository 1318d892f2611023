/** Short programs that between them do everything that a store does with its files. */
import type { StoreOperation, WriteDurability } from "../../testing.ts";

function write(
  changes: Readonly<Record<string, number | undefined>>,
  durability: WriteDurability = "sync",
  awaited = true,
): StoreOperation {
  const list = Object.entries(changes).map(([name, bytes]) => {
    const [family, key] = name.split("/");
    return { family, key, bytes };
  });
  return { type: "write", changes: list, durability, awaited };
}

const reopen: StoreOperation = { type: "reopen" };
const flush: StoreOperation = { type: "flush", awaited: true };

const chain: StoreOperation = {
  type: "write",
  changes: Array.from({ length: 70 }, () => ({ family: "right", key: "a", operandBytes: 2 })),
  durability: "buffered",
  awaited: true,
};

/** Chains of more than 64 operands on a value, on what was folded of them, and on nothing. */
export const FOLDED: readonly StoreOperation[] = [
  { type: "createFamily", family: "right" },
  write({ "right/a": 3 }),
  chain,
  { type: "compact", awaited: true },
  chain,
  { type: "compact", awaited: false },
  write({ "right/a": undefined }, "buffered"),
  chain,
  reopen,
  { type: "compact", awaited: true },
];

export const PROGRAMS: Readonly<Record<string, readonly StoreOperation[]>> = {
  "one put": [write({ "default/a": 1 })],
  "buffered puts and one sync": [
    write({ "default/a": 1 }, "buffered"),
    write({ "default/b": 700 }, "buffered"),
    write({ "default/a": 5000 }, "buffered"),
    { type: "sync", awaited: true },
    write({ "default/a": undefined }, "buffered"),
  ],
  "families made, written in one batch, dropped and made again": [
    { type: "createFamily", family: "left" },
    { type: "createFamily", family: "right" },
    write({ "default/a": 1, "left/a": 2, "right/a": 3 }),
    write({ "default/a": 4, "left/a": 5, "right/a": undefined }, "buffered"),
    { type: "dropFamily", family: "left" },
    { type: "createFamily", family: "left" },
    write({ "left/b": 6 }),
  ],
  "a flush, and writes behind it": [
    write({ "default/a": 1 }),
    { type: "createFamily", family: "left" },
    write({ "left/a": 1, "default/b": 2 }, "buffered"),
    flush,
    write({ "left/a": undefined, "default/b": 3 }, "buffered"),
    flush,
    write({ "left/c": 9 }),
  ],
  "log segments that follow each other": [
    write({ "default/a": 20_000 }),
    write({ "default/b": 20_000 }, "buffered"),
    write({ "default/c": 20_000 }, "buffered"),
    write({ "default/d": 20_000 }),
    write({ "default/a": 20_000 }, "buffered", false),
    write({ "default/e": 50_000 }, "buffered", false),
    write({ "default/b": 1 }),
  ],
  "buffered frames on both sides of a segment's end": [
    write({ "default/a": 20_000 }),
    write({ "default/b": 20_000 }, "buffered"),
    write({ "default/c": 15_000 }, "buffered"),
    write({ "default/d": 9_000 }, "buffered"),
    write({ "default/a": 3 }, "buffered"),
    write({ "default/b": 4 }, "buffered"),
    write({ "default/e": 5 }, "buffered"),
  ],
  "log segments that flushes let go": [
    write({ "default/a": 30_000 }),
    write({ "default/b": 30_000 }),
    flush,
    write({ "default/c": 30_000 }, "buffered", false),
    write({ "default/d": 30_000 }),
    flush,
    reopen,
    write({ "default/e": 30_000 }),
    write({ "default/a": 30_000 }, "buffered"),
    write({ "default/b": 30_000 }),
  ],
  "log segments that are written again": [
    write({ "default/a": 30_000 }),
    write({ "default/b": 30_000 }),
    flush,
    write({ "default/c": 30_000 }, "sync", false),
    write({ "default/d": 20_000 }),
    flush,
    write({ "default/e": 30_000 }),
    write({ "default/a": 25_000 }, "buffered"),
    write({ "default/b": 30_000 }),
    flush,
    write({ "default/c": 100 }),
    write({ "default/d": 30_000 }),
    write({ "default/e": 4 }, "buffered"),
  ],
  "a manifest that is begun anew, again and again": [
    write({ "default/a": 1 }),
    ...Array.from({ length: 6 }, (_, round): StoreOperation[] => [
      { type: "createFamily", family: `a family with a name that takes its room ${round}` },
      write({ [`a family with a name that takes its room ${round}/a`]: 2 }, "buffered"),
      flush,
      { type: "dropFamily", family: `a family with a name that takes its room ${round}` },
      write({ "default/b": round }),
    ]).flat(),
    reopen,
    { type: "createFamily", family: "left" },
    write({ "left/a": 1 }),
  ],
  "volatile writes between others, flushed and not": [
    write({ "default/a": 1 }, "volatile"),
    write({ "default/a": 2, "default/b": 2 }),
    { type: "createFamily", family: "left" },
    write({ "left/a": 3, "default/b": 3 }, "volatile"),
    write({ "left/b": 4 }, "buffered"),
    flush,
    write({ "default/a": 5, "left/a": undefined }, "volatile"),
    write({ "default/c": 6 }),
    write({ "default/a": undefined }, "buffered"),
    write({ "default/c": 7 }, "volatile", false),
    reopen,
    write({ "default/d": 8 }, "volatile"),
    write({ "default/d": 40_000 }, "volatile"),
    write({ "default/e": 40_000 }, "volatile"),
    write({ "default/f": 10 }),
  ],
  "closed and opened again": [
    write({ "default/a": 1 }, "buffered"),
    reopen,
    write({ "default/b": 2 }, "buffered"),
    flush,
    reopen,
    reopen,
    write({ "default/a": undefined }),
    write({ "default/c": 3 }, "buffered", false),
    reopen,
  ],
  "merges, range deletes and entries that expire": [
    { type: "createFamily", family: "right" },
    write({ "default/a": 1, "right/b": 5 }),
    {
      type: "write",
      changes: [
        { family: "default", key: "a", operandBytes: 3 },
        { family: "right", key: "b", operandBytes: 400 },
        { family: "right", key: "c", operandBytes: 1 },
      ],
      durability: "sync",
      awaited: true,
    },
    {
      type: "expire",
      change: { family: "default", key: "d", bytes: 30 },
      ttl: 10,
      durability: "buffered",
      awaited: false,
    },
    flush,
    {
      type: "write",
      changes: [
        { family: "right", from: "c", to: undefined },
        { family: "right", key: "d", operandBytes: 2 },
        { family: "default", key: "d", operandBytes: 2 },
      ],
      durability: "buffered",
      awaited: true,
    },
    { type: "advance", milliseconds: 10 },
    { type: "sync", awaited: true },
    reopen,
    flush,
    {
      type: "write",
      changes: [{ family: "default", from: "a", to: "b" }],
      durability: "sync",
      awaited: true,
    },
  ],
  "tables that are compacted": [
    ...Array.from({ length: 4 }, (_, round): StoreOperation[] => [
      write({ "default/a": 700 + round, [`default/b${round}`]: 3 }, "buffered"),
      flush,
    ]).flat(),
    { type: "createFamily", family: "left" },
    write({ "default/a": undefined, "left/a": 1 }),
    reopen,
    write({ "left/a": undefined }),
    { type: "compact", awaited: true },
    { type: "dropFamily", family: "left" },
    write({ "default/b1": 2 }),
  ],
  "compactions of merges, range deletes and entries that expire": [
    write({ "default/a": 1, "default/b": 2, "default/c": 3 }),
    {
      type: "expire",
      change: { family: "default", key: "d", bytes: 9 },
      ttl: 10,
      durability: "sync",
      awaited: true,
    },
    flush,
    {
      type: "write",
      changes: [
        { family: "default", key: "a", operandBytes: 3 },
        { family: "default", from: "b", to: "c" },
        { family: "default", key: "d", operandBytes: 4 },
      ],
      durability: "sync",
      awaited: true,
    },
    flush,
    { type: "advance", milliseconds: 10 },
    { type: "compact", awaited: true },
    write({ "default/b": 4 }, "buffered"),
    {
      type: "write",
      changes: [{ family: "default", from: "a", to: undefined }],
      durability: "buffered",
      awaited: true,
    },
    flush,
    write({ "default/c": 5 }, "volatile"),
    { type: "compact", awaited: false },
    write({ "default/d": 6 }),
  ],
  "a long chain that a JavaScript operator folds": FOLDED,
};

/** With values from 1 KiB on in blob segments: keys that stay among others that are overwritten, so that garbage is collected. */
export const COLLECTED: readonly StoreOperation[] = [0, 1, 2, 3].flatMap((round) => [
  write({
    [`default/cold ${round}`]: 40_000,
    "default/hot a": 60_000,
    "default/hot b": 60_000,
    "default/hot c": 60_000,
  }, round % 2 === 0 ? "sync" : "buffered"),
  flush,
]);

/** With values from 1 KiB on in blob segments: what no log has, and so no sync of the log covers, is flushed by itself. */
export const FLUSHED_UNLOGGED: readonly StoreOperation[] = [
  write({ "default/a": 1 }),
  flush,
  write({ "default/a": 5_000 }, "volatile"),
  flush,
  write({ "default/b": 9_000, "default/c": 2_000 }, "volatile"),
  { type: "compact", awaited: true },
];
