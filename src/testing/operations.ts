/**
 * Operations on a store as data, for fast-check to make and to shrink, and what they do. Small on purpose: few keys, so that
 * writes meet; a few values that are large, so that memtables fill and log segments follow each other.
 */
import type fastCheck from "fast-check";
import type { Arbitrary } from "fast-check";

export type WriteDurability = "sync" | "buffered" | "volatile";

/** One change of one key: a value of so many bytes, or none. */
export interface KeyChange {
  readonly family: string;
  readonly key: string;
  /** Bytes of the value; `undefined` deletes the key. */
  readonly bytes: number | undefined;
}

/** One operand of so many bytes, for the family's merge operator. */
export interface MergeChange {
  readonly family: string;
  readonly key: string;
  readonly operandBytes: number;
}

/** All keys from one on and below another deleted; `undefined`: to the last. */
export interface RangeChange {
  readonly family: string;
  readonly from: string;
  readonly to: string | undefined;
}

export type StoreChange = KeyChange | MergeChange | RangeChange;

export type StoreOperation =
  /** One change, or a batch of several. */
  | {
    readonly type: "write";
    readonly changes: readonly StoreChange[];
    readonly durability: WriteDurability;
    /** Whether the program waits for it, and for everything before it, before it goes on. */
    readonly awaited: boolean;
    /** By a call that blocks (`putSync`, `writeSync`, …). Default: false. */
    readonly blocking?: boolean;
  }
  /** A put with a `ttl`, in milliseconds. */
  | {
    readonly type: "expire";
    readonly change: KeyChange & { readonly bytes: number };
    readonly ttl: number;
    readonly durability: WriteDurability;
    readonly awaited: boolean;
  }
  /** The disk's clock goes forward. */
  | { readonly type: "advance"; readonly milliseconds: number }
  /** `compact` is of every family, and whole. */
  | { readonly type: "sync" | "flush" | "compact"; readonly awaited: boolean }
  | { readonly type: "createFamily" | "dropFamily"; readonly family: string }
  /** A clean close, and an open. */
  | { readonly type: "reopen" };

export interface OperationOptions {
  /** Names of column families beside `"default"`. */
  readonly families?: readonly string[];
  readonly maxLength?: number;
  /** Bytes of the largest values. */
  readonly maxBytes?: number;
  /**
   * Merges, for which the families need a merge operator, range deletes, puts that expire, time that goes by, and compactions,
   * too. Default: false.
   */
  readonly all?: boolean;
  /** One that stands there twice is twice as likely. Default: `"sync"` once, `"buffered"` twice. */
  readonly durabilities?: readonly WriteDurability[];
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
  {
    families = ["left", "right"],
    maxLength = 24,
    maxBytes = 24_000,
    all = false,
    durabilities = ["sync", "buffered", "buffered"],
  }: OperationOptions = {},
): Arbitrary<StoreOperation[]> {
  const family = fc.constantFrom("default", ...families);
  const key = fc.constantFrom("a", "b", "c", "d", "e");
  const bytes = fc.oneof(
    { weight: 2, arbitrary: fc.nat(40) },
    { weight: 1, arbitrary: fc.nat(maxBytes) },
  );
  const durability = fc.constantFrom(...durabilities);
  const awaited = fc.boolean();
  const keyChange = fc.record({
    family,
    key,
    bytes: fc.oneof(
      { weight: 3, arbitrary: bytes },
      { weight: 1, arbitrary: fc.constant(undefined) },
    ),
  });
  const mergeChange = fc.record({ family, key, operandBytes: bytes });
  const rangeChange = fc.record({ family, from: key, to: fc.option(key, { nil: undefined }) });
  const change: Arbitrary<StoreChange> = all
    ? fc.oneof(
      { weight: 6, arbitrary: keyChange },
      { weight: 4, arbitrary: mergeChange },
      { weight: 2, arbitrary: rangeChange },
    )
    : keyChange;
  const write = fc.record({
    type: fc.constant("write" as const),
    changes: fc.oneof(
      { weight: 2, arbitrary: fc.array(change, { minLength: 1, maxLength: 1 }) },
      { weight: 1, arbitrary: fc.array(change, { minLength: 2, maxLength: 6 }) },
    ),
    durability,
    awaited,
    blocking: fc.boolean(),
  });
  const settle = fc.record({
    type: all
      ? fc.constantFrom("sync" as const, "flush" as const, "flush" as const, "compact" as const)
      : fc.constantFrom("sync" as const, "flush" as const, "flush" as const),
    awaited,
  });
  const expire = fc.record({
    type: fc.constant("expire" as const),
    change: fc.record({ family, key, bytes }),
    ttl: fc.integer({ min: 1, max: 100 }),
    durability,
    awaited,
  });
  const advance = fc.record({
    type: fc.constant("advance" as const),
    milliseconds: fc.nat(60),
  });
  const familyChange = (name: Arbitrary<string>) =>
    fc.record({
      type: fc.constantFrom(
        "createFamily" as const,
        "createFamily" as const,
        "dropFamily" as const,
      ),
      family: name,
    });
  const choices: { weight: number; arbitrary: Arbitrary<StoreOperation> }[] = [
    { weight: 12, arbitrary: write },
    { weight: 2, arbitrary: settle },
  ];
  if (all) choices.push({ weight: 2, arbitrary: expire }, { weight: 2, arbitrary: advance });
  if (families.length > 0) {
    choices.push(
      { weight: 1, arbitrary: familyChange(fc.constantFrom(...families)) },
      { weight: 1, arbitrary: fc.constant({ type: "reopen" as const }) },
    );
  }
  return fc.array(fc.oneof(...choices), { maxLength });
}
