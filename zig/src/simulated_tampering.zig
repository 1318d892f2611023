//! What befalls the files of a simulated disk from outside: bits that rot, files that somebody puts in place of others.
//! No operation of anybody's: not counted, not refused while the power is off, durable at once. Any thread may call.
//!
//! Results are zero, a count or an offset; `ENOENT`, `EISDIR`; or `Code.invalid`.

const std = @import("std");
const abi = @import("abi.zig");
const simulated_directory = @import("simulated_directory.zig");
const simulated_state = @import("simulated_state.zig");
const system = @import("system.zig");
const Directory = simulated_directory.Directory;
const Inode = @import("simulated_file.zig").Inode;
const Simulated = simulated_state.Simulated;
const no_memory = simulated_state.no_memory;

const gpa = std.heap.c_allocator;
const invalid: i64 = abi.Code.invalid.int();

/// Turns a bit over. What is null is drawn from the disk's seed. Returns eight times the offset, plus the bit.
pub fn rot(self: *Simulated, path: []const u8, offset: ?u64, bit: ?u3) i64 {
    self.mutex.lock();
    defer self.mutex.unlock();
    const inode = switch (find(self, path)) {
        .failed => |result| return result,
        .file => |file| file,
    };
    const bytes = inode.seen.items.len;
    if (bytes == 0) return invalid;
    const random = self.random.random();
    const at = offset orelse random.uintLessThan(u64, bytes);
    if (at >= bytes) return invalid;
    const turned = bit orelse random.int(u3);
    inode.rot(at, turned);
    self.log.addDamage(path, at, turned);
    return @intCast(at * 8 + turned);
}

/// Bytes of a file from an offset on, as a reader would see them; how many were copied.
pub fn read(self: *Simulated, path: []const u8, offset: u64, out: []u8) i64 {
    self.mutex.lock();
    defer self.mutex.unlock();
    const inode = switch (find(self, path)) {
        .failed => |result| return result,
        .file => |file| file,
    };
    const bytes = inode.seen.items;
    if (offset >= bytes.len) return 0;
    const count = @min(out.len, bytes.len - offset);
    @memcpy(out[0..count], bytes[@intCast(offset)..][0..count]);
    return @intCast(count);
}

/// A file with this content, made with its directories if it is missing.
pub fn put(self: *Simulated, path: []const u8, content: []const u8) i64 {
    self.mutex.lock();
    defer self.mutex.unlock();
    return putFile(self, path, content) catch no_memory;
}

fn putFile(self: *Simulated, path: []const u8, content: []const u8) error{OutOfMemory}!i64 {
    var at = self.root;
    var steps = std.mem.tokenizeScalar(u8, path, '/');
    if (steps.peek() == null) return system.failure(.ISDIR);
    while (steps.next()) |step| {
        const is_last = steps.peek() == null;
        if (at.names.get(step)) |entry| switch (entry) {
            .directory => |next| {
                if (is_last) return system.failure(.ISDIR);
                at = next;
            },
            .file => |inode| {
                if (!is_last) return system.failure(.NOTDIR);
                try inode.replace(content);
                // The name may be one that a crash would undo.
                try at.sync();
            },
        } else if (is_last) {
            const made = try self.makeFile(at, step);
            try made.replace(content);
            try at.sync();
        } else {
            const made = try self.makeDirectory(at, step);
            try at.create(step, .{ .directory = made });
            try at.sync();
            at = made;
        }
    }
    return 0;
}

/// The file's name is gone; who has it open keeps it.
pub fn remove(self: *Simulated, path: []const u8) i64 {
    self.mutex.lock();
    defer self.mutex.unlock();
    const directory = parentOf(self, path) orelse return system.failure(.NOENT);
    const name = std.fs.path.basenamePosix(path);
    const entry = directory.names.get(name) orelse return system.failure(.NOENT);
    if (entry == .directory) return system.failure(.ISDIR);
    directory.remove(name) catch return no_memory;
    directory.sync() catch return no_memory;
    self.sweep();
    return 0;
}

/// The files in a directory as text, a line of size and name each, in the order of making, from an offset in it on.
pub fn list(self: *Simulated, path: []const u8, offset: u64, out: []u8) i64 {
    self.mutex.lock();
    defer self.mutex.unlock();
    const directory = directoryAt(self, path) orelse return system.failure(.NOENT);
    var text: std.ArrayList(u8) = .empty;
    defer text.deinit(gpa);
    for (directory.names.keys(), directory.names.values()) |name, entry| {
        if (entry != .file) continue;
        text.print(gpa, "{d} {s}\n", .{ entry.file.seen.items.len, name }) catch return no_memory;
    }
    if (offset >= text.items.len) return 0;
    const count = @min(out.len, text.items.len - offset);
    @memcpy(out[0..count], text.items[@intCast(offset)..][0..count]);
    return @intCast(count);
}

const Found = union(enum) { file: *Inode, failed: i64 };

fn find(self: *Simulated, path: []const u8) Found {
    const directory = parentOf(self, path) orelse return .{ .failed = system.failure(.NOENT) };
    const entry = directory.names.get(std.fs.path.basenamePosix(path)) orelse {
        return .{ .failed = system.failure(.NOENT) };
    };
    return switch (entry) {
        .file => |inode| .{ .file = inode },
        .directory => .{ .failed = system.failure(.ISDIR) },
    };
}

fn parentOf(self: *Simulated, path: []const u8) ?*Directory {
    return directoryAt(self, std.fs.path.dirnamePosix(path) orelse "/");
}

fn directoryAt(self: *Simulated, path: []const u8) ?*Directory {
    return switch (self.walk(path, false)) {
        .found => |directory| directory,
        .failed => null,
    };
}
