/** The figures of the demonstration, as a table on standard output. */
import process from "node:process";
import { formatBytes } from "../cli/progress.ts";
import type { CheckResult } from "./check.ts";
import type { KilledImport } from "./killed_import.ts";

/** Everything that was measured. */
export interface DemoFigures {
  readonly root: string;
  readonly files: number;
  readonly bytes: number;
  readonly killed: KilledImport;
  readonly recoveryMilliseconds: number;
  readonly afterKill: CheckResult;
  readonly resumed: { files: number; bytes: number; milliseconds: number };
  /** Files that the resumed import found in the store. */
  readonly unchangedFiles: number;
  /** Files that could not be read when the import went on. */
  readonly failedFiles: number;
  /** `db.stats().write` of the resumed import. */
  readonly writing: {
    readonly writersPerGroup: number;
    readonly batches: number;
    readonly writesIn: number;
    readonly callsOut: number;
    readonly syncs: number;
  };
  readonly atTheEnd: CheckResult;
  /** Files that the store holds at the end. */
  readonly storedFiles: number;
}

/** Prints them. */
export function printReport(figures: DemoFigures): void {
  const { killed, resumed, writing, afterKill, atTheEnd } = figures;
  const seconds = (killed.milliseconds + resumed.milliseconds) / 1000;
  const syncsPerThousand = writing.syncs / Math.max(1, writing.batches) * 1000;
  const unacknowledged = figures.unchangedFiles - killed.keys.size;
  print("directory", figures.root);
  print("to import", `${count(figures.files)} files, ${formatBytes(figures.bytes)}`);
  print(
    "acknowledged before the kill",
    `${count(killed.keys.size)} (${formatBytes(killed.bytes)})`,
  );
  print("of these lost", count(afterKill.lost.length));
  print("durable without acknowledgement", count(Math.max(0, unacknowledged)));
  print("recovery", `${figures.recoveryMilliseconds.toFixed(1)} ms`);
  print("import", `${formatBytes((killed.bytes + resumed.bytes) / seconds)}/s, every put durable`);
  print(
    "after the kill",
    `${count(resumed.files)} files (${formatBytes(resumed.bytes)}), of which:`,
  );
  print("  writers per group", writing.writersPerGroup.toFixed(1));
  print("  syncs per 1,000 puts", syncsPerThousand.toFixed(1));
  print(
    "  system calls saved",
    `${count(writing.writesIn - writing.callsOut)} (${count(writing.writesIn)} writes in, ` +
      `${count(writing.callsOut)} calls out)`,
  );
  print(
    "read back and identical",
    `${count(atTheEnd.files)} files, ${formatBytes(atTheEnd.bytes)}`,
  );
  print("different", count(atTheEnd.lost.length));
  print("files in the store", count(figures.storedFiles));
  const changed = Math.max(afterKill.changed, atTheEnd.changed);
  if (changed > 0) print("changed on disk meanwhile", count(changed));
  if (figures.failedFiles > 0) print("could not be read", count(figures.failedFiles));
  for (const key of [...afterKill.lost, ...atTheEnd.lost].slice(0, 10)) print("LOST", key);
}

function print(name: string, value: string): void {
  process.stdout.write(`${name.padEnd(34)}${value}\n`);
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}
