/**
 * YCSB's core workloads as streams of operations, drawn before the clock starts (Cooper et al., "Benchmarking Cloud Serving
 * Systems with YCSB", SoCC 2010). Each index names an entry; those from `count` on are inserts.
 */
import { randomSource } from "../harness/data_set.ts";
import { zipfianSource } from "../harness/zipfian.ts";

export const Kind = { read: 0, update: 1, insert: 2, scan: 3, readModifyWrite: 4 } as const;

const SCAN_ENTRIES_MAX = 100;

export interface Mix {
  /** Shares of the kinds in a hundred, reads being the rest. */
  readonly update?: number;
  readonly insert?: number;
  readonly scan?: number;
  readonly readModifyWrite?: number;
  /** Recent inserts are the popular ones, rather than entries all over. */
  readonly latest?: boolean;
}

export const mixes: Readonly<Record<string, Mix>> = {
  A: { update: 50 },
  B: { update: 5 },
  C: {},
  F: { readModifyWrite: 50 },
  D: { insert: 5, latest: true },
  E: { insert: 5, scan: 95 },
};

export interface Operations {
  readonly kinds: Uint8Array;
  readonly indexes: Uint32Array;
  /** Entries of a scan; for other kinds nothing. */
  readonly lengths: Uint8Array;
  /** Entries after the last of them. */
  readonly countAfter: number;
}

/** `count` entries are there; `operations` are drawn over them. */
export function drawOperations(
  mix: Mix,
  operations: number,
  count: number,
  seed: number,
): Operations {
  const random = randomSource(seed);
  const rank = zipfianSource(count, random);
  const kinds = new Uint8Array(operations);
  const indexes = new Uint32Array(operations);
  const lengths = new Uint8Array(operations);
  let entries = count;
  for (let turn = 0; turn < operations; turn++) {
    const kind = drawKind(mix, random() % 100);
    kinds[turn] = kind;
    if (kind === Kind.insert) indexes[turn] = entries++;
    else indexes[turn] = mix.latest ? entries - 1 - rank() : scatter(rank()) % count;
    if (kind === Kind.scan) lengths[turn] = 1 + random() % SCAN_ENTRIES_MAX;
  }
  return { kinds, indexes, lengths, countAfter: entries };
}

function drawKind(mix: Mix, percent: number): number {
  const { update = 0, insert = 0, scan = 0, readModifyWrite = 0 } = mix;
  if (percent < update) return Kind.update;
  if (percent < update + insert) return Kind.insert;
  if (percent < update + insert + scan) return Kind.scan;
  return percent < update + insert + scan + readModifyWrite ? Kind.readModifyWrite : Kind.read;
}

/** Popular entries lie all over the keys, not side by side (FNV-1a over the rank's bytes, as in YCSB). */
function scatter(rank: number): number {
  let hash = 0x811c9dc5;
  for (let shift = 0; shift < 32; shift += 8) {
    hash = Math.imul(hash ^ ((rank >>> shift) & 255), 0x01000193);
  }
  return hash >>> 0;
}
