/**
 * Merge operands on the reader's side: the library folds those of its own operators; a chain that a user's operator folds comes
 * as a `MergeStack`, and the user's code runs here, on the reader's thread, while nothing is held.
 */
import { MergeOperator, MergeStack } from "../native/layout.gen.ts";
import { padded } from "../base/words.ts";
import { SHARED_BYTES_MAX } from "./result_slab.ts";

/** How a handle reads merged keys. */
export interface Merging {
  /** `MergeOperator`; with `none`, reading a merged key is an error. */
  readonly kind: number;
  /** What keys and values are encoded by. Absent: the library folds, or nobody does. */
  readonly encodings?: { readonly key: unknown; readonly value: unknown };
  /**
   * A key's value as a `put` would have stored it. Runs the user's code, and throws what that throws.
   * REQUIRES: `kind` is `custom`. The operands come oldest first; all bytes are the callee's to keep.
   */
  fold(key: Uint8Array, base: Uint8Array | undefined, operands: Uint8Array[]): Uint8Array;
}

/** For handles without an operator, and those whose operator the library folds. */
export function nativeMerging(kind: number): Merging {
  return {
    kind,
    fold: () => {
      throw new Error("only a custom operator folds on the reader's side");
    },
  };
}

/** For a handle that was opened without an operator. */
export const NO_MERGING: Merging = nativeMerging(MergeOperator.none);

/** The value of a key whose `MergeStack` this is. */
export function foldStack(merging: Merging, key: Uint8Array, stack: Uint8Array): Uint8Array {
  const view = new DataView(stack.buffer, stack.byteOffset, stack.byteLength);
  let at: number = MergeStack.BYTES;
  const next = (): Uint8Array => {
    const bytes = view.getUint32(at, true);
    const start = at + 4;
    at = start + padded(bytes);
    return bytes < SHARED_BYTES_MAX
      ? stack.subarray(start, start + bytes)
      : stack.slice(start, start + bytes);
  };
  const base = view.getUint32(MergeStack.hasBase, true) === 1 ? next() : undefined;
  const operands = Array.from({ length: view.getUint32(MergeStack.operandCount, true) }, next);
  return merging.fold(key, base, operands);
}
