import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { findFile } from "../../src/cli/directory/walk.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { runVarve, varve } from "./command.ts";

const FILES: Record<string, Uint8Array> = {
  "empty": new Uint8Array(0),
  "line\nfeed": new TextEncoder().encode("1"),
  "ünïcode/dir with spaces/🪨": Uint8Array.from({ length: 200_000 }, (_, i) => i * 31),
  "a/b/c/d/-rf": Uint8Array.of(0xff, 0xfe, 0x00),
  "..hidden/...": Uint8Array.of(1),
};

/** A directory with a tree and room for a store beside it. */
function tree(): { root: string; store: string; out: string } {
  const directory = temporaryDirectory();
  const root = join(directory, "root");
  for (const [key, content] of Object.entries(FILES)) {
    mkdirSync(join(root, key, ".."), { recursive: true });
    writeFileSync(join(root, key), content, { mode: 0o640 });
    utimesSync(join(root, key), 1_700_000_000.123, 1_700_000_000.123);
  }
  return { root, store: join(directory, "store"), out: join(directory, "out") };
}

test("import --dir and export --dir: content, mode and time of every file", async () => {
  const { root, store, out } = tree();
  await varve("import", store, "--dir", root);
  await varve("export", store, "--dir", out);
  for (const [key, content] of Object.entries(FILES)) {
    assert.deepEqual(new Uint8Array(readFileSync(join(out, key))), content, key);
    const [before, after] = await Promise.all(
      [root, out].map((at) => findFile(key, join(at, key))),
    );
    assert.equal(after.mode, before.mode, key);
    assert.equal(after.mtime, before.mtime, key);
  }
  assert.equal(readdirSync(out, { recursive: true }).length, countBelow(root));
  await varve("export", store, "--dir", out); // over what is there
});

function countBelow(directory: string): number {
  return readdirSync(directory, { recursive: true }).length;
}

test("import --dir again takes what changed, and nothing else", async () => {
  const { root, store } = tree();
  await varve("import", store, "--dir", root);
  writeFileSync(join(root, "empty"), "no longer");
  const { code, stderr } = await runVarve(["import", store, "--dir", root]);
  assert.equal(code, 0);
  assert.match(stderr, /imported 1 files.* 4 unchanged, 0 skipped, 0 failed\n$/);
  assert.equal(await varve("get", store, "empty", "--family", "content"), "no longer");
});

test("import --dir leaves out symbolic links, and the store itself", async () => {
  const { root } = tree();
  const store = join(root, "store");
  symlinkSync("/etc", join(root, "link"));
  const { code, stderr } = await runVarve(["import", store, "--dir", root]);
  assert.equal(code, 0);
  assert.match(stderr, /^skipped link: a symbolic link$/m);
  assert.match(stderr, /^skipped store: the store itself$/m);
  assert.match(stderr, /imported 5 files.* 2 skipped, 0 failed\n$/);
});

test("import --dir reports a file that it cannot read, goes on, and ends with 1", async () => {
  if (process.platform !== "linux") return; // elsewhere such a name cannot be made
  const { root, store } = tree();
  // No runtime's strings can name this file. (The tests may run as root, who can read all others.)
  const made = spawnSync("sh", ["-c", `printf x > "$(printf 'bad\\377')"`], { cwd: root });
  assert.equal(made.status, 0);
  const { code, stderr } = await runVarve(["import", store, "--dir", root]);
  assert.equal(code, 1);
  assert.match(stderr, /^failed bad.*\(ENOENT\)$/m);
  assert.match(stderr, /imported 5 files.* 1 failed\nvarve: .*\(ERR_INCOMPLETE\)\n$/);
});

test("export --dir never writes outside the directory", async () => {
  const { root, store, out } = tree();
  await varve("import", store, "--dir", root);
  const outside = join(out, "..", "outside");
  mkdirSync(outside);
  mkdirSync(out);
  symlinkSync(outside, join(out, "link"));
  symlinkSync(join(outside, "target"), join(out, "file"));
  for (const key of ["../evil", "/tmp/varve-evil", "a/../../evil", "link/evil", "file"]) {
    await varve("put", store, key, "evil", "--family", "content");
  }
  const { code, stderr } = await runVarve(["export", store, "--dir", out]);
  assert.equal(code, 1);
  assert.match(stderr, /exported 6 files.*; 4 failed\nvarve: 4 files were not exported/);
  assert.ok(!existsSync(join(out, "..", "evil")));
  assert.ok(!existsSync("/tmp/varve-evil"));
  assert.deepEqual(readdirSync(outside), []);
  assert.equal(readFileSync(join(out, "file"), "utf8"), "evil"); // the link was replaced
});

test("export --dir refuses content that is not what its metadata says", async () => {
  const { root, store, out } = tree();
  await varve("import", store, "--dir", root);
  await varve("put", store, "empty", "not empty", "--family", "content");
  const { code, stderr } = await runVarve(["export", store, "--dir", out]);
  assert.equal(code, 1);
  assert.match(stderr, /^failed empty: .*\(ERR_CORRUPTION\)$/m);
});

test("--dir of something that is no directory creates no store", async () => {
  const { root, store } = tree();
  for (const path of [join(root, "empty"), join(root, "missing")]) {
    assert.equal((await runVarve(["import", store, "--dir", path])).code, 1);
  }
  assert.ok(!existsSync(store));
});
