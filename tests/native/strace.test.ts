/** The counters of `stats()` against the system's own count of calls: what they say is what was done. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { temporaryDirectory, test } from "../harness.ts";
import { runChild } from "./child.ts";

/** Writes at a place, and syncs. The runtimes make none of them by themselves: their own files are `write`. */
const CALLS = "pwrite64,pwritev,pwritev2,fdatasync,fsync,sync_file_range";

/** False with a line that says so; in CI, where the tool has to be, a failure. */
function hasStrace(): boolean {
  if (process.platform !== "linux") return false;
  const { status } = spawnSync("strace", ["-o", "/dev/null", "true"]);
  if (status === 0) return true;
  const line = "strace is missing or may not trace: the system's counts were not compared";
  if (process.env.CI === "true") assert.fail(line);
  console.log(`skipped: ${line}`);
  return false;
}

interface Trace {
  /** Lines of calls on files of the store, between the two marks. */
  readonly lines: string[];
  readonly before: Counts;
  readonly after: Counts;
}

interface Counts {
  readonly callsOut: number;
  readonly syncs: number;
  readonly writesIn: number;
  readonly bytes: number;
}

const HEAD = `
  const db = await Varve.open(directory, OPTIONS);
  // The first segment is made with the first write; that is no part of what is counted.
  db.putSync("first", "value", { durability: DURABILITY });
  const fs = await import("node:fs");
  const mark = (name) => fs.existsSync("/mark/" + name);
  const before = db.stats().write;
  mark("begin");`;
const TAIL = `
  mark("end");
  console.log(JSON.stringify({ before, after: db.stats().write }));
  await db.close();`;

async function trace(body: string, options: string, durability: string): Promise<Trace> {
  const output = join(temporaryDirectory(), "trace");
  const program = HEAD.replace("OPTIONS", options).replace("DURABILITY", durability) + body + TAIL;
  const { code, stdout, stderr } = await runChild(program, {
    wrapper: [
      "strace",
      "-f",
      "-y",
      "-qq",
      "-o",
      output,
      "-e",
      `trace=${CALLS},statx,access,faccessat,faccessat2,stat,newfstatat`,
    ],
  });
  assert.equal(code, 0, stderr);
  const lines = readFileSync(output, "utf8").split("\n");
  const begin = lines.findIndex((line) => line.includes('"/mark/begin"'));
  const end = lines.findIndex((line) => line.includes('"/mark/end"'));
  assert.ok(begin >= 0 && end > begin, "both marks are in the trace");
  const ours = lines.slice(begin, end).filter((line) =>
    new RegExp(`\\b(${CALLS.replaceAll(",", "|")})\\(`).test(line) && line.includes("/store/")
  );
  return { lines: ours, ...JSON.parse(stdout) };
}

function count(lines: readonly string[], pattern: RegExp): number {
  return lines.filter((line) => pattern.test(line)).length;
}

const WRITE = /\bpwrite(64|v|v2)\(/;
const SYNC = /\b(fdatasync|fsync)\(/;
const SYNCED_WRITE = /\bpwritev2\(.*RWF_DSYNC/;

test("N buffered putSync are N writes and no sync, as the counters say", async () => {
  if (!hasStrace()) return;
  const { lines, before, after } = await trace(
    `for (let index = 0; index < 300; index++) db.putSync("key " + index, "value");`,
    `{ durability: "buffered" }`,
    `"buffered"`,
  );
  assert.equal(count(lines, WRITE), 300);
  assert.equal(after.callsOut - before.callsOut, 300);
  assert.equal(after.writesIn - before.writesIn, 300);
  assert.equal(count(lines, SYNC) + count(lines, SYNCED_WRITE), 0);
  assert.equal(after.syncs - before.syncs, 0);
});

test("N durable putSync are N synced writes", async () => {
  if (!hasStrace()) return;
  const { lines, before, after } = await trace(
    `for (let index = 0; index < 40; index++) db.putSync("key " + index, "value");`,
    `{}`,
    `"sync"`,
  );
  assert.equal(count(lines, WRITE), after.callsOut - before.callsOut);
  assert.equal(count(lines, SYNC) + count(lines, SYNCED_WRITE), after.syncs - before.syncs);
  assert.equal(after.callsOut - before.callsOut, 40);
  assert.equal(after.syncs - before.syncs, 40);
});

test("N puts in groups of 50 take one write and one sync a group", async () => {
  if (!hasStrace()) return;
  // Below 16 KiB in all: beyond, the next segment is made ahead, with writes and syncs of its own.
  const { lines, before, after } = await trace(
    `for (let round = 0; round < 10; round++) {
       await Promise.all(Array.from({ length: 50 }, (_, i) => db.put("key " + round + i, "value")));
     }`,
    `{}`,
    `"sync"`,
  );
  assert.equal(after.writesIn - before.writesIn, 500);
  assert.equal(after.callsOut - before.callsOut, 10);
  assert.equal(count(lines, WRITE), 10);
  assert.equal(after.syncs - before.syncs, 10);
  assert.equal(count(lines, SYNC) + count(lines, SYNCED_WRITE), 10);
});

test("a failed sync is told to whoever blocks for it, and is final", async () => {
  if (!hasStrace()) return;
  const calls = [
    "db.syncSync()",
    "await db.sync()",
    `db.putSync("k", "v", { durability: "sync" })`,
    `await db.put("k", "v", { durability: "sync" })`,
    "db.flushSync()",
    "await db.flush()",
  ];
  const ended = await Promise.all(calls.map((call) =>
    runChild(
      `const db = await Varve.open(directory, { durability: "buffered" });
       db.addEventListener("error", () => {});
       db.putSync("buffered", "value");
       const { spawn } = await import("node:child_process");
       // From here on every sync of data fails.
       const strace = spawn("strace", ["-f", "-p", String(process.pid), "-o", "/dev/null", "-e",
         "trace=fdatasync", "-e", "inject=fdatasync:error=EIO"]);
       await new Promise((resolve) => {
         strace.stderr.on("data", (data) => String(data).includes("attached") && resolve());
       });
       await new Promise((resolve) => setTimeout(resolve, 100));
       const attempt = async (work) => {
         try { await work(); return "kept"; } catch (error) { return error.code + " " + error.errnoName; }
       };
       const said = [
         await attempt(async () => { ${call}; }),
         await attempt(() => db.putSync("after", "value")),
         await attempt(() => db.syncSync()),
         await attempt(() => { db.getSync("buffered"); }),
         await attempt(() => db.closeSync()),
       ];
       console.log(said.join(", "));
       strace.kill();
       process.exit(0);`,
    )
  ));
  for (const [index, { code, stdout, stderr }] of ended.entries()) {
    assert.equal(code, 0, stderr);
    const said = stdout.trim().split(", ");
    assert.deepEqual(
      said.slice(0, 4),
      ["ERR_IO EIO", "ERR_IO EIO", "ERR_IO EIO", "kept"],
      calls[index],
    );
  }
});
