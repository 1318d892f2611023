//! The calls of a simulated disk that are about a file's data. Each takes the disk's mutex; disk_simulated.zig has the
//! vtable.

const checksum = @import("checksum.zig");
const disk = @import("disk.zig");
const simulated_state = @import("simulated_state.zig");
const system = @import("system.zig");
const Inode = @import("simulated_file.zig").Inode;
const Handle = simulated_state.Handle;
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

/// It knows of no holes.
pub fn nextData(_: *anyopaque, _: usize, offset: u64, end: *u64) disk.Result {
    end.* = ~@as(u64, 0);
    return @intCast(offset);
}

pub fn pread(context: *anyopaque, handle: usize, buffer: []u8, offset: u64) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const found = self.handleOf(handle) orelse return crashed;
    const seen = found.target.file.seen.items;
    const available = if (offset < seen.len) seen[@intCast(offset)..] else "";
    const whole: usize = @min(buffer.len, available.len);
    var done: usize = 0;
    while (true) {
        var piece = buffer.len - done;
        var result: i64 = 0;
        switch (self.transferFault(.read)) {
            .failed => |errno| result = errno,
            .short => if (whole - done > 1) {
                piece = self.random.random().intRangeLessThan(usize, 1, whole - done);
            },
            else => {},
        }
        const at = .{ offset + done, piece };
        if (self.note(.read, found.directory, found.target.file.name, " {d} +{d}", at, result) < 0) return result;
        const copied = @min(piece, whole - done);
        @memcpy(buffer[done..][0..copied], available[done..][0..copied]);
        done += copied;
        if (done == whole) return @intCast(done);
    }
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
    const found = self.handleOf(handle) orelse return .{ .result = crashed, .calls = 1 };
    if (found.read_only) return .{ .result = system.failure(.BADF), .calls = 1 };
    var bytes: u64 = 0;
    for (parts) |part| bytes += part.len;
    var done: u64 = 0;
    var calls: u32 = 1;
    while (true) : (calls += 1) {
        const piece: Piece = .{ .parts = parts, .start = done, .end = bytes };
        const result = write(self, found, piece, offset, data_sync);
        if (result < 0) return .{ .result = result, .calls = calls };
        done += @intCast(result);
        if (done == bytes) return .{ .result = @intCast(bytes), .calls = calls };
        // The power may fail between the pieces of a write, too.
        if (self.off) return .{ .result = crashed, .calls = calls };
    }
}

/// Bytes of a gathered write, from one place in it to another.
const Piece = struct {
    parts: []const disk.IoVec,
    start: u64,
    end: u64,

    const Iterator = struct {
        piece: Piece,
        index: usize = 0,
        position: u64 = 0,

        fn next(self: *Iterator) ?[]const u8 {
            while (self.index < self.piece.parts.len) {
                const part = self.piece.parts[self.index];
                const base = self.position;
                self.index += 1;
                self.position += part.len;
                const from = @max(base, self.piece.start);
                const to = @min(self.position, self.piece.end);
                if (from < to) return part.base[@intCast(from - base)..@intCast(to - base)];
            }
            return null;
        }
    };

    fn each(self: Piece) Iterator {
        return .{ .piece = self };
    }

    fn bytes(self: Piece) u64 {
        return self.end - self.start;
    }
};

/// One call: the bytes that it wrote, or an error.
fn write(self: *Simulated, found: *Handle, asked: Piece, offset: u64, data_sync: bool) i64 {
    var piece = asked;
    const planned = self.transferFault(.write);
    if (planned == .short and piece.bytes() > 1) {
        piece.end = piece.start + self.random.random().intRangeLessThan(u64, 1, piece.bytes());
    }
    var content: u32 = 0;
    var slices = piece.each();
    while (slices.next()) |slice| content = checksum.crc32cContinue(content, slice);
    const inode = found.target.file;
    const failed = if (planned == .failed) planned.failed else 0;
    const result: i64 = written(self, inode, piece, offset, data_sync, failed) catch no_memory;
    const arguments = .{ offset + piece.start, piece.bytes(), content };
    return if (data_sync)
        self.note(.write, found.directory, inode.name, " {d} +{d} #{x:0>8} synced", arguments, result)
    else
        self.note(.write, found.directory, inode.name, " {d} +{d} #{x:0>8}", arguments, result);
}

/// A write that fails may have written its front.
fn written(
    self: *Simulated,
    inode: *Inode,
    asked: Piece,
    offset: u64,
    data_sync: bool,
    planned: i64,
) error{OutOfMemory}!i64 {
    const start = offset + asked.start;
    const bytes = asked.bytes();
    if (start > file_bytes_max or bytes > file_bytes_max - start) return system.failure(.FBIG);
    var failed = planned;
    var count = if (failed < 0) self.random.random().uintAtMost(u64, bytes) else bytes;
    if (start + count > inode.seen.items.len) {
        const room = self.room();
        const growth = start + count - inode.seen.items.len;
        if (growth > room) {
            failed = system.failure(.NOSPC);
            count = (inode.seen.items.len + room) -| start;
        }
    }
    const sync_failed = if (failed == 0 and data_sync) self.fault(.sync) else 0;
    const synced = data_sync and failed == 0 and sync_failed == 0;
    var front = asked;
    front.end = front.start + count;
    var slices = front.each();
    var at = start;
    while (slices.next()) |slice| {
        try inode.write(at, slice, synced);
        at += slice.len;
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
