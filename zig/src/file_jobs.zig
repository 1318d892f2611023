//! FileJob: opening, reading, writing and naming the files of a store. Arguments come from shared memory and are
//! checked here. `result` is zero (open: the handle), errno or Code; `value` counts bytes or entries.

const std = @import("std");
const abi = @import("abi.zig");
const coalesce = @import("coalesce.zig");
const directory_table = @import("directory_table.zig");
const disk = @import("disk.zig");
const file_name = @import("file_name.zig");
const file_table = @import("file_table.zig");
const region = @import("region.zig");
const system = @import("system.zig");
const File = file_table.File;
const Store = @import("store.zig").Store;

const invalid = abi.Code.invalid.int();
const closed = abi.Code.closed.int();
const Name = [file_name.name_bytes_max]u8;

pub fn run(store: *Store, opcode: abi.Opcode, job: *abi.FileJob) void {
    if (store.read_only) switch (opcode) {
        .file_write, .file_truncate, .file_allocate, .file_rename, .file_unlink, .file_link => {
            job.head.result = system.failure(.ROFS);
            return;
        },
        else => {},
    };
    const result: i64 = switch (opcode) {
        .file_open => open(store, job),
        .file_close => file_table.close(job.file, store.handle),
        .file_rename, .file_unlink, .file_link, .directory_sync, .directory_list => inDirectory(store, opcode, job),
        else => onFile(store, opcode, job),
    };
    job.head.result = @intCast(result);
}

fn open(store: *Store, job: *abi.FileJob) i64 {
    var buffer: Name = undefined;
    const name = nameOf(job.kind, job.number, &buffer) orelse return invalid;
    const flags = job.file_flags;
    if (flags & ~(abi.FileFlag.create | abi.FileFlag.direct | abi.FileFlag.read_only) != 0) return invalid;
    const mode: disk.OpenMode = .{
        .create = flags & abi.FileFlag.create != 0,
        .direct = flags & abi.FileFlag.direct != 0,
        .read_only = flags & abi.FileFlag.read_only != 0 or store.read_only,
    };
    if (mode.create and mode.read_only) return if (store.read_only) system.failure(.ROFS) else invalid;
    const place = Place.of(store, job.directory) orelse return closed;
    defer place.leave();
    const file = switch (file_table.open(store.disk, place.directory, name, mode, store.counters)) {
        .failed => |result| return result,
        .file => |file| file,
    };
    const bytes = file.size();
    if (bytes < 0) {
        file.close();
        return bytes;
    }
    if (!file.direct) job.file_flags &= ~abi.FileFlag.direct;
    const handle = file_table.publish(file, store.handle);
    if (handle < 0) {
        file.close();
        return handle;
    }
    job.file = handle;
    job.head.value = @floatFromInt(bytes);
    return handle;
}

fn onFile(store: *Store, opcode: abi.Opcode, job: *abi.FileJob) i64 {
    const file = file_table.acquire(job.file, store.handle) orelse return closed;
    defer file_table.release(job.file);
    switch (opcode) {
        .file_read => {
            const target = partOf(job) orelse return invalid;
            const offset = whole(job.offset) orelse return invalid;
            const is_sparse = job.head.flags & abi.JobFlag.sparse != 0;
            return counted(job, if (is_sparse) file.preadData(target, offset) else file.pread(target, offset));
        },
        .file_write => {
            const source = partOf(job) orelse return invalid;
            const offset = whole(job.offset) orelse return invalid;
            const parts = [1]disk.IoVec{.{ .base = source.ptr, .len = source.len }};
            file_table.add(&store.counters.writes_in, 1);
            return counted(job, file.pwritev(&parts, offset, isDurable(job)).result);
        },
        .file_sync => return file.dataSync(),
        .file_truncate => return file.truncate(whole(job.bytes) orelse return invalid),
        .file_allocate => {
            const offset = whole(job.offset) orelse return invalid;
            const bytes = whole(job.bytes) orelse return invalid;
            if (bytes == 0) return 0;
            const result = file.allocate(offset, bytes);
            if (result < 0 or job.head.flags & abi.JobFlag.zero == 0) return result;
            return writeZeros(file, offset, bytes);
        },
        .file_size => return counted(job, file.size()),
        else => unreachable,
    }
}

/// In the zero pages of the process; never written.
var zeros: [64 * 1024]u8 align(4096) = @splat(0);

fn writeZeros(file: *File, offset: u64, bytes: u64) i64 {
    var parts: [16]disk.IoVec = undefined;
    var at = offset;
    const end = offset + bytes;
    while (at < end) {
        var count: usize = 0;
        const start = at;
        while (at < end and count < parts.len) : (count += 1) {
            const length: usize = @intCast(@min(zeros.len, end - at));
            parts[count] = .{ .base = &zeros, .len = length };
            at += length;
        }
        const outcome = file.pwritev(parts[0..count], start, false);
        if (outcome.result < 0) return outcome.result;
    }
    return 0;
}

/// The store's own directory, or another one that jobs have opened (directory_table.zig), held until `leave`.
const Place = struct {
    directory: disk.DirectoryHandle,
    held: i32,

    fn of(store: *Store, id: i32) ?Place {
        if (id == 0) return .{ .directory = store.directory, .held = 0 };
        const other = directory_table.acquire(id, store.handle) orelse return null;
        return .{ .directory = other.handle, .held = id };
    }

    fn leave(self: Place) void {
        if (self.held != 0) directory_table.release(self.held);
    }
};

/// What is done to names, and to a directory as a whole.
fn inDirectory(store: *Store, opcode: abi.Opcode, job: *abi.FileJob) i64 {
    const on = store.disk;
    const place = Place.of(store, job.directory) orelse return closed;
    defer place.leave();
    if (opcode == .directory_sync) return on.vtable.directory_sync(on.context, place.directory);
    if (opcode == .directory_list) return list(on, place.directory, job);

    var buffer: Name = undefined;
    const name = nameOf(job.kind, job.number, &buffer) orelse return invalid;
    if (opcode == .file_unlink) return on.vtable.unlink(on.context, place.directory, name);

    var target_buffer: Name = undefined;
    const target = nameOf(job.target_kind, job.target_number, &target_buffer) orelse return invalid;
    if (opcode == .file_rename) return on.vtable.rename(on.context, place.directory, name, target);
    const target_place = Place.of(store, job.target_directory) orelse return closed;
    defer target_place.leave();
    return on.vtable.link(on.context, place.directory, name, target_place.directory, target);
}

const Listing = struct {
    entries: []abi.DirectoryEntry,
    count: usize = 0,

    fn visit(context: *anyopaque, name: []const u8, bytes: u64) i32 {
        const self: *Listing = @ptrCast(@alignCast(context));
        const id = file_name.parse(name) orelse return 0;
        if (self.count < self.entries.len) self.entries[self.count] = .{
            .kind = @intFromEnum(id.kind),
            .reserved = 0,
            .number = @floatFromInt(id.number),
            .bytes = @floatFromInt(bytes),
        };
        self.count += 1;
        return 0;
    }
};

/// `value`: how many there are. `Code.exhausted` if there is no room for all; ask again with more.
fn list(on: disk.Disk, directory: disk.DirectoryHandle, job: *abi.FileJob) i64 {
    const target = partOf(job) orelse return invalid;
    if (@intFromPtr(target.ptr) % @alignOf(abi.DirectoryEntry) != 0) return invalid;
    const room = target.len / @sizeOf(abi.DirectoryEntry);
    const entries: [*]abi.DirectoryEntry = @ptrCast(@alignCast(target.ptr));
    var listing: Listing = .{ .entries = entries[0..room] };
    const result = on.vtable.directory_list(on.context, directory, &listing, Listing.visit);
    job.head.value = @floatFromInt(listing.count);
    if (result < 0) return result;
    return if (listing.count > room) abi.Code.exhausted.int() else 0;
}

// ---------------------------------------------------------------------------------------------------------------

/// Writes to one file, all durable or none: sorted, merged, and carried out in as few calls as will do.
/// They succeed or fail together. REQUIRES: all are `file_write` on one file with the same flags.
pub fn writeTogether(store: *Store, jobs: []const *abi.FileJob) void {
    var result: i64 = 0;
    if (store.read_only) {
        result = system.failure(.ROFS);
    } else if (file_table.acquire(jobs[0].file, store.handle)) |file| {
        defer file_table.release(jobs[0].file);
        result = writeAll(store, file, jobs);
    } else result = closed;
    for (jobs) |job| {
        job.head.value = if (result < 0) 0 else job.bytes;
        job.head.result = if (result < 0) @intCast(result) else 0;
    }
}

const Target = struct {
    file: *File,
    durable: bool,

    fn write(context: *anyopaque, parts: []const disk.IoVec, offset: u64) i64 {
        const self: *Target = @ptrCast(@alignCast(context));
        return self.file.pwritev(parts, offset, self.durable).result;
    }
};

fn writeAll(store: *Store, file: *File, jobs: []const *abi.FileJob) i64 {
    var writes: [64]coalesce.Write = undefined;
    for (jobs, writes[0..jobs.len]) |job, *write| {
        const bytes = partOf(job) orelse return invalid;
        write.* = .{ .offset = whole(job.offset) orelse return invalid, .bytes = bytes };
    }
    file_table.add(&store.counters.writes_in, jobs.len);
    var target: Target = .{ .file = file, .durable = isDurable(jobs[0]) };
    const sink: coalesce.Sink = .{ .context = &target, .write = Target.write };
    return coalesce.write(std.heap.c_allocator, sink, writes[0..jobs.len]).result;
}

// ---------------------------------------------------------------------------------------------------------------

fn isDurable(job: *const abi.FileJob) bool {
    return job.head.flags & abi.JobFlag.durable != 0;
}

/// The lock file is nobody's business but the disk's.
fn nameOf(kind: u32, number: f64, buffer: *Name) ?[]const u8 {
    if (kind == @intFromEnum(abi.FileKind.lock)) return null;
    return file_name.format(kind, number, buffer);
}

pub fn partOf(job: *const abi.FileJob) ?[]u8 {
    return region.part(job.region, whole(job.region_offset) orelse return null, whole(job.bytes) orelse return null);
}

fn counted(job: *abi.FileJob, result: i64) i64 {
    if (result < 0) return result;
    job.head.value = @floatFromInt(result);
    return 0;
}

/// A whole number from 0 to 2^53, or nothing.
pub fn whole(value: f64) ?u64 {
    if (!(value >= 0 and value <= 1 << 53) or @floor(value) != value) return null;
    return @intFromFloat(value);
}
