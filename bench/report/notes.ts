/**
 * What a reader of a table must know and no figure says: why a target is missed, why a form is slower than another. Written by
 * hand after a measurement, by workload; the page shows it under the table.
 */
export const notes: Readonly<Record<string, string>> = {
  W1:
    "LMDB is asynchronous here: it gathers puts and waits once at its end, as Varve's `put` does and `putSync` does not. " +
    "`putSync` is a system call for each put; half of its time is the kernel's `pwrite`.",
  W4: "`put` pays one turn of the event loop for each sync, `putSync` none.",
  device:
    "[Direct and buffered writes](hand-over.md#why-buffered-writes-vary-more-than-direct-ones): why the latter vary more.",
  W11:
    "Direct and buffered make the same calls; [why the latter vary more](hand-over.md#why-buffered-writes-vary-more-than-direct-ones).",
  W12:
    "A direct read of a large value goes to the device each time, whatever the cache's size; RocksDB's block cache holds values. So RocksDB's direct rows " +
    "gain from 1 GiB of cache while the data are small. [Why buffered varies more](hand-over.md#why-buffered-writes-vary-more-than-direct-ones).",
  W13: "The Workers fill, and the main thread keeps the time alone. One of them hosts the store.",
  transfer:
    "The latency is what one value costs the program's thread. [Why a handover can look slower than a copy](hand-over.md), and what was counted.",
  calls:
    "Coalescing is not an option but what happens to puts that wait at the same time: the second form awaits each put before the next.",
};
