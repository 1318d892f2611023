//! LogWriteJob: one group of the log, from the regions where it was encoded to the file. The frame's header is
//! made here; its layout is `abi.LogFrame`. Also the check of a frame that recovery reads back.
//!
//! Buffered way: header and extents go out as they lie, in one `pwritev`, with zeros up to a multiple of eight.
//! Blocks way: they are copied behind one another into an aligned buffer and padded with zeros to whole blocks.

const std = @import("std");
const abi = @import("abi.zig");
const checksum = @import("checksum.zig");
const disk = @import("disk.zig");
const file_jobs = @import("file_jobs.zig");
const file_table = @import("file_table.zig");
const region = @import("region.zig");
const staging = @import("staging.zig");
const system = @import("system.zig");
const File = file_table.File;
const Store = @import("store.zig").Store;

const header_bytes = @sizeOf(abi.LogFrame);
const checksum_bytes = @sizeOf(u32);
/// Frames between two syncs begin at a multiple of it.
pub const padding_bytes = 8;
pub const gathered_bytes_max = 2048;
const invalid: i64 = abi.Code.invalid.int();

const zeros: [padding_bytes]u8 = @splat(0);

pub fn run(store: *Store, job: *abi.LogWriteJob) void {
    job.head.result = @intCast(write(store, job));
}

fn write(store: *Store, job: *abi.LogWriteJob) i64 {
    if (store.read_only) return system.failure(.ROFS);
    const flags = job.head.flags;
    const in_blocks = flags & abi.JobFlag.blocks != 0;
    const durable = flags & abi.JobFlag.durable != 0;
    const offset = file_jobs.whole(job.offset) orelse return invalid;
    if (offset % @as(u64, if (in_blocks) abi.block_bytes else padding_bytes) != 0) return invalid;
    if (job.extent_count > abi.log_extents_max or job.sync_file_count > abi.log_sync_files_max) return invalid;

    // Header, extents, padding.
    var parts: [abi.log_extents_max + 2]disk.IoVec = undefined;
    var payload: u64 = 0;
    for (job.extents[0..job.extent_count], 1..) |extent, index| {
        const bytes = region.part(extent.region, extent.offset, extent.bytes) orelse return invalid;
        parts[index] = .{ .base = bytes.ptr, .len = bytes.len };
        payload += bytes.len;
    }
    if (payload > std.math.maxInt(u32) - header_bytes) return invalid;

    var frame: abi.LogFrame = .{
        .checksum = 0,
        .payload_bytes = @intCast(payload),
        .chain = job.chain,
        .mark = job.mark,
        .segment = job.segment,
        .synced_segment = job.synced_segment,
        .synced_offset = job.synced_offset,
    };
    seal(&frame, parts[1..][0..job.extent_count]);
    parts[0] = .{ .base = std.mem.asBytes(&frame), .len = header_bytes };
    var part_count = 1 + job.extent_count;
    const frame_bytes = header_bytes + payload;

    const file = file_table.acquire(job.file, store.handle) orelse return abi.Code.closed.int();
    defer file_table.release(job.file);
    if (durable) {
        const synced = syncOlder(store, job);
        if (synced < 0) return synced;
    }
    // The write's own sync covers the write's own bytes only.
    const sync_behind = durable and flags & abi.JobFlag.sync_file != 0;
    const sync_within = durable and !sync_behind;

    const end = std.mem.alignForward(u64, offset + frame_bytes, if (in_blocks) abi.block_bytes else padding_bytes);
    var result: i64 = undefined;
    if (in_blocks) {
        result = writeBlocks(file, parts[0..part_count], offset, end, sync_within);
    } else {
        const padding: usize = @intCast(end - offset - frame_bytes);
        if (padding > 0) {
            parts[part_count] = .{ .base = &zeros, .len = padding };
            part_count += 1;
        }
        result = writeBytes(file, parts[0..part_count], offset, sync_within);
    }
    if (result >= 0 and sync_behind) result = file.dataSync();
    if (result < 0) return result;

    _ = @atomicRmw(u64, &store.counters.writes_in, .Add, job.write_count, .monotonic);
    job.frame_checksum = frame.checksum;
    job.end_offset = @floatFromInt(end);
    job.head.value = @floatFromInt(end - offset);
    return 0;
}

/// Gives a frame its checksum, over all that follows it.
pub fn seal(frame: *abi.LogFrame, payload: []const disk.IoVec) void {
    frame.checksum = checksum.crc32c(std.mem.asBytes(frame)[checksum_bytes..]);
    for (payload) |part| frame.checksum = checksum.crc32cContinue(frame.checksum, part.base[0..part.len]);
}

fn syncOlder(store: *Store, job: *abi.LogWriteJob) i64 {
    for (job.sync_files[0..job.sync_file_count]) |handle| {
        const file = file_table.acquire(handle, store.handle) orelse return abi.Code.closed.int();
        defer file_table.release(handle);
        const result = file.dataSync();
        if (result < 0) return result;
    }
    return 0;
}

/// A small frame is copied together first: one plain write costs the system less than a vector of three parts.
fn writeBytes(file: *File, parts: []const disk.IoVec, offset: u64, sync: bool) i64 {
    var gathered: [gathered_bytes_max]u8 = undefined;
    const whole = [1]disk.IoVec{gather(parts, &gathered) orelse return file.pwritev(parts, offset, sync).result};
    return file.pwritev(&whole, offset, sync).result;
}

/// The parts as one, where there is room for them.
pub fn gather(parts: []const disk.IoVec, into: *[gathered_bytes_max]u8) ?disk.IoVec {
    var filled: usize = 0;
    for (parts) |part| {
        if (part.len > into.len - filled) return null;
        @memcpy(into[filled..][0..part.len], part.base[0..part.len]);
        filled += part.len;
    }
    return .{ .base = into, .len = filled };
}

/// As one aligned write; a frame larger than the staging buffer in several, synced behind the last.
fn writeBlocks(file: *File, parts: []const disk.IoVec, offset: u64, end: u64, sync: bool) i64 {
    const buffer = staging.take(end - offset) orelse return system.failure(.NOMEM);
    defer staging.give(buffer);
    const one_write = end - offset <= buffer.len;
    var at = offset;
    var filled: usize = 0;
    for (parts) |part| {
        var rest = part.base[0..part.len];
        while (rest.len > 0) {
            const take = @min(rest.len, buffer.len - filled);
            @memcpy(buffer[filled..][0..take], rest[0..take]);
            filled += take;
            rest = rest[take..];
            if (filled < buffer.len or at + filled == end) continue;
            const result = file.write(buffer, at);
            if (result < 0) return result;
            at += filled;
            filled = 0;
        }
    }
    const last: usize = @intCast(end - at);
    @memset(buffer[filled..last], 0);
    const whole = [1]disk.IoVec{.{ .base = buffer.ptr, .len = last }};
    const result = file.pwritev(&whole, at, sync and one_write).result;
    if (result < 0) return result;
    return if (sync and !one_write) file.dataSync() else result;
}

// ---------------------------------------------------------------------------------------------------------------

pub const Check = enum(i32) {
    valid = 0,
    /// A header of zeros: nothing was written here.
    empty = 1,
    /// Torn, damaged, or of another segment.
    invalid = 2,
};

/// What a segment's frames carry: in a reused one there are older frames, and whatever else users wrote there.
pub const Origin = struct { segment: f64, mark: u32 = 0 };

/// The frame at the front of `bytes`, which end where the file, or what was read of it, does.
pub fn check(bytes: []const u8, origin: Origin) Check {
    if (bytes.len < header_bytes) return if (std.mem.allEqual(u8, bytes, 0)) .empty else .invalid;
    if (std.mem.allEqual(u8, bytes[0..header_bytes], 0)) return .empty;
    const frame = std.mem.bytesToValue(abi.LogFrame, bytes[0..header_bytes]);
    if (frame.payload_bytes > bytes.len - header_bytes) return .invalid;
    if (frame.segment != origin.segment or frame.mark != origin.mark) return .invalid;
    const covered = bytes[checksum_bytes .. header_bytes + frame.payload_bytes];
    return if (checksum.crc32c(covered) == frame.checksum) .valid else .invalid;
}
