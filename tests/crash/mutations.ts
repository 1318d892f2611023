/**
 * Breaks the engine in one place at a time, in copies of the tree, and says which crash properties notice: every one of them runs,
 * by itself, against every mutation.
 *
 *     npm run mutations -- [--only TEXT] [--write]
 *
 * `--only` takes the mutations whose name has this text, and may be given more than once; `--write` puts their rows into the table of
 * docs/crash-safety.md, where those of the others stay. Environment: `VARVE_SEED` (default 1) and `VARVE_CRASHES`, as for the tests;
 * `VARVE_COPIES` (default 2) of the tree are tried at once. What goes unnoticed is tried with two more seeds; ends with 1 if it still
 * does, or if the engine as it is does not.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Mutation, MUTATIONS } from "./mutation_list.ts";

/** Properties by the names of their tests; each is a column of the table. */
const PROPERTIES: readonly (readonly [column: string, test: RegExp])[] = [
  ["prefix", /^after any of/],
  ["faults", /^an operation took effect/],
  ["each fault", /^each write and each sync/],
  ["every operation", /^a crash behind every operation of:/],
  ["every recovery", /^a crash behind every operation of the recovery/],
  ["steps", /when the power fails at once|a store's making/],
  ["failed sync", /^after a failed sync/],
  ["full disk", /^a full disk/],
  ["same seed", /^the same seed gives the same operations/],
  ["rot", /^a bit that rots in any file/],
  ["late, short", /^(a late|an answer|answers that|short transfers)/],
  ["checkpoint", /checkpoint/],
  ["repair", /repair/],
  ["sync beside", /^a crash during a sync beside/],
  ["programs", /^the programs do/],
];

/** Copies of the tree that are tried at the same time. */
const COPIES = Number(process.env.VARVE_COPIES ?? 2);
const TIMEOUT_MS = 900_000;
const SEED = Number(process.env.VARVE_SEED ?? 1);
const SEEDS = 3;
const MARKS = ["<!-- mutations: begin -->", "<!-- mutations: end -->"] as const;

const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true, default: [""] },
    write: { type: "boolean", default: false },
  },
});
const root = fileURLToPath(new URL("../../", import.meta.url));
/** Goes unnoticed, or the tests fail by themselves. */
const NOTHING: Mutation = {
  name: "nothing is changed",
  file: "mod.ts",
  from: "/**\n",
  to: "/**\n",
};
const chosen = [
  NOTHING,
  ...MUTATIONS.filter(({ name }) => values.only.some((text) => name.includes(text))),
];

interface Noticed {
  readonly mutation: Mutation;
  /** Columns that noticed; none: nobody did. */
  readonly columns: ReadonlySet<string>;
  readonly note: string;
}

function copyOfTree(): string {
  const copy = mkdtempSync(join(tmpdir(), "varve-mutations-"));
  process.on("exit", () => rmSync(copy, { recursive: true, force: true }));
  const names = [
    "mod.ts",
    "testing.ts",
    "package.json",
    "bunfig.toml",
    "deno.json",
    "docs",
    "src",
    "tests",
    "build",
  ];
  for (const name of [...names, "zig/src", "zig/build.zig", "zig/build.zig.zon"]) {
    cpSync(join(root, name), join(copy, name), { recursive: true });
  }
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  return copy;
}

async function tryOut(copy: string, mutation: Mutation): Promise<Noticed> {
  const path = join(copy, mutation.file);
  const original = readFileSync(path, "utf8");
  const places = original.split(mutation.from).length - 1;
  if (places !== 1) {
    const note = `GONE: '${mutation.file}' has its text at ${places} places`;
    return { mutation, columns: new Set(), note };
  }
  const library = join("build", `${process.platform}-${process.arch}`);
  writeFileSync(path, original.replace(mutation.from, () => mutation.to));
  const isNative = mutation.file.startsWith("zig/");
  if (isNative) build(copy, library);
  const columns = new Set<string>();
  let note = "";
  const seeds = mutation === NOTHING ? 1 : SEEDS;
  for (let seed = SEED; columns.size === 0 && seed < SEED + seeds; seed++) {
    note = await runTests(copy, seed, columns);
  }
  writeFileSync(path, original);
  if (isNative) cpSync(join(root, library), join(copy, library), { recursive: true });
  return { mutation, columns, note };
}

/** Builds a copy's library, for debugging: that takes less time. */
function build(copy: string, library: string): void {
  const prefix = join(copy, "build", "new");
  const cache = join(root, "zig", ".zig-cache");
  const { status, stderr } = spawnSync(
    join(root, "node_modules", ".bin", "zig"),
    ["build", "-Doptimize=Debug", "--prefix", prefix, "--cache-dir", cache],
    { cwd: join(copy, "zig"), encoding: "utf8" },
  );
  if (status !== 0) throw new Error(`the library cannot be built: ${stderr}`);
  cpSync(join(prefix, "lib"), join(copy, library), { recursive: true });
}

/** Adds the columns of the properties that fail; says how the tests ended, if not by themselves. */
async function runTests(copy: string, seed: number, columns: Set<string>): Promise<string> {
  const child = spawn(join(root, "node_modules", ".bin", "bun"), ["test", "tests/crash"], {
    cwd: copy,
    env: {
      VARVE_QUICK: "1",
      VARVE_SHRINK: "0",
      ...process.env,
      VARVE_SEED: String(seed),
      NO_COLOR: "1",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (text) => output += String(text));
  }
  let hung = false;
  const timer = setTimeout(() => {
    hung = true;
    child.kill("SIGKILL");
  }, TIMEOUT_MS);
  const [status] = await once(child, "close");
  clearTimeout(timer);
  for (const [, test] of output.matchAll(/^\(fail\) (.*?)(?: \[[^\]]*\])?$/gm)) {
    columns.add(PROPERTIES.find(([, pattern]) => pattern.test(test))?.[0] ?? "others");
  }
  if (hung) return "the tests did not end";
  return status === 0 || status === 1 ? "" : "the tests' process came to an end";
}

/** Name of a mutation → columns. */
type Rows = Map<string, ReadonlySet<string>>;

function tableOf(rows: Rows): string {
  const names = [...PROPERTIES.map(([column]) => column), "others"];
  const columns = names.filter((name) => [...rows.values()].some((row) => row.has(name)));
  const lines = [...rows].map(([name, noticed]) =>
    `| ${name} | ${columns.map((column) => noticed.has(column) ? "●" : "").join(" | ")} |`
  );
  const rule = `| --- | ${columns.map(() => ":-:").join(" | ")} |`;
  return [`| mutation | ${columns.join(" | ")} |`, rule, ...lines].join("\n");
}

/** The rows of a table that `tableOf` made. */
function rowsOf(table: string): Rows {
  const [head = [], , ...lines] = table.trim().split("\n")
    .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
  return new Map(lines.map(([name, ...cells]) => [
    name,
    new Set(head.slice(1).filter((_, index) => cells[index] === "●")),
  ]));
}

/** Puts what was found into the table of docs/crash-safety.md, where the rows of others stay. */
function write(found: Rows): void {
  const path = join(root, "docs", "crash-safety.md");
  const text = readFileSync(path, "utf8");
  const [begin, end] = MARKS.map((mark) => text.indexOf(mark));
  if (begin < 0 || end < begin) throw new Error(`${path} has no place for the table`);
  const head = text.slice(0, begin + MARKS[0].length);
  const before = rowsOf(text.slice(head.length, end));
  const all: Rows = new Map();
  for (const { name } of MUTATIONS) {
    const row = found.get(name) ?? before.get(name);
    if (row !== undefined) all.set(name, row);
  }
  writeFileSync(path, `${head}\n\n${tableOf(all)}\n\n${text.slice(end)}`);
}

const queue = chosen.entries();
const rows: Noticed[] = [];
const found: Rows = new Map();
await Promise.all(Array.from({ length: Math.min(COPIES, chosen.length) }, async () => {
  const copy = copyOfTree();
  for (const [index, mutation] of queue) {
    const row = rows[index] = await tryOut(copy, mutation);
    const who = [...row.columns].join(", ") || "UNSEEN";
    console.log(`${mutation.name}: ${who}${row.note && ` (${row.note})`}`);
    // At once: the next one may take long, and whoever waits may not.
    if (mutation !== NOTHING) found.set(mutation.name, row.columns);
    if (mutation !== NOTHING && values.write) write(found);
  }
}));

console.log(`\n${tableOf(found)}`);
process.exit(
  rows.every(({ mutation, columns }) => (columns.size > 0) !== (mutation === NOTHING)) ? 0 : 1,
);
