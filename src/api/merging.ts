/** Merge operators: how the option reads, what of it goes on record, and how a handle folds with one of the user's own. */
import { encodeUtf8 } from "../base/bytes.ts";
import { unsupported } from "../base/errors.ts";
import { MergeOperator as Kind } from "../native/layout.gen.ts";
import { type Merging, nativeMerging, NO_MERGING } from "../read/merging.ts";
import type { OperatorName } from "../store/store.ts";
import type { Encoding } from "./encodings/encoding.ts";
import type { MergeOperator } from "./options.ts";

type AnyOperator = MergeOperator<unknown, unknown> | undefined;

/** What the manifest keeps of an operator. */
export function operatorName(operator: AnyOperator): OperatorName | undefined {
  if (operator === undefined) return undefined;
  return typeof operator === "string"
    ? { kind: Kind[operator], name: operator }
    : { kind: Kind.custom, name: operator.name };
}

/** How a handle with this operator reads merged keys. */
export function mergingOf(
  operator: AnyOperator,
  keyEncoding: Encoding<never, unknown>,
  valueEncoding: Encoding<never, unknown>,
): Merging {
  if (operator === undefined) return NO_MERGING;
  if (typeof operator === "string") return nativeMerging(Kind[operator]);
  return {
    kind: Kind.custom,
    encodings: { key: keyEncoding, value: valueEncoding },
    fold(key, base, operands) {
      const existing = base === undefined ? undefined : valueEncoding.decode(base);
      const values = operands.map((operand) => valueEncoding.decode(operand));
      const result = operator.merge(keyEncoding.decode(key), existing, values);
      // As a put takes it: a reader gets what it would get of a value that was put.
      const prepared = valueEncoding.prepare(result as never);
      return typeof prepared === "string" ? encodeUtf8(prepared) : new Uint8Array(prepared);
    },
  };
}

/** Throws `ERR_UNSUPPORTED` for a handle without an operator. */
export function requireOperator(merging: Merging, familyName: string): void {
  if (merging !== NO_MERGING) return;
  throw unsupported(
    `Cannot merge: column family '${familyName}' was opened without a merge operator`,
  );
}
