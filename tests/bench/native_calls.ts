/** Counts calls into the library while some work runs: what crosses the boundary, by name. */
import type { NativeCalls } from "../../src/native/calls.ts";
import { native } from "../../src/native/library.ts";

export type CallCounts = ReadonlyMap<string, number>;

/** The work is synchronous: nothing else of the process can call meanwhile. */
export function countCalls(work: () => void): CallCounts {
  const library = native() as { call: NativeCalls };
  const { call } = library;
  const counts = new Map<string, number>();
  const counted = Object.fromEntries(
    Object.keys(call).map((name) => {
      const original = call[name as keyof NativeCalls] as (...parameters: unknown[]) => number;
      return [name, (...parameters: unknown[]) => {
        counts.set(name, (counts.get(name) ?? 0) + 1);
        return original(...parameters);
      }];
    }),
  );
  library.call = counted as unknown as NativeCalls;
  try {
    work();
  } finally {
    library.call = call;
  }
  return counts;
}

export function total(counts: CallCounts): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}
