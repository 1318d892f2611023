/** Opens the library through `Deno.dlopen`. Closing is never asked for: the library pins itself. */
import type { Native, NativeCalls } from "./calls.ts";
import { SYMBOLS } from "./symbols.gen.ts";

interface DenoFfi {
  dlopen(path: string, symbols: Record<string, unknown>): {
    symbols: Record<string, (...parameters: unknown[]) => unknown>;
  };
  UnsafePointer: { create(address: bigint): unknown };
  UnsafePointerView: { getArrayBuffer(pointer: unknown, bytes: number): ArrayBuffer };
}

export function openInDeno(path: string): Native {
  const deno = (globalThis as unknown as { Deno: DenoFfi }).Deno;
  const { symbols } = deno.dlopen(path, SYMBOLS);
  return {
    call: symbols as unknown as NativeCalls,
    waitAsync: symbols.varve_store_wait_async as unknown as Native["waitAsync"],
    view: (address, bytes) =>
      deno.UnsafePointerView.getArrayBuffer(deno.UnsafePointer.create(BigInt(address)), bytes),
  };
}
