//! The calls of a simulated disk that are about a file's data. Each takes the disk's mutex; disk_simulated.zig has the
//! vtable.

const checksum = @import("checksum.zig");
const disk = @import("disk.zig");
const simulated_state = @import("simulated_state.zig");
const system = @import("system.zig");
const Inode = @import("simulated_file.zig").Inode;
const Simulated = simulated_state.Simulated;
const crashed = simulated_state.crashed;
const no_memory = simulated_state.no_memory;
const of = simulated_state.of;

/// A wrong offset is to be an error, not all of memory.
const file_bytes_max = 1 << 32;

pub fn fileOpen(
    context: *anyopaque,
    directory_handle: usize,
    name: []const u8,
    mode: disk.OpenMode,
    out: *disk.OpenedFile,
) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const directory = self.directoryOf(directory_handle) orelse return crashed;
    const found = directory.names.get(name);
    const inode = if (mode.create) made: {
        if (found != null) return self.note(.create, directory, name, "", .{}, system.failure(.EXIST));
        switch (self.createFile(directory, name)) {
            .made => |inode| break :made inode,
            .failed => |result| return result,
        }
    } else opened: {
        var failed = self.fault(.open);
        if (failed == 0 and found == null) failed = system.failure(.NOENT);
        if (failed == 0 and found.? == .directory) failed = system.failure(.ISDIR);
        if (self.note(.open, directory, name, "", .{}, failed) < 0) return failed;
        break :opened found.?.file;
    };
    const handle = self.makeHandle(.{ .file = inode }, directory, mode.read_only);
    if (handle < 0) return handle;
    out.* = .{ .handle = @intCast(handle), .direct = mode.direct };
    return 0;
}

pub fn pread(context: *anyopaque, handle: usize, buffer: []u8, offset: u64) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const found = self.handleOf(handle) orelse return crashed;
    const inode = found.target.file;
    var result = self.fault(.read);
    if (result == 0 and offset < inode.seen.items.len) {
        const rest = inode.seen.items[@intCast(offset)..];
        const count = @min(buffer.len, rest.len);
        @memcpy(buffer[0..count], rest[0..count]);
        result = @intCast(count);
    }
    return self.note(.read, found.directory, inode.name, " {d} +{d}", .{ offset, buffer.len }, result);
}

pub fn pwritev(
    context: *anyopaque,
    handle: usize,
    parts: []const disk.IoVec,
    offset: u64,
    data_sync: bool,
) disk.WriteOutcome {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    return .{ .result = write(self, handle, parts, offset, data_sync), .calls = 1 };
}

fn write(self: *Simulated, handle: usize, parts: []const disk.IoVec, offset: u64, data_sync: bool) i64 {
    const found = self.handleOf(handle) orelse return crashed;
    if (found.read_only) return system.failure(.BADF);
    const inode = found.target.file;
    var bytes: u64 = 0;
    var content: u32 = 0;
    for (parts) |part| {
        bytes += part.len;
        content = checksum.crc32cContinue(content, part.base[0..part.len]);
    }
    const result: i64 = written(self, inode, parts, bytes, offset, data_sync) catch no_memory;
    const arguments = .{ offset, bytes, content };
    return if (data_sync)
        self.note(.write, found.directory, inode.name, " {d} +{d} #{x:0>8} synced", arguments, result)
    else
        self.note(.write, found.directory, inode.name, " {d} +{d} #{x:0>8}", arguments, result);
}

/// A write that fails may have written its front.
fn written(
    self: *Simulated,
    inode: *Inode,
    parts: []const disk.IoVec,
    bytes: u64,
    offset: u64,
    data_sync: bool,
) error{OutOfMemory}!i64 {
    if (offset > file_bytes_max or bytes > file_bytes_max - offset) return system.failure(.FBIG);
    var failed = self.fault(.write);
    var count = if (failed < 0) self.random.random().uintAtMost(u64, bytes) else bytes;
    if (offset + count > inode.seen.items.len) {
        const room = self.room();
        const growth = offset + count - inode.seen.items.len;
        if (growth > room) {
            failed = system.failure(.NOSPC);
            count = (inode.seen.items.len + room) -| offset;
        }
    }
    const sync_failed = if (failed == 0 and data_sync) self.fault(.sync) else 0;
    const synced = data_sync and failed == 0 and sync_failed == 0;
    var at: u64 = 0;
    for (parts) |part| {
        const take = @min(part.len, count - at);
        try inode.write(offset + at, part.base[0..@intCast(take)], synced);
        at += take;
    }
    if (sync_failed < 0) {
        const mood = self.drawMood();
        try inode.lose(&mood);
        return sync_failed;
    }
    return if (failed < 0) failed else @intCast(bytes);
}

/// A failed sync forgets what it did not write: the next one succeeds, and the data is gone.
pub fn dataSync(context: *anyopaque, handle: usize) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const found = self.handleOf(handle) orelse return crashed;
    const inode = found.target.file;
    const failed = self.fault(.sync);
    if (failed < 0) {
        const mood = self.drawMood();
        inode.lose(&mood) catch return no_memory;
    } else inode.sync() catch return no_memory;
    return self.note(.sync, found.directory, inode.name, "", .{}, failed);
}

pub fn allocate(context: *anyopaque, handle: usize, offset: u64, bytes: u64) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const found = self.handleOf(handle) orelse return crashed;
    if (offset > file_bytes_max or bytes > file_bytes_max - offset) return system.failure(.FBIG);
    const inode = found.target.file;
    const end = offset + bytes;
    var result = self.fault(.allocate);
    if (result == 0 and end > inode.seen.items.len) {
        if (end - inode.seen.items.len > self.room()) {
            result = system.failure(.NOSPC);
        } else inode.resize(end) catch return no_memory;
    }
    return self.note(.allocate, found.directory, inode.name, " {d} +{d}", .{ offset, bytes }, result);
}

pub fn truncate(context: *anyopaque, handle: usize, bytes: u64) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const found = self.handleOf(handle) orelse return crashed;
    if (bytes > file_bytes_max) return system.failure(.FBIG);
    const result = self.fault(.truncate);
    if (result == 0) found.target.file.resize(bytes) catch return no_memory;
    return self.note(.truncate, found.directory, found.target.file.name, " {d}", .{bytes}, result);
}

pub fn size(context: *anyopaque, handle: usize) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const found = self.handleOf(handle) orelse return crashed;
    return @intCast(found.target.file.seen.items.len);
}
