//! BlobWriteJob and BlobReadJob: large values to and from their segments (docs/blobs.md).
//!
//! A value is written from where it lies: the rest of its last block is zeroed in its own region, so nothing is copied
//! and direct I/O takes it whole. Arguments come from shared memory and are checked here.

const std = @import("std");
const abi = @import("abi.zig");
const blob_set = @import("blob_set.zig");
const checksum = @import("checksum.zig");
const coalesce = @import("coalesce.zig");
const disk = @import("disk.zig");
const fault = @import("fault.zig");
const file_jobs = @import("file_jobs.zig");
const file_table = @import("file_table.zig");
const job_dispatch = @import("job_dispatch.zig");
const region = @import("region.zig");
const system = @import("system.zig");
const Fault = fault.Fault;
const File = file_table.File;
const Store = @import("store.zig").Store;

const invalid: i64 = abi.Code.invalid.int();

/// Values for one segment, neighbours in one call. They succeed or fail together.
/// REQUIRES: all are for one file, `job_dispatch.together_max` at most.
pub fn write(store: *Store, jobs: []const *abi.BlobWriteJob) void {
    const result: i64 = if (store.read_only)
        system.failure(.ROFS)
    else if (file_table.acquire(jobs[0].file, store.handle)) |file| written: {
        defer file_table.release(jobs[0].file);
        break :written writeAll(store, file, jobs);
    } else abi.Code.closed.int();
    for (jobs) |job| {
        job.head.value = if (result < 0) 0 else @floatFromInt(padded(job.bytes));
        job.head.result = if (result < 0) @intCast(result) else 0;
    }
}

const Target = struct {
    file: *File,
    calls: u64 = 0,

    fn write(context: *anyopaque, parts: []const disk.IoVec, offset: u64) i64 {
        const self: *Target = @ptrCast(@alignCast(context));
        const outcome = self.file.pwritev(parts, offset, false);
        self.calls += outcome.calls;
        return outcome.result;
    }
};

fn writeAll(store: *Store, file: *File, jobs: []const *abi.BlobWriteJob) i64 {
    var writes: [job_dispatch.together_max]coalesce.Write = undefined;
    for (jobs, writes[0..jobs.len]) |job, *each| each.* = prepare(job) orelse return invalid;
    var target: Target = .{ .file = file };
    const sink: coalesce.Sink = .{ .context = &target, .write = Target.write };
    const outcome = coalesce.write(std.heap.c_allocator, sink, writes[0..jobs.len]);
    _ = @atomicRmw(u64, &store.counters.blob_write_calls, .Add, target.calls, .monotonic);
    return outcome.result;
}

/// Completes the value's checksum and its last block.
fn prepare(job: *abi.BlobWriteJob) ?coalesce.Write {
    const number = file_jobs.whole(job.number) orelse return null;
    const offset = file_jobs.whole(job.offset) orelse return null;
    if (offset % abi.block_bytes != 0 or job.bytes > abi.value_bytes_max) return null;
    const blocks = region.part(job.region, 0, padded(job.bytes)) orelse return null;
    job.checksum = blob_set.checksumOf(checksum.crc32c(blocks[0..job.bytes]), number, offset);
    @memset(blocks[job.bytes..], 0);
    return .{ .offset = offset, .bytes = blocks };
}

/// `Code.corruption`: the file's number is in `detail`, the offset in `value`.
pub fn read(store: *Store, job: *abi.BlobReadJob) void {
    var failure: Fault = .{};
    readInto(store, job, &failure) catch {
        job.head.result = failure.code;
        job.head.detail = failure.detail();
        job.head.value = @floatFromInt(failure.offset);
    };
}

fn readInto(store: *Store, job: *const abi.BlobReadJob, failure: *Fault) fault.Error!void {
    if (job.address.bytes > abi.value_bytes_max) return failure.fail(.invalid);
    const target = region.part(job.region, 0, padded(job.address.bytes)) orelse return failure.fail(.invalid);
    try store.blobs.read(job.address, target, failure);
}

fn padded(bytes: u32) u64 {
    return std.mem.alignForward(u64, bytes, abi.block_bytes);
}
