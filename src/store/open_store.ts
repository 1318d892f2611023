/** A store as handles use it: the engine itself, or another Worker's, of which this one has a view. */
import type { ValueMemory } from "../blob/value_memory.ts";
import type { WritePipeline } from "../commit/writer.ts";
import type { Files } from "../native/files.ts";
import type { Jobs } from "../native/jobs.ts";
import type { Region } from "../native/region.ts";
import type { Task } from "../native/task.ts";
import type { PointReader } from "../read/point_reader.ts";
import type { Family, FamilyTuning } from "../tree/family.ts";
import type { KeySpan } from "../tree/key_span.ts";
import type { CheckpointTarget } from "./checkpoint.ts";
import type { Clock } from "./clock.ts";
import type { Events } from "./events.ts";
import type { Families } from "./families.ts";
import type { Foundation, OperatorName, Store, StoreHandle } from "./store.ts";

export interface OpenStore {
  readonly foundation: Foundation;
  readonly handles: Set<StoreHandle>;
  readonly path: string;
  readonly jobs: Jobs;
  readonly files: Files;
  readonly events: Events;
  readonly context: Region;
  readonly valueMemory: ValueMemory;
  readonly families: Families;
  readonly clock: Clock;
  readonly health: { requireSound(attempt: string): void };
  /** The newest sequence number that a reader may see. */
  readonly visibility: { readonly visible: number };
  readonly snapshots: { hold(sequence: number): void; release(sequence: number): void };
  readonly pipeline: WritePipeline;
  readonly isClosed: boolean;
  readonly isReleased: boolean;
  readonly readOnly: boolean;
  /** Describes the engine, for Workers that have none; the public module's. */
  describe: ((engine: Store) => unknown) | undefined;
  requireWritable(attempt: string): void;
  newReader(): PointReader;
  openFamily(
    name: string,
    tuning: FamilyTuning,
    operator: OperatorName | undefined,
  ): Task<Family>;
  dropFamily(name: string): Task<void>;
  flush(): Task<void>;
  compact(families: Iterable<Family>, span: KeySpan): Task<void>;
  checkpoint(target: CheckpointTarget): Task<void>;
  verify(): Task<void>;
  close(): Task<void>;
  endHandles(): void;
  /** What the engine in another Worker says; absent where it is this one's. */
  remoteStats?(): unknown;
}
