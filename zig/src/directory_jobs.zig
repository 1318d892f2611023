//! FileJob on other directories than the store's own. What a caller chose, a path or a name, lies in the job's region;
//! a name is one step down and follows no symbolic link. `result` is zero (open: the handle), errno or Code.

const std = @import("std");
const abi = @import("abi.zig");
const directory_table = @import("directory_table.zig");
const disk = @import("disk.zig");
const file_jobs = @import("file_jobs.zig");
const store_registry = @import("store.zig");
const system = @import("system.zig");
const Store = store_registry.Store;

const invalid = abi.Code.invalid.int();
const closed = abi.Code.closed.int();

pub fn run(store: *Store, opcode: abi.Opcode, job: *abi.FileJob) void {
    const result: i64 = switch (opcode) {
        .directory_open => open(store, job),
        .directory_close => directory_table.close(job.directory, store.handle),
        else => within(store, opcode, job),
    };
    job.head.result = @intCast(result);
}

/// The path as the user gave it: links are followed. With `FileFlag.create`, missing directories are made.
fn open(store: *Store, job: *const abi.FileJob) i64 {
    const path = file_jobs.partOf(job) orelse return invalid;
    if (isRefused(store, job)) return system.failure(.ROFS);
    const opened = store.disk.vtable.directory_open(store.disk.context, path, isCreating(job));
    if (opened < 0) return opened;
    return directory_table.publish(store.disk, @intCast(opened), null, store.handle);
}

/// What is done in `directory`, the store's own for zero.
fn within(store: *Store, opcode: abi.Opcode, job: *const abi.FileJob) i64 {
    const text = file_jobs.partOf(job) orelse return invalid;
    var parent = store.directory;
    if (job.directory != 0) {
        const other = directory_table.acquire(job.directory, store.handle) orelse return closed;
        parent = other.handle;
    }
    defer if (job.directory != 0) directory_table.release(job.directory);
    switch (opcode) {
        .subdirectory_open => {
            if (!isName(text)) return invalid;
            if (isRefused(store, job)) return system.failure(.ROFS);
            return openIn(store, parent, text, job);
        },
        .subdirectory_rename => {
            // Both names, with a zero byte between them.
            const end = std.mem.indexOfScalar(u8, text, 0) orelse return invalid;
            if (!isName(text[0..end]) or !isName(text[end + 1 ..])) return invalid;
            if (store.read_only) return system.failure(.ROFS);
            return store.disk.vtable.rename(store.disk.context, parent, text[0..end], text[end + 1 ..]);
        },
        .subdirectory_remove => {
            if (!isName(text)) return invalid;
            if (store.read_only) return system.failure(.ROFS);
            return remove(store.disk, parent, text);
        },
        else => unreachable,
    }
}

fn openIn(store: *Store, parent: disk.DirectoryHandle, name: []const u8, job: *const abi.FileJob) i64 {
    const on = store.disk;
    const opened = on.vtable.subdirectory_open(on.context, parent, name, isCreating(job));
    if (opened < 0) return opened;
    const handle: disk.DirectoryHandle = @intCast(opened);
    if (job.head.flags & abi.JobFlag.lock == 0) return directory_table.publish(on, handle, null, store.handle);
    const lock = on.vtable.lock(on.context, handle, .exclusive);
    if (lock < 0) {
        on.vtable.directory_close(on.context, handle);
        return lock;
    }
    return directory_table.publish(on, handle, @intCast(lock), store.handle);
}

/// Unlinks the files that are ours, and the directory. One that is not there is fine.
/// REQUIRES: the caller has the directory's lock.
fn remove(on: disk.Disk, parent: disk.DirectoryHandle, name: []const u8) i64 {
    const opened = on.vtable.subdirectory_open(on.context, parent, name, false);
    if (system.is(opened, .NOENT)) return 0;
    if (opened < 0) return opened;
    const unlinked = store_registry.unlinkFiles(on, @intCast(opened));
    on.vtable.directory_close(on.context, @intCast(opened));
    if (unlinked < 0) return unlinked;
    return on.vtable.subdirectory_remove(on.context, parent, name);
}

fn isCreating(job: *const abi.FileJob) bool {
    return job.file_flags & abi.FileFlag.create != 0;
}

/// A store that runs read-only makes nothing, and a lock makes a file.
fn isRefused(store: *const Store, job: *const abi.FileJob) bool {
    return store.read_only and (isCreating(job) or job.head.flags & abi.JobFlag.lock != 0);
}

fn isName(text: []const u8) bool {
    if (text.len == 0 or std.mem.indexOfAny(u8, text, "/\x00") != null) return false;
    return !std.mem.eql(u8, text, ".") and !std.mem.eql(u8, text, "..");
}
