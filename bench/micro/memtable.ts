/** The memtable alone: no log, no pipeline. 16 B keys and 100 B values, 200,000 of them. */
import { bench, do_not_optimize, group } from "mitata";
import { KeyProbe } from "../../src/memtable/key_probe.ts";
import { Memtable } from "../../src/memtable/memtable.ts";
import { EntryType } from "../../src/native/layout.gen.ts";
import { reserveRegion } from "../../src/native/region.ts";

const ENTRIES = 200_000;
const KEY_WORDS = 4;
const VALUE_BYTES = 100;
const ENTRY_WORDS = KEY_WORDS + VALUE_BYTES / 4;
/** Far from a small multiple of the count, so that keys come in no order that a cache likes. */
const STRIDE = 104_729;

export function registerMemtable(): void {
  const source = reserveRegion(ENTRIES * ENTRY_WORDS * 4);
  for (let entry = 0; entry < ENTRIES; entry++) {
    source.u32.set([entry * STRIDE, entry, 7, 7], entry * ENTRY_WORDS);
  }
  const key = new KeyProbe(source, 0);
  const point = (entry: number): number => {
    const start = (entry % ENTRIES) * ENTRY_WORDS;
    key.point(source.u32, start, KEY_WORDS * 4);
    return start;
  };
  const filled = Memtable.create(0, 1 << 28, 0, 0);
  let sequence = 1;
  const insert = (memtable: Memtable, entry: number): void => {
    const start = point(entry);
    memtable.insert(key, EntryType.put, sequence++, start + KEY_WORDS, VALUE_BYTES, 0);
  };
  for (let entry = 0; entry < ENTRIES; entry++) insert(filled, entry);

  group("memtable", () => {
    let scratch = Memtable.create(0, 1 << 28, 0, 0);
    let at = 0;
    bench("insert", () => {
      if (!scratch.fits(16, VALUE_BYTES)) {
        scratch.release();
        scratch = Memtable.create(0, 1 << 28, 0, 0);
      }
      insert(scratch, at++);
    });
    bench("find, there", () => {
      point(at += 7919);
      do_not_optimize(filled.find(key, sequence));
    });
    bench("find, missing", () => {
      source.u32[2] = at++;
      key.point(source.u32, 0, KEY_WORDS * 4);
      do_not_optimize(filled.find(key, sequence));
    });
  });
}
