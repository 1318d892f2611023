//! The calls of a simulated disk that are about names: directories, locks, renames, removals. Each takes the disk's
//! mutex; disk_simulated.zig has the vtable.

const std = @import("std");
const abi = @import("abi.zig");
const disk = @import("disk.zig");
const simulated_state = @import("simulated_state.zig");
const system = @import("system.zig");
const Directory = @import("simulated_directory.zig").Directory;
const Handle = simulated_state.Handle;
const Simulated = simulated_state.Simulated;
const crashed = simulated_state.crashed;
const no_memory = simulated_state.no_memory;
const of = simulated_state.of;

pub fn handleClose(context: *anyopaque, handle: usize) void {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    self.freeHandle(handle);
}

pub fn directoryOpen(context: *anyopaque, path: []const u8, create_missing: bool) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    if (self.off) return crashed;
    if (path.len == 0) return system.failure(.NOENT);
    return switch (self.walk(path, create_missing)) {
        .failed => |result| result,
        .found => |directory| self.makeHandle(.{ .directory = directory }, directory, false),
    };
}

pub fn directorySync(context: *anyopaque, handle: usize) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    return self.syncNames(self.directoryOf(handle) orelse return crashed);
}

pub fn directoryIdentity(context: *anyopaque, handle: usize) disk.Identity {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const directory = self.directoryOf(handle) orelse return .{ .device = 0, .inode = 0 };
    return .{ .device = 0, .inode = directory.number };
}

/// In the order in which the names were made. `visit` must not use the disk.
pub fn directoryList(
    context: *anyopaque,
    handle: usize,
    visitor: *anyopaque,
    visit: *const fn (*anyopaque, name: []const u8, bytes: u64) i32,
) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const directory = self.directoryOf(handle) orelse return crashed;
    const failed = self.fault(.list);
    if (self.note(.list, directory, "", "", .{}, failed) < 0) return failed;
    for (directory.names.keys(), directory.names.values()) |name, entry| {
        if (entry != .file) continue;
        const result = visit(visitor, name, entry.file.seen.items.len);
        if (result != 0) return result;
    }
    return 0;
}

/// A lock is a handle of the directory; `read_only` where it is shared.
pub fn lock(context: *anyopaque, handle: usize, mode: disk.LockMode) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const directory = self.directoryOf(handle) orelse return crashed;
    if (directory.writer or (mode == .exclusive and directory.readers > 0)) return abi.Code.locked.int();
    if (mode == .exclusive and directory.names.get("LOCK") == null) {
        const result = self.createFile(directory, "LOCK");
        if (result == .failed) return result.failed;
    }
    const made = self.makeHandle(.{ .directory = directory }, directory, mode == .shared);
    if (made < 0) return made;
    if (mode == .exclusive) directory.writer = true else directory.readers += 1;
    return made;
}

pub fn lockOwner(_: *anyopaque, _: usize) i32 {
    return system.processId();
}

pub fn unlock(context: *anyopaque, handle: usize) void {
    const self = of(context);
    self.mutex.lock();
    const found: *Handle = @ptrFromInt(handle);
    // A crash releases every lock.
    if (found.epoch == self.epoch) {
        const directory = found.target.directory;
        if (found.read_only) directory.readers -= 1 else directory.writer = false;
    }
    self.mutex.unlock();
    handleClose(context, handle);
}

pub fn rename(context: *anyopaque, handle: usize, from_name: []const u8, to_name: []const u8) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const directory = self.directoryOf(handle) orelse return crashed;
    return self.note(.rename, directory, from_name, " to {s}", .{to_name}, renamed(self, directory, from_name, to_name));
}

fn renamed(self: *Simulated, directory: *Directory, from_name: []const u8, to_name: []const u8) i64 {
    const failed = self.fault(.rename);
    if (failed < 0) return failed;
    const entry = directory.names.get(from_name) orelse return system.failure(.NOENT);
    if (std.mem.eql(u8, from_name, to_name)) return 0;
    if (directory.names.get(to_name)) |replaced| switch (replaced) {
        .directory => |other| {
            if (entry == .file) return system.failure(.ISDIR);
            if (other.names.count() > 0) return system.failure(.NOTEMPTY);
        },
        .file => if (entry == .directory) return system.failure(.NOTDIR),
    };
    switch (entry) {
        .file => |file| file.setName(to_name) catch return no_memory,
        .directory => |moved| moved.setName(to_name) catch return no_memory,
    }
    directory.rename(from_name, to_name) catch return no_memory;
    return 0;
}

pub fn unlink(context: *anyopaque, handle: usize, name: []const u8) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const directory = self.directoryOf(handle) orelse return crashed;
    var result = self.fault(.unlink);
    if (result == 0) if (directory.names.get(name)) |entry| {
        if (entry == .directory) {
            result = system.failure(.ISDIR);
        } else directory.remove(name) catch return no_memory;
    } else {
        result = system.failure(.NOENT);
    };
    return self.note(.unlink, directory, name, "", .{}, result);
}

pub fn directoryRemove(context: *anyopaque, path: []const u8) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    if (self.off) return crashed;
    const directory = switch (self.walk(path, false)) {
        .failed => |result| return result,
        .found => |found| found,
    };
    const parent = directory.parent orelse return system.failure(.BUSY);
    if (directory.names.count() > 0) return system.failure(.NOTEMPTY);
    const failed = self.fault(.remove_directory);
    if (failed == 0) parent.remove(directory.name) catch return no_memory;
    if (self.note(.remove_directory, directory, "", "", .{}, failed) < 0) return failed;
    return if (self.off) crashed else self.syncNames(parent);
}

pub fn subdirectoryOpen(context: *anyopaque, handle: usize, name: []const u8, create_missing: bool) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const parent = self.directoryOf(handle) orelse return crashed;
    const found = if (parent.names.get(name)) |entry| found: {
        if (entry == .file) return system.failure(.NOTDIR);
        if (create_missing) {
            const synced = self.syncNames(parent);
            if (synced < 0) return synced;
            if (self.off) return crashed;
        }
        break :found entry.directory;
    } else made: {
        if (!create_missing) return system.failure(.NOENT);
        switch (self.addDirectory(parent, name)) {
            .found => |made| break :made made,
            .failed => |result| return result,
        }
    };
    return self.makeHandle(.{ .directory = found }, found, false);
}

pub fn subdirectoryRemove(context: *anyopaque, handle: usize, name: []const u8) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const parent = self.directoryOf(handle) orelse return crashed;
    const entry = parent.names.get(name) orelse return system.failure(.NOENT);
    if (entry == .file) return system.failure(.NOTDIR);
    if (entry.directory.names.count() > 0) return system.failure(.NOTEMPTY);
    const failed = self.fault(.remove_directory);
    if (failed == 0) parent.remove(name) catch return no_memory;
    return self.note(.remove_directory, entry.directory, "", "", .{}, failed);
}

pub fn link(context: *anyopaque, handle: usize, name: []const u8, target_handle: usize, target_name: []const u8) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const directory = self.directoryOf(handle) orelse return crashed;
    const target = self.directoryOf(target_handle) orelse return crashed;
    const result = linked(self, directory, name, target, target_name);
    return self.note(.link, directory, name, " to {s}/{s}", .{ target.name, target_name }, result);
}

fn linked(self: *Simulated, directory: *Directory, name: []const u8, target: *Directory, target_name: []const u8) i64 {
    const failed = self.fault(.link);
    if (failed < 0) return failed;
    const entry = directory.names.get(name) orelse return system.failure(.NOENT);
    if (entry == .directory) return system.failure(.PERM);
    if (target.names.get(target_name) != null) return system.failure(.EXIST);
    target.create(target_name, entry) catch return no_memory;
    return 0;
}
