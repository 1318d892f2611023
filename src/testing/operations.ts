/**
 * Operations on a store as data, for fast-check to make and to shrink, and what they do. Small on purpose: few keys, so that
 * writes meet; a few values that are large, so that memtables fill and log segments follow each other.
 */
import type fastCheck from "fast-check";
import type { Arbitrary } from "fast-check";

export type WriteDurability = "sync" | "buffered";

/** One change of one key: a value of so many bytes, or none. */
export interface KeyChange {
  readonly family: string;
  readonly key: string;
  /** Bytes of the value; `undefined` deletes the key. */
  readonly bytes: number | undefined;
}

export type StoreOperation =
  /** One put or delete, or a batch of several. */
  | {
    readonly type: "write";
    readonly changes: readonly KeyChange[];
    readonly durability: WriteDurability;
    /** Whether the program waits for it, and for everything before it, before it goes on. */
    readonly awaited: boolean;
  }
  | { readonly type: "sync" | "flush"; readonly awaited: boolean }
  | { readonly type: "createFamily" | "dropFamily"; readonly family: string }
  /** A clean close, and an open. */
  | { readonly type: "reopen" };

export interface OperationOptions {
  /** Names of column families beside `"default"`. */
  readonly families?: readonly string[];
  readonly maxLength?: number;
  /** Bytes of the largest values. */
  readonly maxBytes?: number;
}

/**
 * Lists of operations.
 *
 * @example
 * ```ts
 * import fc from "fast-check";
 * import { storeOperations } from "varve/testing";
 *
 * const [program] = fc.sample(storeOperations(fc, { families: ["users"] }), 1);
 * ```
 */
export function storeOperations(
  fc: typeof fastCheck,
  { families = ["left", "right"], maxLength = 24, maxBytes = 24_000 }: OperationOptions = {},
): Arbitrary<StoreOperation[]> {
  const change = fc.record({
    family: fc.constantFrom("default", ...families),
    key: fc.constantFrom("a", "b", "c", "d", "e"),
    bytes: fc.oneof(
      { weight: 4, arbitrary: fc.nat(40) },
      { weight: 2, arbitrary: fc.nat(maxBytes) },
      { weight: 2, arbitrary: fc.constant(undefined) },
    ),
  });
  const write = fc.record({
    type: fc.constant("write" as const),
    changes: fc.oneof(
      { weight: 2, arbitrary: fc.array(change, { minLength: 1, maxLength: 1 }) },
      { weight: 1, arbitrary: fc.array(change, { minLength: 2, maxLength: 6 }) },
    ),
    durability: fc.constantFrom("sync" as const, "buffered" as const, "buffered" as const),
    awaited: fc.boolean(),
  });
  const settle = fc.record({
    type: fc.constantFrom("sync" as const, "flush" as const, "flush" as const),
    awaited: fc.boolean(),
  });
  const operation: Arbitrary<StoreOperation> = families.length === 0
    ? fc.oneof({ weight: 12, arbitrary: write }, { weight: 2, arbitrary: settle })
    : fc.oneof(
      { weight: 12, arbitrary: write },
      { weight: 2, arbitrary: settle },
      {
        weight: 1,
        arbitrary: fc.record({
          type: fc.constantFrom(
            "createFamily" as const,
            "createFamily" as const,
            "dropFamily" as const,
          ),
          family: fc.constantFrom(...families),
        }),
      },
      { weight: 1, arbitrary: fc.constant({ type: "reopen" as const }) },
    );
  return fc.array(operation, { maxLength });
}
