/** `Varve`: an open store, which is also its own `"default"` column family. */
import { fileURLToPath } from "node:url";
import { resolve as resolvePath } from "node:path";
import { closed, invalidArgument, quote, unsupported, VarveError } from "../base/errors.ts";
import { failureIsCode } from "./failures.ts";
import { REAL_DISK, removeDirectory } from "../native/store_handle.ts";
import { runTask, runTaskSync, type Task } from "../native/task.ts";
import { EVENT_NAMES, type EventName, type Listener } from "../store/events.ts";
import { DEFAULT_FAMILY } from "../store/families.ts";
import { attach, attachSync, detach, detachSync, type StoreLocation } from "../store/registry.ts";
import type { Store } from "../store/store.ts";
import type { Family } from "../tree/family.ts";
import { ColumnFamily } from "./column_family.ts";
import {
  type KeyEncodingOption,
  type KeyInput,
  type KeyOutput,
  resolveKeyEncoding,
} from "./encodings/key_encoding.ts";
import {
  resolveValueEncoding,
  type ValueEncodingOption,
  type ValueInput,
  type ValueOutput,
} from "./encodings/value_encoding.ts";
import { Handle } from "./handle.ts";
import {
  type ColumnFamilyOptions,
  type OpenOptions,
  type ResolvedFamilyOptions,
  type ResolvedOptions,
  validateColumnFamilyOptions,
  validateFamilyName,
  validateOpenOptions,
  type WriteOptions,
} from "./options.ts";
import type { Range } from "./range.ts";
import { promised } from "./signals.ts";
import { Snapshot } from "./snapshot.ts";
import { type Stats, statsOf } from "./stats.ts";
import { WriteBatch } from "./write_batch.ts";
import { addOperations, type BatchOperation } from "./batch_operations.ts";
