import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { temporaryDirectory, test } from "../harness.ts";
import { collect, ignoreClosedPipe, runVarve, startVarve, varve } from "./command.ts";
import { manyLines } from "./data.ts";

/** By its pid: after `child.kill(signal)` Deno reports that signal, whatever the exit code was. */
function interrupt(child: ChildProcess): void {
  assert.ok(child.pid !== undefined);
  process.kill(child.pid, "SIGINT");
}

/** A store whose export fills every pipe between two processes. */
async function largeStore(): Promise<string> {
  const store = temporaryDirectory();
  assert.equal(
    (await runVarve(["import", store, "--durability", "buffered"], manyLines())).code,
    0,
  );
  return store;
}

for (const command of ["scan", "export"]) {
  test(`${command}: a reader that goes away ends it quietly`, async () => {
    const child = startVarve(command, await largeStore());
    const ended = once(child, "exit");
    const stderr = collect(child.stderr);
    await once(child.stdout, "data");
    child.stdout.destroy();
    const [code, signal] = await ended;
    assert.deepEqual([code, signal, String(await stderr)], [0, null, ""]);
  });

  test(`${command}: SIGINT ends it with 130 while its reader is slow`, async () => {
    if (process.platform === "win32") return; // has no such signal
    const store = await largeStore();
    const child = startVarve(command, store);
    const ended = once(child, "exit");
    const stderr = collect(child.stderr);
    await once(child.stdout, "data");
    child.stdout.pause();
    interrupt(child);
    const [code, signal] = await ended;
    child.stdout.destroy();
    assert.deepEqual([code, signal, String(await stderr)], [130, null, ""]);
    assert.equal(await varve("verify", store), "ok\n");
  });
}

test("import: SIGINT closes the store, exits with 130, and leaves a store that opens", async () => {
  if (process.platform === "win32") return; // has no such signal
  const store = temporaryDirectory();
  const child = startVarve("import", store);
  const ended = once(child, "exit");
  const stderr = collect(child.stderr);
  child.stdin.on("error", ignoreClosedPipe);
  // More than a pipe holds: when all of it is taken, the import is under way. No end follows.
  await new Promise<void>((resolve) => child.stdin.write(manyLines(), () => resolve()));
  interrupt(child);
  const [code, signal] = await ended;
  child.stdin.destroy();
  assert.deepEqual([code, signal], [130, null]);
  assert.match(String(await stderr), /^stopped after \d+ entries\n$/);
  assert.equal(await varve("verify", store), "ok\n");
  assert.equal((await varve("get", store, "k0")).length, 64 * 1024);
});
