//! Open files. A `File` is an open file with its own sync batcher and its store's counters; Zig code may hold
//! one by pointer. TypeScript holds it by handle: a small integer with a generation, so that use after close
//! is `Code.closed` and never another's file. A file closed while jobs use it closes when the last one is done.
//! Any thread may call.

const std = @import("std");
const abi = @import("abi.zig");
const disk = @import("disk.zig");
const HandleTable = @import("handle_table.zig").HandleTable;
const SyncBatcher = @import("sync_batcher.zig").SyncBatcher;

const gpa = std.heap.c_allocator;

pub const File = struct {
    disk: disk.Disk,
    handle: disk.FileHandle,
    /// True where reads and writes bypass the page cache: offsets, lengths and memory in whole blocks.
    direct: bool,
    syncs: SyncBatcher = .{},
    counters: ?*abi.Counters,
    /// The store whose handles lead to the file.
    owner: i32 = 0,

    /// Short only at the end of the file. Negative: errno or Code.
    pub fn pread(self: *File, buffer: []u8, offset: u64) i64 {
        const result = self.disk.vtable.pread(self.disk.context, self.handle, buffer, offset);
        if (self.counters) |all| {
            add(&all.read_calls, 1);
            if (result > 0) add(&all.bytes_read, @intCast(result));
        }
        return result;
    }

    /// As `pread`, but holes are not read; nothing at all where nothing but a hole follows.
    pub fn preadData(self: *File, buffer: []u8, offset: u64) i64 {
        const stop = offset + buffer.len;
        var at = offset;
        while (at < stop) {
            var end: u64 = undefined;
            const found = self.disk.vtable.next_data(self.disk.context, self.handle, at, &end);
            if (found < 0) return found;
            const start: u64 = @intCast(found);
            if (start == end and at == offset) return 0;
            const from: u64 = if (start == end) stop else @min(start, stop);
            const until = @max(from, @min(end, stop));
            @memset(buffer[@intCast(at - offset)..@intCast(from - offset)], 0);
            const got = self.pread(buffer[@intCast(from - offset)..@intCast(until - offset)], from);
            if (got < 0) return got;
            at = from + @as(u64, @intCast(got));
            if (at < until) break;
        }
        return @intCast(at - offset);
    }

    /// Everything or an error. With `data_sync` the bytes are on stable storage when it returns; where that
    /// fails the file is never synced again (sync_batcher.zig).
    pub fn pwritev(self: *File, parts: []const disk.IoVec, offset: u64, data_sync: bool) disk.WriteOutcome {
        const outcome = self.pwritevUncounted(parts, offset, data_sync);
        if (self.counters) |all| {
            add(&all.write_calls, outcome.calls);
            if (outcome.result > 0) add(&all.bytes_written, @intCast(outcome.result));
            if (data_sync) add(&all.syncs, 1);
        }
        return outcome;
    }

    /// The same for a caller that counts by itself: the counters are every thread's, and change hands with each addition.
    pub fn pwritevUncounted(self: *File, parts: []const disk.IoVec, offset: u64, data_sync: bool) disk.WriteOutcome {
        const outcome = self.disk.vtable.pwritev(self.disk.context, self.handle, parts, offset, data_sync);
        if (data_sync and outcome.result < 0) self.syncs.fail(outcome.result);
        return outcome;
    }

    pub fn write(self: *File, bytes: []const u8, offset: u64) i64 {
        const parts = [1]disk.IoVec{.{ .base = bytes.ptr, .len = bytes.len }};
        return self.pwritev(&parts, offset, false).result;
    }

    pub fn dataSync(self: *File) i64 {
        return self.syncs.request(self, syncNow, self.counters);
    }

    pub fn size(self: *File) i64 {
        return self.disk.vtable.size(self.disk.context, self.handle);
    }

    pub fn truncate(self: *File, bytes: u64) i64 {
        return self.disk.vtable.truncate(self.disk.context, self.handle, bytes);
    }

    pub fn allocate(self: *File, offset: u64, bytes: u64) i64 {
        return self.disk.vtable.allocate(self.disk.context, self.handle, offset, bytes);
    }

    /// REQUIRES: nobody uses the file, and it is in no table (see `release`).
    pub fn close(self: *File) void {
        self.disk.vtable.file_close(self.disk.context, self.handle);
        gpa.destroy(self);
    }

    /// For the table of handles.
    pub fn destroy(self: *File) void {
        self.close();
    }

    fn syncNow(self: *File) i64 {
        return self.disk.vtable.data_sync(self.disk.context, self.handle);
    }
};

pub const Opened = union(enum) {
    file: *File,
    /// errno or Code, negative.
    failed: i64,
};

pub fn open(
    on: disk.Disk,
    directory: disk.DirectoryHandle,
    name: []const u8,
    mode: disk.OpenMode,
    counters: ?*abi.Counters,
) Opened {
    const file = gpa.create(File) catch return .{ .failed = abi.Code.no_memory.int() };
    var opened: disk.OpenedFile = undefined;
    const result = on.vtable.file_open(on.context, directory, name, mode, &opened);
    if (result < 0) {
        gpa.destroy(file);
        return .{ .failed = result };
    }
    file.* = .{ .disk = on, .handle = opened.handle, .direct = opened.direct, .counters = counters };
    if (counters) |all| add(&all.files_opened, 1);
    return .{ .file = file };
}

// ---------------------------------------------------------------------------------------------------------------

var table: HandleTable(File) = .{};

/// Gives the file a handle; the table closes it from now on. Positive, or a Code.
pub fn publish(file: *File, owner: i32) i32 {
    file.owner = owner;
    return table.open(file) orelse abi.Code.exhausted.int();
}

/// The file, kept open until `release`. Null if the handle was closed, never given out, or is another store's.
pub fn acquire(handle: i32, owner: i32) ?*File {
    const file = table.acquire(handle) orelse return null;
    if (file.owner == owner) return file;
    table.release(handle);
    return null;
}

pub fn release(handle: i32) void {
    table.release(handle);
}

/// Ends the handle at once, the file when its last user has released it.
pub fn close(handle: i32, owner: i32) i32 {
    _ = acquire(handle, owner) orelse return abi.Code.closed.int();
    defer release(handle);
    return if (table.close(handle)) 0 else abi.Code.closed.int();
}

/// Closes whatever the store left open. REQUIRES: no job of that store runs.
pub fn closeAll(owner: i32) void {
    var cursor: u32 = 0;
    while (table.next(&cursor)) |handle| _ = close(handle, owner);
}

/// Of `abi.Counters`: any thread adds, and none orders anything by them.
pub fn add(counter: *u64, by: u64) void {
    _ = @atomicRmw(u64, counter, .Add, by, .monotonic);
}
