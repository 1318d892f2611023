/** The house's order of folders: an import points down, never up or round; only `src/native` knows a runtime. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "../harness.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SRC = join(ROOT, "src");

/** From the ground up: a folder may import itself and what stands before it. */
const FLOORS = [
  "base",
  "native",
  "format",
  "memtable",
  "log",
  "blob",
  "tree",
  "commit",
  "read",
  "inspection",
  "store",
  "workers",
  "api",
  "testing",
];
/** These stand on the public module. */
const ON_THE_PUBLIC_MODULE = ["cli", "demo"];

/** What a static import, a re-export or an `import()` of a literal names. */
const SPECIFIER =
  /(?:^|[;\s}])(?:import|export)\s*(?:type\s+)?(?:[\w*{][^;"'`]*?\bfrom\s*)?["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']\s*\)/g;

interface Source {
  /** From the root, with slashes. */
  readonly path: string;
  readonly text: string;
  readonly code: string;
  readonly imports: readonly string[];
}

function read(): Source[] {
  return readdirSync(SRC, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.(ts|mjs|js)$/.test(name))
    .map((name) => {
      const file = join(SRC, name);
      const text = readFileSync(file, "utf8");
      const code = withoutComments(text);
      return { path: fromRoot(file), text, code, imports: specifiersOf(code) };
    });
}

/** A comment may name what it likes. Strings with `//` in them (addresses) are left alone. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, " ").replace(/(^|[\s;{}(,])\/\/[^\n]*/g, "$1");
}

function specifiersOf(code: string): string[] {
  return [...code.matchAll(SPECIFIER)].map(([, name, dynamic]) => name ?? dynamic);
}

function fromRoot(file: string): string {
  return relative(ROOT, file).split(sep).join("/");
}

/** The file that a relative import names. */
function target(source: Source, specifier: string): string {
  return fromRoot(resolve(ROOT, dirname(source.path), specifier));
}

function folderOf(path: string): string {
  return path.split("/")[1];
}

const sources = read();

test("the walk sees the imports that are there", () => {
  const pipeline = sources.find(({ path }) => path === "src/commit/pipeline.ts")!;
  assert.ok(pipeline.imports.includes("../native/jobs.ts"));
  assert.ok(pipeline.imports.includes("../base/assert.ts"));
  assert.deepEqual(
    specifiersOf(
      `import a from "a"; export * from 'b';\nimport type { C } from "c";\nimport "d"; await import("e");`,
    ),
    ["a", "b", "c", "d", "e"],
  );
  assert.ok(sources.length > 80, `${sources.length} files`);
});

test("every folder of src has its floor", () => {
  const known = new Set([...FLOORS, ...ON_THE_PUBLIC_MODULE]);
  const unknown = sources.filter(({ path }) => !known.has(folderOf(path)));
  assert.deepEqual(unknown.map(({ path }) => path), []);
});

test("no import points up", () => {
  const wrong: string[] = [];
  for (const source of sources) {
    const floor = FLOORS.indexOf(folderOf(source.path));
    if (floor < 0) continue;
    for (const specifier of source.imports.filter((one) => one.startsWith("."))) {
      const path = target(source, specifier);
      const other = FLOORS.indexOf(folderOf(path));
      if (!path.startsWith("src/") || other < 0 || other > floor) {
        wrong.push(`${source.path} → ${path}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});

test("the command and the demonstration stand on the public module alone", () => {
  const wrong: string[] = [];
  for (const source of sources) {
    const folder = folderOf(source.path);
    if (!ON_THE_PUBLIC_MODULE.includes(folder)) continue;
    for (const specifier of source.imports.filter((one) => one.startsWith("."))) {
      const path = target(source, specifier);
      const isOwn = ON_THE_PUBLIC_MODULE.includes(folderOf(path));
      // The command tells its version from the package's own data.
      if (path !== "mod.ts" && path !== "package.json" && !isOwn) {
        wrong.push(`${source.path} → ${path}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});

test("no import goes round in a circle", () => {
  const edges = new Map(sources.map((source) => [
    source.path,
    source.imports.filter((one) => one.startsWith(".")).map((one) => target(source, one)),
  ]));
  const circles: string[] = [];
  const done = new Set<string>();
  const walk = (path: string, above: readonly string[]): void => {
    const start = above.indexOf(path);
    if (start >= 0) {
      circles.push([...above.slice(start), path].join(" → "));
      return;
    }
    if (done.has(path)) return;
    for (const next of edges.get(path) ?? []) walk(next, [...above, path]);
    done.add(path);
  };
  for (const path of edges.keys()) walk(path, []);
  assert.deepEqual(circles, []);
});

test("only src/native knows a runtime", () => {
  const wrong: string[] = [];
  for (const { path, code, imports } of sources) {
    const names = imports.filter((one) => /^(bun|jsr|deno|npm|https?):/.test(one));
    if (names.length > 0) wrong.push(`${path} imports ${names.join()}`);
    if (folderOf(path) === "native") continue;
    const withoutStrings = code.replace(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'/g, `""`);
    const globals = withoutStrings.match(
      /\b(?:Deno|Bun)\s*[.[(]|\bglobalThis\s+as\b[^;]*\b(?:Deno|Bun)\b/g,
    );
    if (globals !== null) wrong.push(`${path} names ${globals.join()}`);
    const native = code.match(/["'](?:bun|jsr):[^"']*["']/g);
    if (native !== null) wrong.push(`${path} holds ${native.join()}`);
  }
  assert.deepEqual(wrong, []);
});

test("the engine imports no package: only the command and the testing tools have dependencies", () => {
  const wrong: string[] = [];
  for (const { path, imports } of sources) {
    if (!FLOORS.includes(folderOf(path)) || folderOf(path) === "testing") continue;
    for (const one of imports) if (!/^(\.|node:)/.test(one)) wrong.push(`${path} → ${one}`);
  }
  assert.deepEqual(wrong, []);
});

test("mod.ts names what it gives", () => {
  const text = readFileSync(join(ROOT, "mod.ts"), "utf8");
  assert.ok(!/export\s*\*/.test(withoutComments(text)));
});
