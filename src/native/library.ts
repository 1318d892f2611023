/**
 * Finds the shared library, loads it once per Worker, and refuses one whose layout is not ours.
 * Everything it can refuse is `ERR_NATIVE`, with what to do about it.
 */
import { fileURLToPath } from "node:url";
import { VarveError } from "../base/errors.ts";
import type { Native } from "./calls.ts";
import { openInBun } from "./loader_bun.ts";
import { openInDeno } from "./loader_deno.ts";
import { ABI_HASH } from "./layout.gen.ts";
import { environment, isDeno, libraryFileName, permitted, platformName } from "./platform.ts";

let loaded: Native | undefined;

/** The library, loaded on first use. */
export function native(): Native {
  return loaded ??= load();
}

function load(): Native {
  const paths = candidates();
  const failures: string[] = [];
  for (const path of paths) {
    if (!permitted("ffi", path)) {
      throw new VarveError(
        "ERR_NATIVE",
        `Cannot load the native library '${path}': Deno was started without --allow-ffi`,
        { path },
      );
    }
    let library: Native;
    try {
      library = isDeno ? openInDeno(path) : openInBun(path);
    } catch (error) {
      failures.push(`'${path}': ${error instanceof Error ? error.message : String(error)}`);
      continue;
    }
    checkLayout(library, path);
    return library;
  }
  throw new VarveError(
    "ERR_NATIVE",
    `Cannot load the native library for ${platformName()}; build it with 'npm run build', ` +
      `or name it in VARVE_LIBRARY. Tried ${failures.join("; ")}`,
    { path: paths[0] },
  );
}

/** A named library is the only candidate: falling back from it would hide a mistake. */
function candidates(): string[] {
  const named = environment("VARVE_LIBRARY");
  if (named !== undefined && named !== "") return [named];
  const relative = [
    `../../build/${platformName()}/${libraryFileName()}`,
    `../../${libraryFileName()}`,
  ];
  return relative.map((path) => fileURLToPath(new URL(path, import.meta.url)));
}

function checkLayout(library: Native, path: string): void {
  const hash = library.call.varve_abi_hash() >>> 0;
  if (hash === ABI_HASH) return;
  throw new VarveError(
    "ERR_NATIVE",
    `Cannot use the native library '${path}': its layout is ${
      hash.toString(16)
    }, this module's is ` +
      `${ABI_HASH.toString(16)}; build it again with 'npm run build'`,
    { path },
  );
}
