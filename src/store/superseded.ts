/**
 * Which of the tables that a repair finds count, where a compaction's inputs and its outputs lie side by side: both at once would
 * count merge operands twice, and inputs of which some are gone may bring back what others of them had deleted.
 *
 * A compaction was installed if one of its inputs is gone, or one of its outputs has been compacted again: then its outputs count.
 * Otherwise they count if they are all there and sound; else the inputs do, which are all there.
 */
import type { TableOrigin } from "../tree/tables.ts";

/** A table that can be read. */
export interface SoundTable {
  readonly number: number;
  readonly origin: TableOrigin | undefined;
}

interface CompactionFound {
  readonly inputs: readonly number[];
  /** Numbers of the outputs that are sound. */
  readonly outputs: number[];
  /** 0: not found. */
  lastOutput: number;
}

/** Numbers of the sound tables that do not count. `present`: of all table files that there are, damaged ones too. */
export function supersededTables(
  sound: readonly SoundTable[],
  present: ReadonlySet<number>,
): Set<number> {
  const compactions = compactionsOf(sound);
  const consumed = new Set<number>();
  for (const { inputs } of compactions.values()) for (const number of inputs) consumed.add(number);
  const superseded = new Set<number>();
  for (const [firstOutput, found] of compactions) {
    const isInstalled = found.inputs.some((number) => !present.has(number)) ||
      found.outputs.some((number) => consumed.has(number));
    const counts = isInstalled || isComplete(firstOutput, found);
    for (const number of counts ? found.inputs : found.outputs) superseded.add(number);
  }
  return superseded;
}

function compactionsOf(sound: readonly SoundTable[]): Map<number, CompactionFound> {
  const compactions = new Map<number, CompactionFound>();
  for (const { number, origin } of sound) {
    if (origin === undefined) continue;
    const { firstOutput, inputs, isLastOutput } = origin;
    const found = compactions.get(firstOutput) ?? { inputs, outputs: [], lastOutput: 0 };
    compactions.set(firstOutput, found);
    found.outputs.push(number);
    if (isLastOutput) found.lastOutput = number;
  }
  return compactions;
}

function isComplete(firstOutput: number, { outputs, lastOutput }: CompactionFound): boolean {
  return lastOutput > 0 && outputs.length === lastOutput - firstOutput + 1;
}
