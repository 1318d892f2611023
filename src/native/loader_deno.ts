/** Opens the library through `Deno.dlopen`. Closing is never asked for: the library pins itself. */
import type { Native, NativeCalls } from "./library.ts";
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
  const wait = SYMBOLS.varve_store_wait;
  const { symbols } = deno.dlopen(path, {
    ...SYMBOLS,
    wait_async: {
      name: "varve_store_wait",
      parameters: wait.parameters,
      result: wait.result,
      nonblocking: true,
    },
  });
  return {
    call: symbols as unknown as NativeCalls,
    waitAsync: symbols.wait_async as unknown as Native["waitAsync"],
    view: (address, bytes) =>
      deno.UnsafePointerView.getArrayBuffer(deno.UnsafePointer.create(BigInt(address)), bytes),
  };
}
