/** The error of a read that met a damaged table or value, or a failing disk: it names the file and, for damage, the offset. */
import type { VarveError } from "../base/errors.ts";
import { failureDetail, nativeError } from "../native/failure.ts";
import type { FileName, Files } from "../native/files.ts";
import { Code, FileKind, JobHead } from "../native/layout.gen.ts";

/** What the library says of a damaged file when it was read on this thread. */
const DETAIL = /(table|blob) (\d+) is damaged at byte (\d+)/;

/** For a call on this thread. */
export function tableError(files: Files, result: number, attempt: string): VarveError {
  const match = result === Code.corruption ? DETAIL.exec(failureDetail()) : null;
  if (match === null) return nativeError(result, attempt, { path: files.directory });
  const kind = match[1] === "blob" ? FileKind.blob : FileKind.table;
  return damaged(files, attempt, { kind, number: Number(match[2]) }, Number(match[3]));
}

/** For a job, whose record tells. The record is given back. */
export function tableJobError(files: Files, job: number, attempt: string): VarveError {
  const { jobs } = files;
  const result = jobs.result(job);
  const offset = jobs.value(job);
  const detail = jobs.shared.i32[(job + JobHead.detail) >> 2];
  jobs.release(job);
  if (result !== Code.corruption) return nativeError(result, attempt, { path: files.directory });
  const kind = detail < 0 ? FileKind.blob : FileKind.table;
  return damaged(files, attempt, { kind, number: Math.abs(detail) }, offset);
}

export function damaged(
  files: Files,
  attempt: string,
  name: FileName,
  offset: number,
): VarveError {
  const path = files.path(name);
  return nativeError(Code.corruption, `${attempt} '${path}'`, { path, offset });
}
