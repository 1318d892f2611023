/**
 * What a reader of a table must know and no figure says: why a target is missed, why a form is slower than another. Written by
 * hand after a measurement, by workload; the page shows it under the table.
 */
export const notes: Readonly<Record<string, string>> = {
  W1:
    "LMDB is asynchronous here: it gathers puts and waits once at its end, as Varve's `put` does and `putSync` does not. " +
    "The minutes differed: RocksDB's two runs made 152 and 254 k/s, and by the better run of each `putSync` is 2.7 (Bun) and 3.0 (Deno) × RocksDB; in a run an hour before 2.4 and 2.5. " +
    "`putSync` is one call into the library and one `pwrite`: of some 1.3 µs the kernel has 0.7, which every peer with a log pays as well; JavaScript has 0.2, checksum, memtable and " +
    "the rest of the call share what is left, and no function stands out. Tried: the pipeline's state machine for each put (1.1 × RocksDB; now it lends the log's tail), a write buffer for each put (a quarter slower than the caller's own memory), a vector of three parts " +
    "instead of one gathered write (slower). What would be left is not to make the system call: a mapped log, which a full disk or a cut file turns into SIGBUS, or an acknowledgement before the system has the bytes.",
  W2:
    "Without the log a put is the memtable's two to three cache misses, the encoding, and the flushes that run on the other processor. " +
    "What it would take: several puts' slots asked for before the first is filled, as runs of a turn do.",
  W3:
    "`putSync` as in W1. Bytes written by `putSync`: 184 in the log for each put of 116, where RocksDB has 141: a frame's header of 40 bytes and a run's of 16 are there for each group, and a group is one put; a smaller " +
    "header for groups of one run would reach it. Space: the log keeps the segment that the active memtable stands on, up to 64 MiB beside 348 MB of data at this size; at 10 million entries that share is a third.",
  W4:
    "`put` pays one turn of the event loop for each sync, `putSync` none. What `putSync` lacks to the device's rate is the time between two syncs on one thread, some 25 µs of 155: checksum, a job, the memtable; " +
    "and fio writes the same 4 KiB again and again, a log does not.",
  W5:
    "One group of 64 is on its way at a time, and carries 64: 63.5 puts a sync, counted. So the rate is 64 by the time of one synced write of 68 KiB, and the median put is that time. The next segment is written ahead with " +
    "zeros on the same device meanwhile, half of all bytes. Tried: closing the group inside the first `put` (groups of 1 and 63 by turns, half the rate). What it would take: two frames on their way with " +
    "acknowledgements in order, and segments used again instead of written ahead.",
  W6:
    "With a million entries a get is cache misses: the caller's own key, the slot, the entry, the value. Tried: an index in arrays that fit the cache's pages, plain loads instead of `Atomics` (10 to 20 ns each, seven of them), " +
    "keys hashed while they are copied. With 5,000 entries it is 5.5 M/s. What it would take: gets that overlap their misses, which is what `getMany` is for.",
  W7:
    "The RocksDB row in JavaScript is the one that a program can have; against it Varve is 2.2 to 2.5 times as fast. Against C++: a get makes about nine locked operations (pins of version, table and block, the cache's shard), " +
    "and misses the processor's cache at index, block and value. What it would take: pins held per Worker and not per get.",
  W8: "As W7.",
  W9:
    "An entry is a pair of arrays made in JavaScript: in Bun copies, of some 60 ns each, in Deno views of a page. What it would take: fewer of them, which is what `pages` is. Pages, which make none, are ahead of C++ in both.",
  W10:
    "Of some 10 µs for a seek and 51 entries 4 are the library's, 2 range, view and cursor, and the rest the 51 pairs of arrays. Tried: a first page that holds all 51 (kept: three calls instead of four), plain loads in the memtable. Not built: pooled cursors and " +
    "one call for open and fill, for opening and closing cost 0.6 to 1 µs together. What it would take: `entries` that hands out pages, as `pages()` does.",
  device:
    "[Direct and buffered writes](hand-over.md#why-buffered-writes-vary-more-than-direct-ones): why the latter vary more.",
  W11:
    "A GiB at this size, so that making the first segments counts: they double from a few MiB, and each is reserved, named and put on record. `putSync` waits for each value, as BlobDB does; `put` has a few under way. " +
    "A plain loop promises nothing: no log, no address, no checksum (0.1 ms for each MiB). What it would take: larger first segments where values are large, the checksum on the I/O threads. " +
    "Direct and buffered make the same calls; [why the latter vary more](hand-over.md#why-buffered-writes-vary-more-than-direct-ones).",
  W12:
    "A direct read of a large value goes to the device each time, whatever the cache's size; RocksDB's block cache holds values. So RocksDB's direct rows " +
    "gain from 1 GiB of cache while the data are small. [Why buffered varies more](hand-over.md#why-buffered-writes-vary-more-than-direct-ones).",
  W13:
    "The Workers fill, and the main thread keeps the time alone. One of them hosts the store; each commits its own puts at the log's tail, by one call: a place under a lock held for some 0.1 µs, the kernel's `pwrite` at the same time as others', an end in the order of the places. " +
    "Within one file the kernel writes for one thread at a time: two threads make 1.4 million such writes a second together, to two files 2.9. Stores of their own are faster by `putSync`, for nobody there waits for another's order; what one store gives for it is that order, one sync and batches over all families. " +
    "A million entries for each Worker, as for each of RocksDB's threads. In another run of the same day, before Deno's Workers were kept from collecting their heaps at every rotation, Bun had 3.9, 3.7, 4.8 and 5.6 for `putSync` with a family each and Deno 4.8, 3.5, 2.8 and 3.2: by the better of the two no cell of these is below 3. " +
    "8 Workers beside 2: eight threads take turns on two processors, each with its own compiled code and its own heap (200 MiB of the harness's entries, which V8 goes through on further threads). By `put` a turn's writes are one such call. " +
    "Tried before: a ring to the host for each `putSync`, 48 to 68 k/s with any number of Workers; one lock around place, `pwrite` and memtable, 300 to 600; every second Worker's frames in a file of their own, 1.00 to 1.12 times as many as in one (they wait for their turn instead). What it would take: more processors, so that nobody who has a place in the order loses the one it runs on.",
  W14:
    "Replay reads, checks and fills memtables in the library. After a kill the unsynced end of the log is written once more and synced before the store opens, for after a failed sync the page cache may hold what no later sync would write; " +
    "RocksDB does not, and so the rate is bounded by what the device writes, 450 to 520 MB/s through the page cache here. What it would take: that sync put off to the first write.",
  W16:
    "At a hundredth of the size the stores lie in memory. A is half updates of 1 KiB by the same path as W1, each with a `pwrite` of a kibibyte. C has no write in it: by `put` and by `putSync` it is the same work, and what differs is noise of one run.",
  transfer:
    "The latency is what one value costs the program's thread. [Why a handover can look slower than a copy](hand-over.md), and what was counted.",
  calls:
    "Coalescing is not an option but what happens to puts that wait at the same time: the second form awaits each put before the next.",
};
