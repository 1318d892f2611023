/** Handing a buffer over against copying it, for values that fill whole blocks and for values that do not. */
import { clock, type Measurement } from "../harness/measurement.ts";
import { required, type Store } from "../peers/peer.ts";
import { DEFAULT_MEMTABLE_BYTES, MiB, type Stage, withStore, type Workload } from "./workload.ts";
import { type DataSet, HeldDataSet } from "../harness/data_set.ts";

const ALIGNED_COPY = "aligned, copied";
const ALIGNED_TRANSFER = "aligned, transferred";
const UNALIGNED_COPY = "unaligned, copied";
const UNALIGNED_TRANSFER = "unaligned, transferred";

/** Past the end of the last whole block. */
const UNALIGNED_BYTES = 100;
const PUTS_AT_ONCE = 16;

async function measure(stage: Stage): Promise<Measurement[]> {
  const { run, options } = stage;
  const isAligned = run.variant === ALIGNED_COPY || run.variant === ALIGNED_TRANSFER;
  const valueBytes = run.valueBytes + (isAligned ? 0 : UNALIGNED_BYTES);
  const data = new HeldDataSet({ ...run, valueBytes });
  const isHandedOver = run.variant === ALIGNED_TRANSFER || run.variant === UNALIGNED_TRANSFER;
  return await withStore({ ...stage, options: { ...options, valueBytes } }, async (store) => {
    const sync = required(store, "sync");
    const seconds = await clock(async () => {
      await (isHandedOver ? putTransferred(store, data) : putCopied(store, data));
      await sync();
    });
    return [{
      operations: data.count,
      seconds,
      bytes: data.count * valueBytes,
      verification: data.verify((key) => store.getSync(key)),
      warmUp: "none",
      notDone: ["both ways make each value in a buffer first: that copy is the program's own work"],
    }];
  });
}

/** The program makes its value in a buffer of its own, again and again the same one. */
async function putCopied(store: Store, data: DataSet): Promise<void> {
  const put = required(store, "put");
  const own = new Uint8Array(data.valueBytes);
  let newest: Promise<unknown> | undefined;
  for (let index = 0; index < data.count; index++) {
    own.set(data.value(index));
    newest = put(data.key(index), own);
    if ((index + 1) % PUTS_AT_ONCE === 0) await newest;
  }
  await newest;
}

/** The program makes its value in a buffer of the store's. */
async function putTransferred(store: Store, data: DataSet): Promise<void> {
  const allocate = required(store, "allocate");
  const put = required(store, "putTransferred");
  let newest: Promise<unknown> | undefined;
  for (let index = 0; index < data.count; index++) {
    const value = allocate(data.valueBytes);
    value.set(data.value(index));
    newest = put(data.key(index), value);
    if ((index + 1) % PUTS_AT_ONCE === 0) await newest;
  }
  await newest;
}

export const transfer: Workload = {
  id: "transfer",
  title:
    "put of 1 MiB with and without transfer, on aligned and unaligned values, sync() at the end",
  need: "transfer",
  durability: "buffered",
  sizes: { smoke: 8, full: 2048 },
  valueBytes: MiB,
  writers: [1],
  variants: [ALIGNED_COPY, ALIGNED_TRANSFER, UNALIGNED_COPY, UNALIGNED_TRANSFER],
  unit: "MB/s",
  memory: { memtableBytes: DEFAULT_MEMTABLE_BYTES, cacheBytes: 64 * MiB },
  diskBytesPerOperation: 2 * MiB,
  targets: [[ALIGNED_TRANSFER, ALIGNED_COPY], [UNALIGNED_TRANSFER, UNALIGNED_COPY]].map(
    ([variant, copied]) => ({
      text: `handing over is not slower than copying, ${variant}`,
      of: { variant },
      against: { roles: ["subject"] as const, variant: copied },
      least: 1,
    }),
  ),
  measure,
};
