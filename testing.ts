/**
 * What Varve is tested with, for programs that keep their data in it: a disk that forgets what was not synced, and a helper that
 * lets the power fail behind every one of a program's disk operations.
 *
 * @module
 */
export { SimulatedDisk } from "./src/testing/simulated_disk.ts";
export type {
  ChanceOfFault,
  DiskOperationName,
  FailNextOptions,
  Fault,
  Latency,
  RottenBit,
  SimulatedDiskOptions,
  SimulatedFile,
} from "./src/testing/disk_plans.ts";
export {
  CrashFailure,
  type CrashReport,
  everyCrash,
  type EveryCrashOptions,
  type Note,
} from "./src/testing/every_crash.ts";
export {
  type KeyChange,
  type MergeChange,
  type OperationOptions,
  type RangeChange,
  type StoreChange,
  type StoreOperation,
  storeOperations,
  type WriteDurability,
} from "./src/testing/operations.ts";
