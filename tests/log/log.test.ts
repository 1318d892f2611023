/** The log's choice of segments, without a pipeline around it. */
import assert from "node:assert/strict";
import { Health } from "../../src/log/health.ts";
import { Log } from "../../src/log/log.ts";
import { Files } from "../../src/native/files.ts";
import { Jobs } from "../../src/native/jobs.ts";
import { FileKind } from "../../src/native/layout.gen.ts";
import { closeDirectory, openDirectory } from "../../src/native/store_handle.ts";
import { runTaskSync, type Task } from "../../src/native/task.ts";
import { temporaryDirectory, test } from "../harness.ts";

// A segment made ahead was too small for the next frame, and the edit that should have taken it back failed. It was
// forgotten, stayed on record, empty, and would have ended the log at the next recovery, in front of all later segments.
test("a failed edit leaves the segment that was made ahead in its place, and nothing behind", () => {
  const path = temporaryDirectory();
  const { handle } = openDirectory(0, path, true, false, 1);
  const jobs = new Jobs(handle, false);
  const files = new Files(jobs, path);
  const end = { position: { segment: 0, offset: 0 }, chain: 0 };
  const options = { segmentBytes: 1 << 26, direct: false };
  const health = new Health(jobs.shared, assert.fail);
  const log = new Log(jobs, files, health, { low: 1, high: 2 }, options, end, []);
  const record = function* (): Task<void> {};
  const failing = (): Task<void> => {
    throw new Error("no space for the edit");
  };
  runTaskSync(jobs, log.addSegment(4, 0, false, record));
  assert.ok(!log.makeRoom(1 << 20), "the first segment is too small for this");
  assert.throws(() => runTaskSync(jobs, log.addSegment(5, 1 << 20, false, failing)), /no space/);
  const logs = runTaskSync(jobs, files.list()).filter(({ kind }) => kind === FileKind.log);
  assert.deepEqual(logs.map(({ number }) => number), [4]);
  assert.ok(log.makeRoom(0));
  assert.equal(log.segmentNumber, 4);
  for (const { file } of log.all()) runTaskSync(jobs, files.close(file));
  jobs.end();
  closeDirectory(handle);
});
