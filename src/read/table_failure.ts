/** The error of a read that met a damaged table, or a failing disk: it names the file and, for damage, the offset. */
import type { VarveError } from "../base/errors.ts";
import { failureDetail, nativeError } from "../native/failure.ts";
import type { Files } from "../native/files.ts";
import { Code, FileKind, JobHead } from "../native/layout.gen.ts";

/** What the library says of a damaged table when it was read on this thread. */
const DETAIL = /table (\d+) is damaged at byte (\d+)/;

/** For a call on this thread. */
export function tableError(files: Files, result: number, attempt: string): VarveError {
  const match = result === Code.corruption ? DETAIL.exec(failureDetail()) : null;
  return match === null
    ? nativeError(result, attempt, { path: files.directory })
    : damaged(files, attempt, Number(match[1]), Number(match[2]));
}

/** For a job, whose record tells. The record is given back. */
export function tableJobError(files: Files, job: number, attempt: string): VarveError {
  const { jobs } = files;
  const result = jobs.result(job);
  const offset = jobs.value(job);
  const number = jobs.shared.i32[(job + JobHead.detail) >> 2];
  jobs.release(job);
  return result === Code.corruption
    ? damaged(files, attempt, number, offset)
    : nativeError(result, attempt, { path: files.directory });
}

function damaged(files: Files, attempt: string, number: number, offset: number): VarveError {
  const path = files.path({ kind: FileKind.table, number });
  return nativeError(Code.corruption, `${attempt} '${path}'`, { path, offset });
}
