/**
 * Puts a run of encoded entries into the memtables: after its group is durable, and again when recovery replays the log.
 */
import { wordsOf } from "../base/words.ts";
import { inBlocks } from "../blob/value_memory.ts";
import { readAddress, type ValueAddress } from "../format/blob_address.ts";
import { KeyProbe } from "../memtable/key_probe.ts";
import type { Memtable } from "../memtable/memtable.ts";
import { BlobAddress, EntryType, LogEntry, LogRun } from "../native/layout.gen.ts";
import type { Region } from "../native/region.ts";
import type { Family } from "../tree/family.ts";

const ENTRY_WORDS = LogEntry.BYTES >> 2;
const TYPE_AND_KEY_BYTES = LogEntry.typeAndKeyBytes >> 2;
const VALUE_BYTES = LogEntry.valueBytes >> 2;
const FAMILY = LogEntry.family >> 2;
const RUN_WORDS = LogRun.BYTES >> 2;
/** Types are smaller. */
const TYPE_COUNT = 16;
const ADDRESS_WORDS = BlobAddress.BYTES >> 2;

/** The family that takes an entry, or `undefined` to leave it out (dropped, or in a table already). */
export type FamilyOf = (id: number, sequence: number) => Family | undefined;

/** Told of each address of a large value that goes into a memtable. */
export type AddressVisitor = (address: ValueAddress, sequence: number) => void;

export class Applier {
  readonly #key: KeyProbe;
  /** Whether one of the entries so far expires. */
  sawExpiry = false;
  onAddress: AddressVisitor | undefined;
  /** Entries so far, by type. */
  readonly counts = new Float64Array(TYPE_COUNT);

  constructor(context: Region) {
    this.#key = new KeyProbe(context, 0);
  }

  /**
   * Applies the run at byte `offset` of a region. `segment` is the log segment that holds it, zero for none.
   * REQUIRES: the run is sound, and the caller holds the pipeline's claim.
   */
  apply(region: Region, offset: number, segment: number, familyOf: FamilyOf): void {
    const { u32, f64 } = region;
    const entryCount = u32[(offset + LogRun.entryCount) >> 2];
    let sequence = f64[(offset + LogRun.firstSequence) >> 3];
    let word = (offset >> 2) + RUN_WORDS;
    for (let index = 0; index < entryCount; index++, sequence++) {
      word = this.#applyEntry(u32, word, sequence, segment, familyOf);
    }
  }

  /** Applies the one entry at byte `offset`. REQUIRES: as `apply`. */
  applyOne(
    { u32 }: Region,
    offset: number,
    sequence: number,
    segment: number,
    familyOf: FamilyOf,
  ): void {
    this.#applyEntry(u32, offset >> 2, sequence, segment, familyOf);
  }

  /** Returns the word behind the entry. */
  #applyEntry(
    u32: Uint32Array,
    word: number,
    sequence: number,
    segment: number,
    familyOf: FamilyOf,
  ): number {
    const key = this.#key;
    const typeAndKeyBytes = u32[word + TYPE_AND_KEY_BYTES];
    const keyBytes = typeAndKeyBytes >>> 16;
    const valueBytes = u32[word + VALUE_BYTES];
    const valueStart = word + ENTRY_WORDS + wordsOf(keyBytes);
    const family = familyOf(u32[word + FAMILY], sequence);
    if (family !== undefined) {
      key.point(u32, word + ENTRY_WORDS, keyBytes);
      const type = typeAndKeyBytes & 0xff;
      this.counts[type]++;
      const memtable = family.memtableFor(keyBytes, valueBytes);
      if (type === EntryType.deleteRange) {
        memtable.insertRange(key, sequence, valueStart, valueBytes, segment);
      } else {
        memtable.insert(key, type, sequence, valueStart, valueBytes, segment);
        if (type >= EntryType.putExpiring) {
          this.#sawUncommon(memtable, type, u32, valueStart + wordsOf(valueBytes), sequence);
        }
      }
    }
    return valueStart + wordsOf(valueBytes);
  }

  #sawUncommon(
    memtable: Memtable,
    type: number,
    u32: Uint32Array,
    valueEnd: number,
    sequence: number,
  ): void {
    if (type !== EntryType.putBlob) this.sawExpiry = true;
    if (type === EntryType.putExpiring) return;
    const address = readAddress(u32, valueEnd - ADDRESS_WORDS);
    memtable.pointTo(address.number, inBlocks(address.bytes));
    this.onAddress?.(address, sequence);
  }
}
