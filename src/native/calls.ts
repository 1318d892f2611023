/** The library as TypeScript sees it: types derived from the generated table, and nothing else. */
import type { SYMBOLS } from "./symbols.gen.ts";

type Symbols = Omit<typeof SYMBOLS, "varve_store_wait_async" | "varve_word_wait_async">;
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
  /** `varve_word_wait` on another thread. `background`: it does not keep the process alive. Absent where it cannot be had. */
  readonly waitForWord?: (
    region: number,
    offset: number,
    seen: number,
    timeoutMicroseconds: number,
    background: boolean,
  ) => Promise<number> | undefined;
  /** A view of native memory that this process never unmaps. */
  readonly view: (address: number, bytes: number) => ArrayBuffer;
  /**
   * Whether large views are kept for when their memory is used again. Collectors count what is under a view as if it were their own:
   * V8 begins a full collection for every 64 MiB of new ones, so they are made once; JavaScriptCore lets garbage grow in
   * proportion to those that there are, so they are let go.
   */
  readonly keepsViews: boolean;
}
