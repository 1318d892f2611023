/** Point reads of a Worker without the engine: the same as everywhere, with the catalog pinned meanwhile. */
import type { ValueMemory } from "../blob/value_memory.ts";
import type { Pending } from "../read/pending.ts";
import { BlobReader } from "../read/blob_reader.ts";
import { PointReader, type ReadTarget, type TimeSource } from "../read/point_reader.ts";
import type { Foundation } from "../store/store.ts";
import type { Mirror } from "./mirror.ts";

export class GuestReader extends PointReader {
  readonly #mirror: Mirror;

  constructor(
    { files, context, handle }: Foundation,
    clock: TimeSource,
    memory: ValueMemory,
    mirror: Mirror,
  ) {
    super(files, context, clock, new BlobReader(handle, files, memory, mirror));
    this.#mirror = mirror;
  }

  override get<V>(
    target: ReadTarget<V>,
    key: Uint8Array | string,
    sequence: number,
    time: number | undefined,
  ): V | undefined {
    this.#mirror.enter();
    try {
      return super.get(target, key, sequence, time);
    } finally {
      this.#mirror.leave();
    }
  }

  override getCached<V>(
    target: ReadTarget<V>,
    key: Uint8Array | string,
    sequence: number,
    time: number | undefined,
  ): V | undefined | Pending {
    this.#mirror.enter();
    try {
      return super.getCached(target, key, sequence, time);
    } finally {
      this.#mirror.leave();
    }
  }
}
