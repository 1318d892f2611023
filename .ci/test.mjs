/**
 * Everything that must hold, in one command. Each step's output is shown; the last line sums the tests of all runners, a
 * check without tests counting as one. Fails if anything fails, or if a runner ran nothing.
 */
import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { join } from "node:path";
import process from "node:process";
import { libraryName, program, root, setUp } from "./setup.mjs";

setUp();

const environment = { ...process.env, NO_COLOR: "1" };
const zig = join(root, "zig");
/** Where the library goes that checks itself, for files that are made to mislead it. */
const safe = join(zig, "zig-out", "safe");

/** A step: its command, where it runs, how its output says what passed and failed, and its environment. */
const steps = [
  ["format", "deno", ["fmt", "--check"]],
  ["format of Zig", "zig", ["fmt", "--check", "src", "build.zig"], zig],
  ["lint", "deno", ["lint"]],
  ["types", "deno", ["check", "mod.ts", "src", "tests", "bench"]],
  ["types in Bun", "tsc", ["--noEmit"]],
  ["layout is up to date", "node", [".ci/check_layout.mjs"]],
  ["all four targets", "zig", ["build", "cross"], zig],
  ["Zig tests", "zig", ["build", "test", "--summary", "all"], zig, zigCount],
  ["tests in Bun", "bun", ["test", "tests"], root, bunCount],
  ["the library with safety checks", "zig", [
    "build",
    "-Doptimize=ReleaseSafe",
    "--prefix",
    safe,
  ], zig],
  ["hostile files, with safety checks", "bun", ["test", "tests/hostile"], root, bunCount, {
    VARVE_LIBRARY: join(safe, "lib", libraryName),
  }],
  ["tests in Deno", "deno", ["test", "--allow-all", "--no-check", "tests"], root, denoCount],
  ["benchmarks, smoke size", "bun", [
    "bench/run.ts",
    "all",
    "--smoke",
    "--peers",
    "varve,varve-deno",
  ]],
];

let passed = 0;
let failed = 0;
for (const [name, command, args, cwd = root, count = checkCount, own = {}] of steps) {
  const started = performance.now();
  // Fresh for each step: the runtimes are not to try the same crashes twice.
  const seed = process.env.VARVE_SEED ?? String(randomInt(2 ** 30));
  console.log(`${name}: seed ${seed} (repeat with VARVE_SEED=${seed})`);
  const { status, output } = await run(
    command === "node" ? process.execPath : program(command),
    args,
    cwd,
    { ...own, VARVE_SEED: seed },
  );
  const [good, bad] = count(output, status);
  passed += good;
  failed += bad + (status !== 0 && bad === 0 ? 1 : 0) + (good + bad === 0 ? 1 : 0);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${status === 0 ? "ok" : "FAILED"}: ${name} (${seconds} s)`);
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

function run(command, args, cwd, own) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...environment, ...own },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text) => {
        output += text;
        process.stdout.write(text);
      });
    }
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, output }));
  });
}

function checkCount(_output, status) {
  return status === 0 ? [1, 0] : [0, 1];
}

/** `Build Summary: 3/3 steps succeeded; 120/120 tests passed` */
function zigCount(output) {
  const match = /(\d+)\/(\d+) tests passed/.exec(output);
  return match === null ? [0, 0] : [Number(match[1]), Number(match[2]) - Number(match[1])];
}

/** ` 120 pass` and ` 0 fail` on lines of their own */
function bunCount(output) {
  return [numberBefore(output, / (\d+) pass\n/), numberBefore(output, / (\d+) fail\n/)];
}

/** `ok | 120 passed | 0 failed (3s)` */
function denoCount(output) {
  return [numberBefore(output, /\| (\d+) passed/), numberBefore(output, /\| (\d+) failed/)];
}

function numberBefore(output, pattern) {
  const match = pattern.exec(output);
  return match === null ? 0 : Number(match[1]);
}
