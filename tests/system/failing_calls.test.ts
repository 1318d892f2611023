/**
 * System calls that fail: `strace` lets one of a real process's calls end with an error. What was acknowledged is there
 * afterwards, readers see that and nothing else, and after a failed write or sync of the log nothing more is acknowledged.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { Varve } from "../../mod.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { lackOf, run, type Told } from "./child.ts";

const missing = process.platform === "linux"
  ? lackOf("strace", "-qq", "-o", "/dev/null", "true")
  : "strace is for Linux";
if (missing !== undefined && process.env.CI === "true") throw new Error(missing);

interface Step {
  readonly number: number;
  readonly outcome: string;
  readonly durability: string;
}

interface Story {
  readonly steps: readonly Step[];
  readonly open: string;
  readonly close: string;
  readonly flushes: readonly string[];
  readonly isFinal: boolean;
  /** Calls that were broken. */
  readonly injected: number;
}

/** Calls on the store's files; the runtimes make none of them themselves. */
const WRITES = "pwrite64,pwritev2";
const SYNCS = "fdatasync,fsync";

/** Runs a program some of whose calls fail, on one file if there is a `path`; says how many did. */
async function runFailing(
  program: string,
  environment: Record<string, string>,
  calls: string,
  inject: string,
  path: string | undefined,
): Promise<Told & { injected: number }> {
  const output = join(temporaryDirectory(), "trace");
  const told = await run(program, environment, [
    "strace",
    "-f",
    "-qq",
    "-o",
    output,
    "-e",
    `trace=${calls}`,
    ...(path === undefined ? [] : ["-P", path]),
    "-e",
    `inject=${calls}:${inject}`,
  ]);
  const injected = readFileSync(output, "utf8").split("(INJECTED)").length - 1;
  return { ...told, injected };
}

/**
 * Runs the load on a new store with calls that fail, and checks what holds whatever fails. Each thread counts its own calls.
 * `file`: only calls on this file of the store; `buffered`: every so manieth put is.
 */
async function withFailing(
  calls: string,
  inject: string,
  { file, buffered = 2 }: { file?: string; buffered?: number } = {},
): Promise<Story> {
  const directory = join(temporaryDirectory(), "store");
  const { lines, injected } = await runFailing(
    "load_child.ts",
    { STORE: directory, BUFFERED: String(buffered) },
    calls,
    inject,
    file === undefined ? undefined : join(directory, file),
  );
  const of = (name: string) => lines.filter((line) => name in line).map((line) => line[name]);
  const steps = lines.filter((line) => "put" in line).map((line): Step => ({
    number: line.put as number,
    outcome: line.outcome as string,
    durability: line.durability as string,
  }));
  const acknowledged = steps.filter(({ outcome }) => outcome === "ok").map(({ number }) => number);
  const seen = lines.find((line) => "seen" in line);
  if (seen !== undefined && seen.read === "ok") {
    assert.deepEqual(seen.seen, acknowledged, "readers see what was acknowledged");
  }
  const story = {
    steps,
    open: String(of("open")[0]),
    close: String(of("close")[0]),
    flushes: of("flush").map(String),
    isFinal: of("failure")[0] === "final",
    injected,
  };
  const promised = story.close === "ok" ? steps : steps.slice(0, lastPromise(steps) + 1);
  await using db = await Varve.open(directory);
  for (const { number, outcome } of promised) {
    if (outcome !== "ok") continue;
    const value = await db.get(`k${number}`);
    assert.ok(value !== undefined, `put ${number} was acknowledged and is lost`);
    assert.ok(new TextDecoder().decode(value).startsWith(`${number}:`));
  }
  await db.verify();
  await db.put("later", "works");
  return story;
}

/** A `sync` put that was acknowledged promises all before it. */
function lastPromise(steps: readonly Step[]): number {
  return steps.findLastIndex(({ outcome, durability }) =>
    outcome === "ok" && durability === "sync"
  );
}

function requireFinal({ steps, isFinal, injected }: Story): void {
  const told = steps.map(({ number, outcome }) => `${number} ${outcome}`).join(", ");
  assert.ok(injected > 0, "no call was broken");
  assert.ok(isFinal, `the failure is final: ${told}`);
  const first = steps.findIndex(({ outcome }) => outcome !== "ok");
  assert.ok(first >= 0, "a put fails");
  for (const { number, outcome } of steps.slice(first)) {
    assert.equal(outcome, "ERR_IO", `put ${number} behind the failed one: ${told}`);
  }
}

function requireUntouched({ steps, open, close, flushes, injected }: Story): void {
  assert.ok(injected > 0, "no call was broken");
  const outcomes = [open, close, ...flushes, ...steps.map(({ outcome }) => outcome)];
  assert.deepEqual(new Set(outcomes), new Set(["ok"]));
}

test(
  "a synced write of the log fails with EIO: that put and every later one throws, and those before it are there",
  async () => {
    for (const when of [1, 2, 4]) {
      requireFinal(await withFailing("pwritev2", `error=EIO:when=${when}`, { buffered: 5 }));
    }
  },
  missing,
);

test(
  "a sync of the log fails once, and the next one would succeed: nothing behind it is acknowledged",
  async () => {
    // Of the log's thread it is the second one; of any other there is but one, that of the segment's header.
    requireFinal(await withFailing("fdatasync", "error=EIO:when=2", { file: "000004.log" }));
  },
  missing,
);

test(
  "the next log segment cannot be made ahead of its need: it is made when a put needs it",
  async () => {
    const story = await withFailing("fdatasync", "error=EIO:when=1", { file: "000005.log" });
    assert.ok(!story.isFinal, "nothing in it was in doubt");
    requireUntouched(story);
  },
  missing,
);

test("any sync of a file or a directory fails: it took effect or threw", async () => {
  let injected = 0;
  for (const when of [1, 2, 3, 4, 6, 7, 8, 9, 11, 14, 17]) {
    injected += (await withFailing(SYNCS, `error=EIO:when=${when}`)).injected;
  }
  assert.ok(injected >= 11, `${injected} syncs failed`);
}, missing);

test("any write fails, with EIO or because the disk is full: it took effect or threw", async () => {
  let injected = 0;
  for (const [index, when] of [1, 2, 3, 4, 5, 7, 9, 10, 12, 14].entries()) {
    const error = ["EIO", "ENOSPC", "EDQUOT", "EFBIG"][index % 4];
    injected += (await withFailing(WRITES, `error=${error}:when=${when}`)).injected;
  }
  assert.ok(injected >= 10, `${injected} writes failed`);
}, missing);

test("interrupted calls are nothing that a store can see", async () => {
  for (const calls of [WRITES, SYNCS]) {
    requireUntouched(await withFailing(calls, "error=EINTR:when=1+2"));
  }
}, missing);

test("a file system that reserves no space does not keep a store from working", async () => {
  requireUntouched(await withFailing("fallocate", "error=EOPNOTSUPP"));
}, missing);

test(
  "no space to reserve: ERR_NO_SPACE, nothing acknowledged is lost, and the next open goes on",
  async () => {
    const story = await withFailing("fallocate", "error=ENOSPC:when=3+");
    assert.ok(story.injected > 0);
    const refused = story.steps.filter(({ outcome }) => outcome !== "ok");
    assert.ok(refused.length > 0);
    for (const { number, outcome } of refused) {
      assert.equal(
        outcome,
        "ERR_NO_SPACE",
        `put ${number}`,
      );
    }
    assert.ok(!story.isFinal, "a full disk is not final");
    assert.equal(story.close, "ok");
  },
  missing,
);

test("files that cannot be removed cost their space, and nothing else", async () => {
  requireUntouched(await withFailing("unlinkat", "error=EIO"));
}, missing);

test(
  "a rename fails while a store is made: the open throws, and the next one makes the store",
  async () => {
    for (const when of [1, 2]) {
      const { open, injected } = await withFailing("renameat", `error=EIO:when=${when}`);
      assert.equal(injected, 1);
      assert.equal(open, "ERR_IO");
    }
  },
  missing,
);

test(
  "a read of a table fails with EIO: that get throws, everything else is read, and so is that one later",
  async () => {
    const directory = join(temporaryDirectory(), "store");
    const count = 40;
    {
      await using db = await Varve.open(directory);
      for (let index = 0; index < count; index++) {
        await db.put(`k${index}`, `${index}:`.padEnd(5_000, "x"));
      }
      await db.flush();
    }
    const table = readdirSync(directory).find((name) => name.endsWith(".table"))!;
    const environment = { STORE: directory, COUNT: String(count) };
    // Behind the reads that open it.
    const { lines, injected } = await runFailing(
      "read_child.ts",
      environment,
      "pread64,preadv,preadv2",
      "error=EIO:when=8",
      join(directory, table),
    );
    assert.ok(injected > 0);
    const [first, second] = lines.map(({ outcomes }) => outcomes as string[]);
    assert.equal(first.filter((outcome) => outcome === "ERR_IO").length, injected, String(first));
    assert.equal(
      first.filter((outcome) => outcome === "ok").length,
      count - injected,
      String(first),
    );
    assert.deepEqual(new Set(second), new Set(["ok"]));
  },
  missing,
);
