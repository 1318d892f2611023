/**
 * What a store tells its listeners. Listeners run from the microtask queue, never inside a stage of the engine, and one that
 * throws ends up where uncaught errors of the program do.
 */
import { VarveError } from "../base/errors.ts";
import type { Task } from "../native/task.ts";

export interface FlushEvent {
  readonly columnFamily: string;
  readonly entries: number;
  readonly bytes: number;
  readonly milliseconds: number;
}

export interface CompactionEvent {
  readonly columnFamily: string;
  /** Why it was worth it: `"level 0"`, `"level size"`, `"tombstones"`, `"garbage"` or `"manual"`. */
  readonly reason: string;
  /** Where the outputs went. */
  readonly level: number;
  readonly tablesIn: number;
  readonly tablesOut: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly milliseconds: number;
}

export interface StallEvent {
  /** What writers wait for. */
  readonly reason: string;
}

export interface EventTypes {
  flush: FlushEvent;
  compaction: CompactionEvent;
  stall: StallEvent;
  error: VarveError;
}

export type EventName = keyof EventTypes;
export type Listener<Name extends EventName> = (event: EventTypes[Name]) => void;

export const EVENT_NAMES: readonly EventName[] = ["flush", "compaction", "stall", "error"];

export class Events {
  readonly #listeners = new Map<EventName, Set<Listener<never>>>();

  add<Name extends EventName>(name: Name, listener: Listener<Name>): void {
    const listeners = this.#listeners.get(name) ?? new Set();
    listeners.add(listener as Listener<never>);
    this.#listeners.set(name, listeners);
  }

  remove<Name extends EventName>(name: Name, listener: Listener<Name>): void {
    this.#listeners.get(name)?.delete(listener as Listener<never>);
  }

  /** Nobody listens any more. */
  clear(): void {
    this.#listeners.clear();
  }

  emit<Name extends EventName>(name: Name, event: EventTypes[Name]): void {
    for (const listener of this.#listeners.get(name) ?? []) {
      queueMicrotask(() => (listener as Listener<Name>)(event));
    }
  }

  /** Runs a task whose failure costs only space: it becomes an `"error"` event, and the result is `undefined`. */
  *reporting<T>(task: Task<T>): Task<T | undefined> {
    try {
      return yield* task;
    } catch (error) {
      if (!(error instanceof VarveError)) throw error;
      this.emit("error", error);
      return undefined;
    }
  }
}
