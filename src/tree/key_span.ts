/** The part of the key space that a table speaks for: from its smallest key to its largest, as `largest_kind` means it. */
import { compareBytes } from "../base/bytes.ts";
import type { TableRecord } from "../format/manifest_edit.ts";
import { BoundKind } from "../native/layout.gen.ts";

export interface KeySpan {
  /** Inclusive. */
  readonly lower: Uint8Array;
  readonly upper: Uint8Array;
  /** `BoundKind`: how `upper` is meant. */
  readonly kind: number;
}

export function spanOf({ smallestKey, largestKey, largestKind }: TableRecord): KeySpan {
  return { lower: smallestKey, upper: largestKey, kind: largestKind };
}

/** A span of a resolved range: `upper` is exclusive, `undefined` for no bound. */
export function rangeSpan(lower: Uint8Array, upper: Uint8Array | undefined): KeySpan {
  return upper === undefined
    ? { lower, upper: new Uint8Array(0), kind: BoundKind.unbounded }
    : { lower, upper, kind: BoundKind.exclusive };
}

/** Whether a span ends before a key. */
export function endsBefore({ upper, kind }: KeySpan, key: Uint8Array): boolean {
  if (kind === BoundKind.unbounded) return false;
  const order = compareBytes(upper, key);
  return kind === BoundKind.inclusive ? order < 0 : order <= 0;
}

export function overlaps(a: KeySpan, b: KeySpan): boolean {
  return !endsBefore(a, b.lower) && !endsBefore(b, a.lower);
}

/** The smallest span that holds all of these. REQUIRES: at least one. */
export function union(spans: readonly KeySpan[]): KeySpan {
  return spans.reduce((whole, span) => {
    const lower = compareBytes(span.lower, whole.lower) < 0 ? span.lower : whole.lower;
    const { upper, kind } = reachesFurther(span, whole) ? span : whole;
    return { lower, upper, kind };
  });
}

function reachesFurther(a: KeySpan, b: KeySpan): boolean {
  if (b.kind === BoundKind.unbounded) return false;
  if (a.kind === BoundKind.unbounded) return true;
  const order = compareBytes(a.upper, b.upper);
  return order > 0 ||
    (order === 0 && a.kind === BoundKind.inclusive && b.kind === BoundKind.exclusive);
}
