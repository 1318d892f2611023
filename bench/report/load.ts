/** The results that are there, in the order in which workloads are spoken of. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { RESULT_FORMAT, type ResultFile, type WorkloadResult } from "../harness/result.ts";
import { workloads } from "../workloads/registry.ts";

/** A workload with the run that it comes from. */
export interface Loaded {
  file: ResultFile;
  result: WorkloadResult;
}

/** The newest result of each workload in a folder. */
export function loadResults(directory: string): Loaded[] {
  const newest = new Map<string, Loaded>();
  for (const name of readdirSync(directory).filter((one) => one.endsWith(".json")).sort()) {
    for (const loaded of parseResults(readFileSync(join(directory, name), "utf8"), name)) {
      const other = newest.get(loaded.result.id);
      const isNewer = !other || other.file.conditions.date < loaded.file.conditions.date;
      if (isNewer) newest.set(loaded.result.id, loaded);
    }
  }
  return workloads.flatMap(({ id }) => newest.get(id) ?? []);
}

function parseResults(json: string, name: string): Loaded[] {
  const file: ResultFile = JSON.parse(json);
  if (file.format !== RESULT_FORMAT) {
    throw new TypeError(
      `Cannot read ${name}: its format is "${file.format}", not ${RESULT_FORMAT}`,
    );
  }
  return file.workloads.map((result) => ({ file, result }));
}
