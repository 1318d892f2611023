/** The array form of `db.batch`. */
import { invalidArgument, quote } from "../base/errors.ts";
import type { WriteBatch } from "./write_batch.ts";
import type { KeyRange } from "./range.ts";

/** One operation of `db.batch([...])`. Without `columnFamily` it acts on the default family. */
export type BatchOperation<K = unknown, V = unknown> =
  | { type: "put"; key: K; value: V; columnFamily?: object }
  | { type: "delete"; key: K; columnFamily?: object }
  | { type: "deleteRange"; range: KeyRange<K>; columnFamily?: object }
  | { type: "merge"; key: K; value: V; columnFamily?: object };

/** Adds operations to a batch, in order. Throws at the first one that is not one. */
export function addOperations(batch: WriteBatch, operations: readonly BatchOperation[]): void {
  if (!Array.isArray(operations)) {
    throw invalidArgument(`Cannot write batch ${quote(operations)}: takes an array of operations`);
  }
  for (const operation of operations) addOperation(batch, operation);
}

function addOperation(batch: WriteBatch, operation: BatchOperation): void {
  if (typeof operation !== "object" || operation === null) {
    throw invalidArgument(`Cannot write operation ${quote(operation)}: takes an object`);
  }
  const into = operation.columnFamily === undefined ? [] : [operation.columnFamily];
  // The builder's overloads name the family first or leave it out; a spread can only be told so.
  const call = (name: "put" | "delete" | "deleteRange" | "merge", ...rest: unknown[]): void => {
    (batch[name] as (...parameters: unknown[]) => unknown).apply(batch, [...into, ...rest]);
  };
  switch (operation.type) {
    case "put":
      return call("put", operation.key, operation.value);
    case "delete":
      return call("delete", operation.key);
    case "deleteRange":
      return call("deleteRange", operation.range);
    case "merge":
      return call("merge", operation.key, operation.value);
    default: {
      const { type } = operation as { type: unknown };
      throw invalidArgument(
        `Cannot write an operation of type ${quote(type)}: ` +
          `takes "put", "delete", "deleteRange" or "merge"`,
      );
    }
  }
}
