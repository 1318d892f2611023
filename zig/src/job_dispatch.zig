//! From a job's opcode to the code that carries it out. Runs on whichever thread the runner chose; fills in
//! `result` and `value`, never `state`.

const std = @import("std");
const abi = @import("abi.zig");
const directory_jobs = @import("directory_jobs.zig");
const file_jobs = @import("file_jobs.zig");
const log_writer = @import("log_writer.zig");
const tables = @import("tables.zig");
const Store = @import("store.zig").Store;

/// Runs one job, or several that `joins` allowed to be run together.
pub fn run(store: *Store, heads: []const *abi.JobHead) void {
    _ = @atomicRmw(u64, &store.counters.jobs_run, .Add, heads.len, .monotonic);
    if (heads.len > 1) {
        var jobs: [64]*abi.FileJob = undefined;
        for (heads, jobs[0..heads.len]) |head, *job| job.* = @ptrCast(@alignCast(head));
        return file_jobs.writeTogether(store, jobs[0..heads.len]);
    }
    const head = heads[0];
    head.result = 0;
    head.value = 0;
    const opcode = std.enums.fromInt(abi.Opcode, head.opcode) orelse {
        head.result = abi.Code.invalid.int();
        return;
    };
    switch (opcode) {
        .file_open,
        .file_close,
        .file_read,
        .file_write,
        .file_sync,
        .file_truncate,
        .file_allocate,
        .file_rename,
        .file_unlink,
        .file_size,
        .directory_sync,
        .directory_list,
        .file_link,
        => file_jobs.run(store, opcode, @ptrCast(@alignCast(head))),
        .directory_open,
        .subdirectory_open,
        .directory_close,
        .subdirectory_rename,
        .subdirectory_remove,
        => directory_jobs.run(store, opcode, @ptrCast(@alignCast(head))),
        .log_write => log_writer.run(store, @ptrCast(@alignCast(head))),
        .table_flush, .table_open, .table_verify, .compaction_step, .table_get, .cursor_fill => tables.run(store, head),
    }
}

/// Whether `next` may be carried out together with `first`, which comes before it in the queue.
pub fn joins(first: *const abi.JobHead, next: *const abi.JobHead) bool {
    const write = @intFromEnum(abi.Opcode.file_write);
    if (first.opcode != write or next.opcode != write or first.flags != next.flags) return false;
    const one: *const abi.FileJob = @ptrCast(@alignCast(first));
    const other: *const abi.FileJob = @ptrCast(@alignCast(next));
    return one.file == other.file;
}
