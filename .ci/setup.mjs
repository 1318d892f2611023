/**
 * Makes a clone ready: the pinned packages (Bun, Deno and Zig among them) from npm, and the native library from `zig/`.
 * Runs in plain Node, does only what is missing, and prints what it does.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const libraryName = process.platform === "darwin" ? "libvarve.dylib" : "libvarve.so";
const bin = join(root, "node_modules", ".bin");
/** Only its C sources are used: its install script, which fetches or builds a Node addon, is left out. */
const ZSTD = "zstd-napi";
const zstd = join(root, "node_modules", ZSTD);

export function program(name) {
  return join(bin, name);
}

/** Runs a command; exits with its status if it fails. */
function must(command, args, cwd = root) {
  const { status, error } = spawnSync(command, args, {
    cwd,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

/** Installs the packages unless those that the lock file names are there already. */
export function installPackages() {
  const lock = readFileSync(join(root, "package-lock.json"));
  const stamp = join(root, "node_modules", ".varve-installed");
  const wanted = createHash("sha256").update(lock).digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  console.error("varve: installing the packages of package-lock.json");
  must("npm", ["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
  const scripted = Object.entries(JSON.parse(lock).packages)
    .filter(([, { hasInstallScript }]) => hasInstallScript)
    .map(([path]) => path.replace(/^node_modules\//, ""))
    .filter((name) => name !== ZSTD);
  must("npm", ["rebuild", "--ignore-scripts=false", "--loglevel=error", ...scripted]);
  writeFileSync(stamp, wanted);
}

/** Builds the library for this machine unless one of these very sources is there. */
export function buildLibrary() {
  const target = join(root, "build", `${process.platform}-${process.arch}`);
  const stamp = join(target, "sources");
  const wanted = sourcesHash();
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  console.error("varve: building the native library");
  const prefix = join(root, "build", `new-${process.pid}`);
  must(program("zig"), ["build", "--prefix", prefix], join(root, "zig"));
  // A library that is in use must not be written over: the new file takes the old one's name.
  mkdirSync(target, { recursive: true });
  renameSync(join(prefix, "lib", libraryName), join(target, libraryName));
  // The library contains zstd, whose licence asks to be with it.
  copyFileSync(join(zstd, "deps", "zstd", "LICENSE"), join(target, "LICENSE.zstd"));
  writeFileSync(stamp, wanted);
  rmSync(prefix, { recursive: true, force: true });
}

function sourcesHash() {
  const hash = createHash("sha256");
  const zig = join(root, "zig");
  const names = readdirSync(zig, { recursive: true })
    .filter((name) =>
      /\.(zig|zon)$/.test(name) && !/(^|\/)(\.zig-cache|zig-out|zig-pkg)\//.test(name)
    )
    .sort();
  for (const name of names) hash.update(name).update(readFileSync(join(zig, name)));
  hash.update(readFileSync(join(zstd, "package.json")));
  return hash.digest("hex");
}

export function setUp() {
  installPackages();
  buildLibrary();
}

/** `node .ci/setup.mjs [program arguments…]`: set up, then run a pinned program with this terminal. */
if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  setUp();
  const [name, ...args] = process.argv.slice(2);
  if (name !== undefined) {
    const { status, error } = spawnSync(program(name), args, { stdio: "inherit" });
    if (error !== undefined) throw error;
    process.exit(status ?? 1);
  }
}
