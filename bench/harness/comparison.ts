/** Who is held against whom: rows of one form, at one number of writers. */
import { isLowerBetter, type ResultRow, type Role, type Unit } from "./result.ts";

/** The best measured row of these roles in the form of `row`, or undefined. */
export function bestBeside(
  row: ResultRow,
  rows: readonly ResultRow[],
  roles: readonly Role[],
  unit: Unit,
): ResultRow | undefined {
  return rows
    .filter((other) =>
      other.figure !== undefined && roles.includes(other.role) &&
      other.writers === row.writers && other.variant === row.variant && other.part === row.part
    )
    .toSorted((a, b) => timesBetter(b, a, unit) - timesBetter(a, b, unit))[0];
}

/** How many times better `row` is than `other`, whichever way the unit runs. */
export function timesBetter(row: ResultRow, other: ResultRow, unit: Unit): number {
  const [own, others] = [row.figure!.median, other.figure!.median];
  return isLowerBetter(unit) ? others / own : own / others;
}

/** The repeats' range as a share of their median. */
export function spreadOf({ figure }: ResultRow): number {
  return (figure!.max - figure!.min) / figure!.median;
}
