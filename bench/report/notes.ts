/**
 * What a reader of a table must know and no figure says: why a target is missed, why a form is slower than another. Written by
 * hand after a measurement, by workload; the page shows it under the table.
 */
export const notes: Readonly<Record<string, string>> = {
  W1:
    "LMDB is asynchronous here: it gathers puts and waits once at its end, as Varve's `put` does and `putSync` does not. " +
    "`putSync` is a system call for each put; half of its time is the kernel's `pwrite`.",
  W4: "`put` pays one turn of the event loop for each sync, `putSync` none.",
  calls:
    "Coalescing is not an option but what happens to puts that wait at the same time: the second form awaits each put before the next.",
};
