/**
 * Varve: an embedded, ordered, durable key-value store for Deno and Bun.
 *
 * @example
 * ```ts
 * import { Varve } from "varve";
 *
 * await using db = await Varve.open("./data");
 * await db.put("user:1", "Ada"); // resolved = on stable storage
 * ```
 *
 * @module
 */
export { type FamilyOf, Varve, type VarveOf } from "./src/api/varve.ts";
export { ColumnFamily } from "./src/api/column_family.ts";
export { WriteBatch } from "./src/api/write_batch.ts";
export { Snapshot } from "./src/api/snapshot.ts";
export { Iteration } from "./src/api/iteration.ts";
export { inspectFile } from "./src/api/inspection.ts";
export type { FilePart } from "./src/inspection/part.ts";
export type { Page } from "./src/read/page.ts";
export { VarveError, type VarveErrorCode } from "./src/base/errors.ts";
export type { BatchOperation } from "./src/api/batch_operations.ts";
export type { KeyRange, Range } from "./src/api/range.ts";
export type {
  ColumnFamilyOptions,
  CustomMergeOperator,
  Durability,
  IntegerMerging,
  MergeOperator,
  OpenOptions,
  PutOptions,
  ReadOptions,
  TuningOptions,
  WriteOptions,
} from "./src/api/options.ts";
export type { KeyEncodingOption } from "./src/api/encodings/key_encoding.ts";
export type { ValueEncodingOption } from "./src/api/encodings/value_encoding.ts";
export type { Codec } from "./src/api/encodings/encoding.ts";
export type { Tuple, TupleElement } from "./src/api/encodings/tuple.ts";
export type { LostFile, RepairReport } from "./src/store/repair.ts";
export type { Latency } from "./src/base/histogram.ts";
export type { FamilyStats, LevelStats, Stats } from "./src/api/stats.ts";
export type {
  CompactionEvent,
  EventName,
  EventTypes,
  FlushEvent,
  Listener,
  StallEvent,
} from "./src/store/events.ts";
