/** Opens the library through `bun:ffi`. */
import { createRequire } from "node:module";
import type { Native, NativeCalls } from "./calls.ts";
import { SYMBOLS } from "./symbols.gen.ts";

interface BunFfi {
  dlopen(
    path: string,
    symbols: Record<string, { args: readonly string[]; returns: string }>,
  ): { symbols: unknown };
  toArrayBuffer(pointer: number, offset: number, bytes: number): ArrayBuffer;
}

export function openInBun(path: string): Native {
  // A static import of `bun:ffi` would not resolve in Deno.
  const ffi = createRequire(import.meta.url)("bun:ffi") as BunFfi;
  const declarations = Object.fromEntries(
    Object.entries(SYMBOLS)
      .filter(([, symbol]) => !("nonblocking" in symbol)) // only Deno has such calls
      .map(([name, symbol]) => [name, { args: symbol.parameters, returns: symbol.result }]),
  );
  const { symbols } = ffi.dlopen(path, declarations);
  return {
    call: symbols as NativeCalls,
    view: (address, bytes) => ffi.toArrayBuffer(address, 0, bytes),
    keepsViews: false,
  };
}
