//! From a job's opcode to the code that carries it out. Runs on whichever thread the runner chose; fills in
//! `result` and `value`, never `state`.

const std = @import("std");
const abi = @import("abi.zig");
const blob_jobs = @import("blob_jobs.zig");
const directory_jobs = @import("directory_jobs.zig");
const file_jobs = @import("file_jobs.zig");
const log_writer = @import("log_writer.zig");
const tables = @import("tables.zig");
const Store = @import("store.zig").Store;

/// Runs one job, or several that `joins` allowed to be run together.
pub fn run(store: *Store, heads: []const *abi.JobHead) void {
    _ = @atomicRmw(u64, &store.counters.jobs_run, .Add, heads.len, .monotonic);
    for (heads) |each| {
        each.result = 0;
        each.value = 0;
    }
    const head = heads[0];
    const opcode = std.enums.fromInt(abi.Opcode, head.opcode) orelse {
        head.result = abi.Code.invalid.int();
        return;
    };
    if (opcode == .blob_write) {
        var jobs: [together_max]*abi.BlobWriteJob = undefined;
        for (heads, jobs[0..heads.len]) |each, *job| job.* = @ptrCast(@alignCast(each));
        return blob_jobs.write(store, jobs[0..heads.len]);
    }
    if (heads.len > 1) {
        var jobs: [together_max]*abi.FileJob = undefined;
        for (heads, jobs[0..heads.len]) |each, *job| job.* = @ptrCast(@alignCast(each));
        return file_jobs.writeTogether(store, jobs[0..heads.len]);
    }
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
        .blob_write => unreachable,
        .blob_read => blob_jobs.read(store, @ptrCast(@alignCast(head))),
        .table_flush, .table_open, .table_verify, .compaction_step, .table_get, .cursor_fill => tables.run(store, head),
    }
}

/// So many jobs at most are carried out together.
pub const together_max = 64;

/// Values of more bytes together keep more than one thread busy: one call for all of them would gain nothing.
const values_together_bytes_max = 1 << 20;

/// Whether `next` may be carried out together with `first`, which comes before it in the queue, and those between,
/// `bytes` in all.
pub fn joins(first: *const abi.JobHead, next: *const abi.JobHead, bytes: u64) bool {
    if (first.opcode != next.opcode or first.flags != next.flags) return false;
    const opcode = std.enums.fromInt(abi.Opcode, first.opcode) orelse return false;
    switch (opcode) {
        .file_write => {
            const one: *const abi.FileJob = @ptrCast(@alignCast(first));
            const other: *const abi.FileJob = @ptrCast(@alignCast(next));
            return one.file == other.file;
        },
        .blob_write => {
            const one: *const abi.BlobWriteJob = @ptrCast(@alignCast(first));
            const other: *const abi.BlobWriteJob = @ptrCast(@alignCast(next));
            return one.file == other.file and bytes + other.bytes <= values_together_bytes_max;
        },
        else => return false,
    }
}

/// What counts for `joins`.
pub fn bytesOf(head: *const abi.JobHead) u64 {
    if (head.opcode != @intFromEnum(abi.Opcode.blob_write)) return 0;
    const job: *const abi.BlobWriteJob = @ptrCast(@alignCast(head));
    return job.bytes;
}
