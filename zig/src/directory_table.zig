//! Directories that a store's jobs have opened beside its own: where a checkpoint goes, where a repair puts what is
//! damaged. Named by handles with a generation, as files are; one may carry the lock that stores have. Any thread may call.

const std = @import("std");
const abi = @import("abi.zig");
const disk = @import("disk.zig");
const HandleTable = @import("handle_table.zig").HandleTable;

const gpa = std.heap.c_allocator;

pub const Directory = struct {
    disk: disk.Disk,
    handle: disk.DirectoryHandle,
    lock: ?disk.FileHandle,
    /// The store whose handles lead to it.
    owner: i32,

    /// For the table of handles.
    pub fn destroy(self: *Directory) void {
        giveBack(self.disk, self.handle, self.lock);
        gpa.destroy(self);
    }
};

var table: HandleTable(Directory) = .{};

/// Takes over an open directory and its lock, on failure too. Positive, or a Code.
pub fn publish(on: disk.Disk, handle: disk.DirectoryHandle, lock: ?disk.FileHandle, owner: i32) i32 {
    const made = gpa.create(Directory) catch {
        giveBack(on, handle, lock);
        return abi.Code.no_memory.int();
    };
    made.* = .{ .disk = on, .handle = handle, .lock = lock, .owner = owner };
    return table.open(made) orelse {
        made.destroy();
        return abi.Code.exhausted.int();
    };
}

/// The directory, kept open until `release`. Null if the handle was closed, never given out, or is another store's.
pub fn acquire(handle: i32, owner: i32) ?*Directory {
    const found = table.acquire(handle) orelse return null;
    if (found.owner == owner) return found;
    table.release(handle);
    return null;
}

pub fn release(handle: i32) void {
    table.release(handle);
}

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

fn giveBack(on: disk.Disk, handle: disk.DirectoryHandle, lock: ?disk.FileHandle) void {
    on.vtable.directory_close(on.context, handle);
    if (lock) |held| on.vtable.unlock(on.context, held);
}
