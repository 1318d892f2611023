/** Opens the library through `Deno.dlopen`. Closing is never asked for: the library pins itself. */
import type { Native, NativeCalls } from "./calls.ts";
import { SYMBOLS } from "./symbols.gen.ts";

interface DenoInternals {
  readonly core?: { readonly unrefOpPromise?: (promise: Promise<unknown>) => void };
}

interface DenoFfi {
  readonly internal?: symbol;
  dlopen(path: string, symbols: Record<string, unknown>): {
    symbols: Record<string, (...parameters: unknown[]) => unknown>;
  };
  UnsafePointer: { create(address: bigint): unknown };
  UnsafePointerView: { getArrayBuffer(pointer: unknown, bytes: number): ArrayBuffer };
}

export function openInDeno(path: string): Native {
  const deno = (globalThis as unknown as { Deno: DenoFfi }).Deno;
  // Deno has no public way to say that a call does not keep the process alive; without this one a timer does.
  const unref = deno.internal === undefined
    ? undefined
    : (deno as unknown as Record<symbol, DenoInternals | undefined>)[deno.internal]?.core
      ?.unrefOpPromise;
  const { symbols } = deno.dlopen(path, SYMBOLS);
  return {
    call: symbols as unknown as NativeCalls,
    waitForWord: (region, offset, seen, timeout, background) => {
      if (background && unref === undefined) return undefined;
      const promise = symbols.varve_word_wait_async(region, offset, seen, timeout) as Promise<
        number
      >;
      if (background) unref!(promise);
      return promise;
    },
    waitAsync: symbols.varve_store_wait_async as unknown as Native["waitAsync"],
    view: (address, bytes) =>
      deno.UnsafePointerView.getArrayBuffer(deno.UnsafePointer.create(BigInt(address)), bytes),
    keepsViews: true,
  };
}
