/**
 * Breaks the engine in one place at a time, in a copy of the tree, and says which crash
 * test notices. Only mutations of TypeScript, so that the library need not be built again.
 *
 *     bun tests/crash/mutations.ts
 *
 * Environment: `VARVE_SEED` (default 1), `VARVE_CRASHES` as for the tests. Ends with 1 if a mutation goes unnoticed.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

interface Mutation {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

const MUTATIONS: readonly Mutation[] = [
  {
    name: "a new segment's name is not synced",
    file: "src/log/segment.ts",
    from: "    yield* files.sync(file);\n    yield* files.syncDirectory();\n",
    to: "    yield* files.sync(file);\n",
  },
  {
    name: "a new segment's header is not synced",
    file: "src/log/segment.ts",
    from: "    yield* files.sync(file);\n    yield* files.syncDirectory();\n",
    to: "    yield* files.syncDirectory();\n",
  },
  {
    name: "a sync group is acknowledged without its sync",
    file: "src/log/log.ts",
    from: "if (durable) flags |= JobFlag.durable;",
    to: "if (durable) flags |= 0;",
  },
  {
    name: "RWF_DSYNC although unsynced bytes lie before it in the file",
    file: "src/log/log.ts",
    from: "if (durable && current.unsynced) flags |= JobFlag.syncFile;",
    to: "",
  },
  {
    name: "older segments are not synced before a sync group",
    file: "src/log/log.ts",
    from: "    if (durable) this.#fillSyncs(job);\n",
    to: "",
  },
  {
    name: "a table enters the manifest although the log is not synced up to it",
    file: "src/store/flusher.ts",
    from: "if (memtable.firstSegment !== 0 && !this.pipeline.log.isSynced) {",
    to: "if (memtable.firstSegment < 0) {",
  },
  {
    name: "an edit of the manifest is not synced",
    file: "src/tree/manifest.ts",
    from:
      "yield* this.health.guard(writeAndSync(this.files, position.file, record, position.end));",
    to:
      "const skipped = reserveRegion(record.length);\n    skipped.u8.set(record);\n    yield* this.files.write(position.file, skipped, position.end, record.length);\n    releaseRegion(skipped.id);",
  },
  {
    name: "a frame may follow any other (no chain)",
    file: "src/log/replay.ts",
    from: "if (!isFirst && chain !== this.#chain) continue;",
    to: "if (!isFirst && chain !== chain) continue;",
  },
  {
    name: "what a failed write was is not final",
    file: "src/commit/pipeline.ts",
    from:
      "      this.health.poison(error);\n      this.#group = undefined;\n      this.#reject(group, error);\n      this.#scheduleClose();",
    to:
      "      this.#group = undefined;\n      this.#reject(group, error);\n      this.#scheduleClose();",
  },
  {
    name: "the first of a store's renames is not synced before the second",
    file: "src/tree/manifest.ts",
    from: "    yield* files.syncDirectory();\n    yield* files.rename(pointer, CURRENT);",
    to: "    yield* files.rename(pointer, CURRENT);",
  },
  {
    name: "the directory is not synced once the pointer is there",
    // Opening a new store does it twice: behind the rename, and when it settles.
    file: "src/native/files.ts",
    from: "  *syncDirectory(): Task<void> {\n",
    to:
      "  #syncs = 0;\n  *syncDirectory(): Task<void> {\n    if (++this.#syncs === 3 || this.#syncs === 4) return;\n",
  },
  {
    name: "recovery does not sync what it replayed",
    file: "src/store/recovery.ts",
    from: "for (const { file } of log.segments) yield* files.sync(file);",
    to: "",
  },
  {
    name: "recovery does not write again what a failed sync may have lost",
    file: "src/log/replay.ts",
    from: "if (writable) yield* this.#writeBack(file, region);",
    to: "",
  },
  {
    name: "recovery trusts a manifest whose sync may have failed",
    file: "src/tree/manifest.ts",
    from: "if (writable) manifest.#unsettled = bytes.subarray(0, end);",
    to: "",
  },
  {
    name: "the end that recovery found is not put on record",
    file: "src/store/recovery.ts",
    from: "logEnds: segment === 0 ? [] : [{ segment, offset }],",
    to: "logEnds: [],",
  },
  {
    name: "segments behind the log's end stay on record",
    file: "src/store/recovery.ts",
    from: "removedLogs: log.dropped.map(({ number }) => number),",
    to: "removedLogs: [],",
  },
  {
    name: "a table whose edit is in doubt is removed",
    file: "src/store/flusher.ts",
    from:
      "if (this.manifest.health.failure === undefined) yield* this.#discard(table);\n      else releaseTable(table);",
    to: "yield* this.#discard(table);",
  },
  {
    name: "a close resolves although it could not sync",
    file: "src/store/store.ts",
    from: 'throw this.health.refusal("close without loss");',
    to: "",
  },
  {
    name: "a group's last buffer is left out of the frame",
    file: "src/commit/pipeline.ts",
    from: "    runs.push(buffer);\n",
    to: "    if (runs.length === 0) runs.push(buffer);\n",
  },
];

const root = fileURLToPath(new URL("../../", import.meta.url));
const copy = mkdtempSync(join(tmpdir(), "varve-mutations-"));
process.on("exit", () => rmSync(copy, { recursive: true, force: true }));
for (
  const name of ["mod.ts", "testing.ts", "package.json", "bunfig.toml", "src", "tests", "build"]
) {
  cpSync(join(root, name), join(copy, name), { recursive: true });
}
symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));

const environment = { VARVE_SEED: "1", ...process.env, NO_COLOR: "1" };
let unnoticed = 0;
for (const { name, file, from, to } of MUTATIONS) {
  const path = join(copy, file);
  const original = readFileSync(path, "utf8");
  if (!original.includes(from)) {
    console.log(`GONE     ${name}: '${file}' has no such text any more`);
    unnoticed++;
    continue;
  }
  writeFileSync(path, original.replace(from, to));
  const { stdout, stderr } = spawnSync(
    join(root, "node_modules", ".bin", "bun"),
    ["test", "--bail=1", "tests/crash"],
    { cwd: copy, env: environment, encoding: "utf8", timeout: 300_000 },
  );
  writeFileSync(path, original);
  const failed = /^\(fail\) (.*?)( \(VARVE_SEED=\d+\))?( \[.*\])?$/m.exec(stdout + stderr)?.[1];
  if (failed === undefined) unnoticed++;
  console.log(
    `${failed === undefined ? "UNSEEN  " : "noticed "} ${name}: ${failed ?? "every test passed"}`,
  );
}
process.exit(unnoticed === 0 ? 0 : 1);
