/**
 * Finds the shared library, loads it once per Worker, and refuses one whose layout is not ours.
 * Everything it can refuse is `ERR_NATIVE`, with what to do about it.
 */
import { fileURLToPath } from "node:url";
import { VarveError } from "../base/errors.ts";
import { openInBun } from "./loader_bun.ts";
import { openInDeno } from "./loader_deno.ts";
import { ABI_HASH } from "./layout.gen.ts";
import { environment, isDeno, libraryFileName, permitted, platformName } from "./platform.ts";
import type { SYMBOLS } from "./symbols.gen.ts";

type Symbols = Omit<typeof SYMBOLS, "varve_store_wait_async">;
type ParameterOf<Kind> = Kind extends "buffer" ? Uint8Array : number;
type ParametersOf<Kinds extends readonly string[]> = {
  -readonly [Index in keyof Kinds]: ParameterOf<Kinds[Index]>;
};

/** The library's functions as the generated table states them; every result is a number. */
export type NativeCalls = {
  readonly [Name in keyof Symbols]: (
    ...parameters: ParametersOf<Symbols[Name]["parameters"]>
  ) => number;
};

/** The library: its calls, and the one call that Deno may also make off its own thread. */
export interface Native {
  readonly call: NativeCalls;
  /** `varve_store_wait` on another thread; absent where the runtime has no such calls (Bun). */
  readonly waitAsync?: (
    store: number,
    seen: number,
    timeoutMicroseconds: number,
  ) => Promise<number>;
  /** A view of native memory that this process never unmaps. */
  readonly view: (address: number, bytes: number) => ArrayBuffer;
}

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
