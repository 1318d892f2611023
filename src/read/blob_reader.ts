/** Reads large values by their address, on this thread or on an I/O thread, checked against it. */
import type { ValueMemory } from "../blob/value_memory.ts";
import { type ValueAddress, writeAddress } from "../format/blob_address.ts";
import type { Files } from "../native/files.ts";
import { BlobReadJob, FileKind, Lane, Opcode, VALUE_BYTES_MAX } from "../native/layout.gen.ts";
import { native } from "../native/library.ts";
import { takeJob, type Task } from "../native/task.ts";
import { WOULD_BLOCK } from "./pending.ts";
import type { ValueDecoder } from "./value_decoder.ts";
import { damaged, tableError, tableJobError } from "./table_failure.ts";

const ATTEMPT = "Cannot read";

export interface BlobReadCounters {
  /** Large values read, and their bytes. */
  blobReads: number;
  blobBytes: number;
}

export class BlobReader {
  readonly counters: BlobReadCounters = { blobReads: 0, blobBytes: 0 };

  /** `live`: the segments on record, by number. */
  constructor(
    readonly store: number,
    readonly files: Files,
    readonly memory: ValueMemory,
    readonly live: Pick<ReadonlyMap<number, unknown>, "has">,
  ) {}

  /** Straight into the result's own memory. */
  read<V>(address: ValueAddress, decoder: ValueDecoder<V>): V {
    this.#requirePossible(address);
    const { number, offset, bytes, checksum } = address;
    const value = new Uint8Array(new ArrayBuffer(bytes));
    const { varve_blob_read } = native().call;
    const result = varve_blob_read(this.store, number, offset, bytes, checksum, value);
    if (result < 0) throw tableError(this.files, result, ATTEMPT);
    this.#count(bytes);
    return decoder.decode(value);
  }

  /**
   * By way of native memory, from which the result is copied, or decoded. `WOULD_BLOCK`: the segment has been removed since the address
   * was read, and the key's value lies elsewhere.
   */
  *readTask<V>(
    address: ValueAddress,
    decoder: ValueDecoder<V>,
  ): Task<V | typeof WOULD_BLOCK> {
    this.#requirePossible(address);
    const { jobs } = this.files;
    const region = this.memory.take(address.bytes);
    try {
      const job = yield* takeJob(jobs, Opcode.blobRead, Lane.read);
      writeAddress(jobs.shared.u32, (job + BlobReadJob.address) >> 2, address);
      jobs.shared.i32[(job + BlobReadJob.region) >> 2] = region.id;
      yield job;
      if (jobs.result(job) < 0) {
        const error = tableJobError(this.files, job, ATTEMPT);
        if (!this.live.has(address.number)) return WOULD_BLOCK;
        throw error;
      }
      jobs.release(job);
      const { bytes } = address;
      this.#count(bytes);
      return decoder.decode(
        decoder.keepsBytes ? region.u8.slice(0, bytes) : region.u8.subarray(0, bytes),
      );
    } finally {
      this.memory.give(region);
    }
  }

  /** Memory is taken for what an address claims, before its segment is asked; nobody writes a value beyond the bound. */
  #requirePossible({ number, offset, bytes }: ValueAddress): void {
    if (bytes <= VALUE_BYTES_MAX) return;
    throw damaged(this.files, ATTEMPT, { kind: FileKind.blob, number }, offset);
  }

  #count(bytes: number): void {
    this.counters.blobReads++;
    this.counters.blobBytes += bytes;
  }
}
