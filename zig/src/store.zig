//! An open store, as Zig sees it: a *core* (a directory on a disk, its lock, its tables' descriptors, the region that all
//! Workers of the process share) and on it the *sessions*, one for each Worker: a runner of jobs, with a region of its
//! own. What is in the store is TypeScript's business.
//!
//! A session is named by a handle with a generation, a core by a number. One process opens a directory once, however it
//! is spelled; other processes are kept out by the lock. Any thread may call.

const std = @import("std");
const abi = @import("abi.zig");
const compaction = @import("compaction.zig");
const cursor = @import("cursor.zig");
const directory_table = @import("directory_table.zig");
const disk = @import("disk.zig");
const disk_registry = @import("disk_registry.zig");
const error_detail = @import("error_detail.zig");
const file_name = @import("file_name.zig");
const file_table = @import("file_table.zig");
const locks = @import("locks.zig");
const pin = @import("pin.zig");
const region = @import("region.zig");
const system = @import("system.zig");
const table_files = @import("table_files.zig");
const tail_lease = @import("tail_lease.zig");
const BlobSet = @import("blob_set.zig").BlobSet;
const threads = @import("threads.zig");
const HandleTable = @import("handle_table.zig").HandleTable;
const TableFiles = table_files.TableFiles;
const JobRunner = @import("job_runner.zig").JobRunner;

const gpa = std.heap.c_allocator;

/// What `open` takes beside a place.
pub const Limits = struct { io_threads: u32, open_files_max: u32 = 1000 };

/// What all sessions of a process on one directory share. Under `mutex`, but for what never changes.
pub const Core = struct {
    id: i32,
    disk: disk.Disk,
    directory: disk.DirectoryHandle,
    shared_region: region.Id,
    read_only: bool,
    disk_id: disk_registry.Id,
    identity: disk.Identity,
    lock: disk.FileHandle,
    table_files: *TableFiles,
    blobs: *BlobSet,
    sessions: [abi.worker_count_max]?*Store = @splat(null),
    session_count: u32 = 0,
    next: ?*Core = null,
    tail: tail_lease.Tail = .{},

    pub fn part(self: *const Core, comptime T: type, offset: u32) *T {
        return @ptrCast(@alignCast(region.part(self.shared_region, offset, @sizeOf(T)).?.ptr));
    }

    pub fn shared(self: *const Core) *abi.StoreShared {
        return self.part(abi.StoreShared, 0);
    }

    fn workers(self: *const Core) *abi.WorkersShared {
        return self.part(abi.WorkersShared, abi.workers_shared_offset);
    }

    fn slotAt(self: *const Core, index: u32) *abi.WorkerSlot {
        return self.part(abi.WorkerSlot, abi.worker_slots_offset + index * @sizeOf(abi.WorkerSlot));
    }

    /// Adds the sessions if all of them are of Workers that have died: nobody will close them.
    fn addOrphans(self: *const Core, orphans: *std.ArrayList(i32)) void {
        for (self.sessions, 0..) |session, index| {
            if (session == null) continue;
            const state = @atomicLoad(u32, &self.slotAt(@intCast(index)).state, .seq_cst);
            if (state != @intFromEnum(abi.WorkerState.dead)) return;
        }
        // Without memory they stay open, and the lock with them, until the process ends: a thread that ends has nobody to tell.
        for (self.sessions) |session| if (session) |found| orphans.append(gpa, found.handle) catch {};
    }

    /// Whoever waits looks again.
    fn wakeEverybody(self: *const Core) void {
        const all = self.workers();
        _ = @atomicRmw(u32, &all.bell, .Add, 1, .seq_cst);
        locks.futexWakeAll(&all.bell);
        locks.futexWakeAll(&all.catalog_generation);
        for (0..abi.worker_count_max) |index| {
            const news = &self.slotAt(@intCast(index)).news;
            _ = @atomicRmw(u32, news, .Add, 1, .seq_cst);
            locks.futexWakeAll(news);
        }
    }
};

/// A session: one Worker's way to a store, with jobs and threads of its own. It ends with `close`, or is ended for a
/// Worker that ended without.
pub const Store = struct {
    core: *Core,
    /// Its slot in the core's region.
    slot: u32,
    thread: ?*threads.Thread,
    disk: disk.Disk,
    directory: disk.DirectoryHandle,
    counters: *abi.Counters,
    shared: *abi.StoreShared,
    shared_region: region.Id,
    handle: i32,
    read_only: bool,
    table_files: *TableFiles,
    blobs: *BlobSet,
    runner: JobRunner,

    /// For the table of handles: the last user is gone, and `close` has ended the rest.
    pub fn destroy(self: *Store) void {
        gpa.destroy(self);
    }
};

var stores: HandleTable(Store) = .{};
/// Every open directory, and the right to open and close one.
var first: ?*Core = null;
var core_last: i32 = 0;
var mutex: locks.Mutex = .{};

/// A handle, or errno or Code.
pub fn open(disk_id: disk_registry.Id, path: []const u8, flags: u32, limits: Limits) i32 {
    const makes = abi.OpenFlag.create | abi.OpenFlag.read_only | abi.OpenFlag.repair;
    const known = makes | abi.OpenFlag.direct_reads | abi.OpenFlag.direct_writes;
    // One of them at most.
    if (flags & ~known != 0 or @popCount(flags & makes) > 1) return abi.Code.invalid.int();
    if (limits.open_files_max == 0) return abi.Code.invalid.int();
    const on = disk_registry.acquire(disk_id) orelse return abi.Code.closed.int();
    const result = openOn(on, disk_id, path, flags, limits);
    if (result < 0) disk_registry.release(disk_id);
    return result;
}

fn openOn(on: disk.Disk, disk_id: disk_registry.Id, path: []const u8, flags: u32, limits: Limits) i32 {
    pin.pinOnce();
    const opened = on.vtable.directory_open(on.context, path, flags & abi.OpenFlag.create != 0);
    if (opened < 0) return @intCast(opened);
    const directory: disk.DirectoryHandle = @intCast(opened);
    const result = openIn(on, disk_id, directory, flags, limits);
    if (result < 0) on.vtable.directory_close(on.context, directory);
    return result;
}

fn openIn(
    on: disk.Disk,
    disk_id: disk_registry.Id,
    directory: disk.DirectoryHandle,
    flags: u32,
    limits: Limits,
) i32 {
    const identity = on.vtable.directory_identity(on.context, directory);
    mutex.lock();
    defer mutex.unlock();
    if (findOpen(disk_id, identity)) |found| {
        error_detail.set("store {d}", .{found.id});
        return abi.Code.attached.int();
    }
    // Nothing is touched in a directory that is somebody else's: not even a lock file is made there.
    var contents: Contents = .{};
    const readable = contents.read(on, directory);
    const repairs = flags & abi.OpenFlag.repair != 0;
    const is_remains = repairs and (contents.store or contents.remains);
    if (readable < 0 and !is_remains) return readable;
    if (repairs and !is_remains) return system.failure(.NOENT);
    const read_only = flags & abi.OpenFlag.read_only != 0;
    const lock = on.vtable.lock(on.context, directory, if (read_only) .shared else .exclusive);
    if (lock < 0) {
        if (lock == abi.Code.locked.int()) {
            error_detail.set("process {d}", .{on.vtable.lock_owner(on.context, directory)});
        }
        return @intCast(lock);
    }
    const result = register(on, disk_id, directory, identity, @intCast(lock), flags, limits);
    if (result < 0) on.vtable.unlock(on.context, @intCast(lock));
    return result;
}

fn register(
    on: disk.Disk,
    disk_id: disk_registry.Id,
    directory: disk.DirectoryHandle,
    identity: disk.Identity,
    lock: disk.FileHandle,
    flags: u32,
    limits: Limits,
) i32 {
    const shared_region = region.reserve(abi.core_region_bytes) catch |cause| return regionCode(cause);
    const bytes = region.slice(shared_region).?;
    const shared: *abi.StoreShared = @ptrCast(bytes.ptr);
    const files = TableFiles.create(on, directory, &shared.counters, .{
        .open_max = limits.open_files_max,
        .direct_reads = flags & abi.OpenFlag.direct_reads != 0,
        .direct_writes = flags & abi.OpenFlag.direct_writes != 0,
    }) catch {
        _ = region.release(shared_region);
        return abi.Code.no_memory.int();
    };
    const blobs = BlobSet.create(files) catch {
        files.close();
        _ = region.release(shared_region);
        return abi.Code.no_memory.int();
    };
    const core = gpa.create(Core) catch {
        blobs.close();
        files.close();
        _ = region.release(shared_region);
        return abi.Code.no_memory.int();
    };
    core_last += 1;
    core.* = .{
        .id = core_last,
        .disk = on,
        .directory = directory,
        .shared_region = shared_region,
        .read_only = flags & abi.OpenFlag.read_only != 0,
        .disk_id = disk_id,
        .identity = identity,
        .lock = lock,
        .table_files = files,
        .blobs = blobs,
        .next = first,
    };
    const handle = addSession(core, limits.io_threads);
    if (handle < 0) {
        blobs.close();
        files.close();
        _ = region.release(shared_region);
        gpa.destroy(core);
        return handle;
    }
    // The first one hosts, unless it ends before it has opened the store.
    @atomicStore(u32, &core.workers().host, 1, .seq_cst);
    first = core;
    return handle;
}

/// A handle, or a Code. REQUIRES: the mutex.
fn addSession(core: *Core, io_threads: u32) i32 {
    const slot: u32 = for (core.sessions, 0..) |session, index| {
        if (session == null) break @intCast(index);
    } else return abi.Code.exhausted.int();
    const own_region = region.reserve(abi.store_region_bytes) catch |cause| return regionCode(cause);
    const made = gpa.create(Store) catch {
        _ = region.release(own_region);
        return abi.Code.no_memory.int();
    };
    made.* = .{
        .core = core,
        .slot = slot,
        .thread = threads.current(),
        .disk = core.disk,
        .directory = core.directory,
        .counters = &core.shared().counters,
        .shared = @ptrCast(region.slice(own_region).?.ptr),
        .shared_region = own_region,
        .handle = 0,
        .read_only = core.read_only,
        .table_files = core.table_files,
        .blobs = core.blobs,
        .runner = .init(region.slice(own_region).?, io_threads, core.disk.vtable.stepped),
    };
    made.handle = stores.open(made) orelse {
        _ = region.release(own_region);
        gpa.destroy(made);
        return abi.Code.exhausted.int();
    };
    if (made.thread) |thread| threads.sessionOpened(thread);
    core.sessions[slot] = made;
    core.session_count += 1;
    const words = core.slotAt(slot);
    words.* = std.mem.zeroes(abi.WorkerSlot);
    words.session = made.handle;
    @atomicStore(u32, &words.state, @intFromEnum(abi.WorkerState.alive), .seq_cst);
    const all = core.workers();
    _ = @atomicRmw(u32, &all.arrivals, .Add, 1, .seq_cst);
    _ = @atomicRmw(u32, &all.bell, .Add, 1, .seq_cst);
    locks.futexWakeAll(&all.bell);
    return made.handle;
}

/// One more session on a core. A handle, or a Code: `closed` if there is no such core any more.
pub fn attach(core_id: i32, io_threads: u32) i32 {
    mutex.lock();
    defer mutex.unlock();
    var at = first;
    while (at) |core| : (at = core.next) {
        if (core.id == core_id) return addSession(core, io_threads);
    }
    return abi.Code.closed.int();
}

/// For threads.zig: a thread with sessions has ended. Its slots say so; a store that nobody has open any more is closed.
pub fn threadEnded(thread: *threads.Thread) void {
    var orphans: std.ArrayList(i32) = .empty;
    defer orphans.deinit(gpa);
    mutex.lock();
    var at = first;
    while (at) |core| : (at = core.next) {
        var died = false;
        for (core.sessions, 0..) |session, index| {
            const found = session orelse continue;
            if (found.thread != thread) continue;
            died = true;
            @atomicStore(u32, &core.slotAt(@intCast(index)).state, @intFromEnum(abi.WorkerState.dead), .seq_cst);
            _ = @atomicRmw(u32, &core.workers().deaths, .Add, 1, .seq_cst);
        }
        if (!died) continue;
        core.wakeEverybody();
        core.addOrphans(&orphans);
    }
    mutex.unlock();
    for (orphans.items) |handle| _ = close(handle);
}

/// The store, kept until `release`. Null for a store that was closed, or never opened.
pub fn acquire(handle: i32) ?*Store {
    return stores.acquire(handle);
}

pub fn release(handle: i32) void {
    stores.release(handle);
}

/// Ends a session: refuses new jobs, finishes the submitted ones, ends the threads, gives back files and region; with the
/// last one of the core, directory and lock too. Everybody else's call on it ends first; a second close is `Code.closed`.
pub fn close(handle: i32) i32 {
    const self = stores.acquire(handle) orelse return abi.Code.closed.int();
    defer stores.release(handle);
    if (!stores.close(handle)) return abi.Code.closed.int();

    compaction.cancelAll(handle);
    self.runner.stop(self);
    while (stores.referenceCount(handle) > 1) {
        self.runner.wakeAll();
        const moment: u32 = 0;
        locks.futexWait(&moment, 0, 50 * std.time.ns_per_us);
    }
    compaction.closeAll(handle);
    cursor.closeAll(handle);
    file_table.closeAll(handle);
    directory_table.closeAll(handle);
    const thread = self.thread;
    var orphans: std.ArrayList(i32) = .empty;
    defer orphans.deinit(gpa);
    endSession(self, &orphans);
    if (thread) |watched| threads.sessionClosed(watched);
    for (orphans.items) |orphan| _ = close(orphan);
    return 0;
}

fn endSession(self: *Store, orphans: *std.ArrayList(i32)) void {
    const core = self.core;
    mutex.lock();
    defer mutex.unlock();
    core.sessions[self.slot] = null;
    core.session_count -= 1;
    const words = core.slotAt(self.slot);
    const held = words.held_region;
    @atomicStore(i32, &words.held_region, 0, .seq_cst);
    @atomicStore(u32, &words.state, @intFromEnum(abi.WorkerState.free), .seq_cst);
    if (held != 0) _ = region.release(held);
    _ = region.release(self.shared_region);
    if (core.session_count > 0) {
        core.wakeEverybody();
        core.addOrphans(orphans);
        return;
    }
    core.tail.forgetFile();
    core.blobs.close();
    core.table_files.close();
    var link = &first;
    while (link.*) |each| : (link = &each.next) {
        if (each != core) continue;
        link.* = core.next;
        break;
    }
    core.disk.vtable.directory_close(core.disk.context, core.directory);
    core.disk.vtable.unlock(core.disk.context, core.lock);
    disk_registry.release(core.disk_id);
    _ = region.release(core.shared_region);
    gpa.destroy(core);
}

/// Unlinks the files that are ours, and the directory if it is empty then. `Code.locked` or `Code.attached`
/// while somebody has the store.
pub fn remove(disk_id: disk_registry.Id, path: []const u8) i32 {
    const on = disk_registry.acquire(disk_id) orelse return abi.Code.closed.int();
    defer disk_registry.release(disk_id);
    const opened = on.vtable.directory_open(on.context, path, false);
    if (opened < 0) return @intCast(opened);
    const directory: disk.DirectoryHandle = @intCast(opened);
    const result = removeFiles(on, disk_id, directory);
    on.vtable.directory_close(on.context, directory);
    if (result < 0) return result;
    const removed = on.vtable.directory_remove(on.context, path);
    // Somebody else keeps files here.
    if (system.is(removed, .NOTEMPTY) or system.is(removed, .EXIST)) return 0;
    return @intCast(removed);
}

fn removeFiles(on: disk.Disk, disk_id: disk_registry.Id, directory: disk.DirectoryHandle) i32 {
    const v = on.vtable;
    mutex.lock();
    defer mutex.unlock();
    if (findOpen(disk_id, v.directory_identity(on.context, directory))) |found| {
        error_detail.set("store {d}", .{found.id});
        return abi.Code.attached.int();
    }
    var contents: Contents = .{};
    const readable = contents.read(on, directory);
    if (readable < 0) return readable;
    const lock = v.lock(on.context, directory, .exclusive);
    if (lock < 0) {
        if (lock == abi.Code.locked.int()) {
            error_detail.set("process {d}", .{v.lock_owner(on.context, directory)});
        }
        return @intCast(lock);
    }
    defer v.unlock(on.context, @intCast(lock));

    const unlinked = unlinkFiles(on, directory);
    return if (unlinked < 0) unlinked else @intCast(v.directory_sync(on.context, directory));
}

/// Unlinks every file that is ours. REQUIRES: the caller has the directory's lock. Zero, or errno or Code.
pub fn unlinkFiles(on: disk.Disk, directory: disk.DirectoryHandle) i32 {
    var found: std.ArrayList(file_name.FileId) = .empty;
    defer found.deinit(gpa);
    const listed = on.vtable.directory_list(on.context, directory, &found, collect);
    if (listed < 0) return @intCast(listed);
    var buffer: [file_name.name_bytes_max]u8 = undefined;
    for (found.items) |id| {
        const name = file_name.format(@intFromEnum(id.kind), @floatFromInt(id.number), &buffer).?;
        const result = on.vtable.unlink(on.context, directory, name);
        if (result < 0 and !system.is(result, .NOENT)) return @intCast(result);
    }
    // LOCK goes last: until then nobody opens what is half removed.
    _ = on.vtable.unlink(on.context, directory, "LOCK");
    return 0;
}

/// `MANIFEST-000001 01234567` and a line end: see src/format/manifest_file.ts.
const pointer_bytes_min = 25;

/// What a directory's names say of it.
const Contents = struct {
    /// The pointer to a manifest, or what an interrupted creation leaves.
    store: bool = false,
    /// Files that Varve did not name.
    foreign: bool = false,
    /// Files that only a store has.
    remains: bool = false,

    /// Negative: errno or Code.
    fn read(self: *Contents, on: disk.Disk, directory: disk.DirectoryHandle) i32 {
        const result = on.vtable.directory_list(on.context, directory, self, visit);
        if (result < 0) return @intCast(result);
        if (self.store) return 0;
        if (self.foreign) return abi.Code.foreign.int();
        return if (self.remains) abi.Code.corruption.int() else 0;
    }

    fn visit(visitor: *anyopaque, name: []const u8, bytes: u64) i32 {
        const found: *Contents = @ptrCast(@alignCast(visitor));
        const id = file_name.parse(name) orelse {
            found.foreign = true;
            return 0;
        };
        switch (id.kind) {
            // Other stores have a CURRENT too; it carries no checksum and is shorter.
            .current => if (bytes >= pointer_bytes_min) {
                found.store = true;
            } else {
                found.remains = true;
            },
            .temporary => found.store = true,
            .lock => {},
            else => found.remains = true,
        }
        return 0;
    }
};

fn collect(visitor: *anyopaque, name: []const u8, _: u64) i32 {
    const found: *std.ArrayList(file_name.FileId) = @ptrCast(@alignCast(visitor));
    const id = file_name.parse(name) orelse return 0;
    if (id.kind == .lock) return 0;
    found.append(gpa, id) catch return abi.Code.no_memory.int();
    return 0;
}

fn findOpen(disk_id: disk_registry.Id, identity: disk.Identity) ?*Core {
    var at = first;
    while (at) |each| : (at = each.next) {
        if (each.disk_id == disk_id and std.meta.eql(each.identity, identity)) return each;
    }
    return null;
}

pub fn regionCode(cause: error{ OutOfMemory, Exhausted }) i32 {
    return switch (cause) {
        error.OutOfMemory => abi.Code.no_memory.int(),
        error.Exhausted => abi.Code.exhausted.int(),
    };
}
