//! A disk in memory that forgets what was not synced. Each file has what a reader sees and what is durable, with
//! the changes between; each directory has its names and its durable names. A crash keeps what is durable and, of the
//! rest, what the disk's seed decides (simulated_file.zig, simulated_directory.zig). Nothing happens by itself:
//! no thread runs jobs on it, its clock stands until it is set.
//!
//! Whatever changes the disk, or makes a change durable, is an operation: counted, and logged with its result.
//! The power can be made to fail behind any of them; then every call is `Code.crashed` until `crash` turns it on
//! again, and those on handles from before stay so for good.
//!
//! One mutex per disk; any thread may call. REQUIRES: nothing is open when the disk is destroyed.

const std = @import("std");
const abi = @import("abi.zig");
const checksum = @import("checksum.zig");
const disk = @import("disk.zig");
const locks = @import("locks.zig");
const operation_log = @import("operation_log.zig");
const simulated_directory = @import("simulated_directory.zig");
const simulated_file = @import("simulated_file.zig");
const system = @import("system.zig");
const Directory = simulated_directory.Directory;
const Entry = simulated_directory.Entry;
const FaultPlan = @import("fault_plan.zig").FaultPlan;
const Inode = simulated_file.Inode;
const Mood = simulated_file.Mood;
const Operation = abi.DiskOperation;

const gpa = std.heap.c_allocator;
const never = std.math.maxInt(u64);

/// What an open file or directory is: it belongs to the time between two crashes.
const Handle = struct { target: Entry, directory: *Directory, epoch: u32, read_only: bool };

pub const Simulated = struct {
    mutex: locks.Mutex = .{},
    root: *Directory,
    /// Every file and directory ever made and not destroyed, in the order of making.
    inodes: std.ArrayList(*Inode) = .empty,
    directories: std.ArrayList(*Directory) = .empty,
    number_next: u64 = 1,
    /// Counts crashes.
    epoch: u32 = 0,
    /// The power failed behind an operation, and nobody has turned it on again.
    off: bool = false,
    /// Number of the operation behind which the power fails.
    off_after: u64 = never,
    /// Milliseconds since 1970.
    clock: f64 = 1_700_000_000_000,
    /// Bytes that all files together may have.
    capacity: u64 = never,
    faults: FaultPlan,
    log: operation_log.OperationLog = .{},
    /// Content of the last file that was destroyed.
    recycled: std.ArrayList(u8) = .empty,
    /// One for the order of jobs, one for crashes: where a crash comes changes nothing before it.
    seed: u64,
    schedule: std.Random.DefaultPrng,
    random: std.Random.DefaultPrng,

    fn makeDirectory(self: *Simulated, parent: ?*Directory, name: []const u8) error{OutOfMemory}!*Directory {
        try self.directories.ensureUnusedCapacity(gpa, 1);
        const copy = try gpa.dupe(u8, name);
        errdefer gpa.free(copy);
        const made = try gpa.create(Directory);
        made.* = .{ .number = self.number_next, .parent = parent, .name = copy };
        self.number_next += 1;
        self.directories.appendAssumeCapacity(made);
        return made;
    }

    fn makeFile(self: *Simulated, directory: *Directory, name: []const u8) error{OutOfMemory}!*Inode {
        try self.inodes.ensureUnusedCapacity(gpa, 1);
        const copy = try gpa.dupe(u8, name);
        errdefer gpa.free(copy);
        const made = try gpa.create(Inode);
        made.* = .{ .number = self.number_next, .name = copy };
        errdefer gpa.destroy(made);
        try directory.create(name, .{ .file = made });
        self.number_next += 1;
        self.inodes.appendAssumeCapacity(made);
        return made;
    }

    fn drawMood(self: *Simulated) Mood {
        return .draw(self.random.random(), self.recycled.items);
    }

    fn reach(self: *Simulated, seen_only: bool) void {
        for (self.inodes.items) |inode| inode.reached = inode.opens > 0;
        for (self.directories.items) |directory| directory.reach(seen_only);
    }

    /// Destroys the files that nothing leads to, a crash included.
    fn sweep(self: *Simulated) void {
        self.reach(false);
        var kept: usize = 0;
        for (self.inodes.items) |inode| {
            if (inode.reached) {
                self.inodes.items[kept] = inode;
                kept += 1;
                continue;
            }
            if (inode.seen.items.len > 0) std.mem.swap(std.ArrayList(u8), &inode.seen, &self.recycled);
            inode.destroy();
        }
        self.inodes.shrinkRetainingCapacity(kept);
    }

    /// Bytes by which a file may grow.
    fn room(self: *Simulated) u64 {
        if (self.capacity == never) return never;
        self.reach(true);
        var used: u64 = 0;
        for (self.inodes.items) |inode| {
            if (inode.reached) used += inode.seen.items.len;
        }
        return self.capacity -| used;
    }

    // -----------------------------------------------------------------------------------------------------------
    // Operations

    /// Zero, or what the operation is to fail with.
    fn fault(self: *Simulated, operation: Operation) i64 {
        return self.faults.next(operation);
    }

    /// Notes an operation that has been carried out, or has failed.
    fn note(
        self: *Simulated,
        operation: Operation,
        directory: *Directory,
        name: []const u8,
        comptime detail: []const u8,
        arguments: anytype,
        result: i64,
    ) i64 {
        self.log.add(operation, directory, name, detail, arguments, result);
        if (self.log.count == self.off_after) self.off = true;
        return result;
    }

    fn syncNames(self: *Simulated, directory: *Directory) i64 {
        var result = self.fault(.sync_directory);
        if (result == 0) directory.sync() catch {
            result = no_memory;
        };
        self.sweep();
        return self.note(.sync_directory, directory, "", "", .{}, result);
    }

    fn addDirectory(self: *Simulated, parent: *Directory, name: []const u8) Walked {
        const failed = self.fault(.make_directory);
        if (failed < 0) return .{ .failed = self.note(.make_directory, parent, name, "", .{}, failed) };
        const made = self.makeDirectory(parent, name) catch return .{ .failed = no_memory };
        parent.create(name, .{ .directory = made }) catch return .{ .failed = no_memory };
        _ = self.note(.make_directory, parent, name, "", .{}, 0);
        if (self.off) return .{ .failed = crashed };
        const synced = self.syncNames(parent);
        if (synced < 0) return .{ .failed = synced };
        return if (self.off) .{ .failed = crashed } else .{ .found = made };
    }

    /// Where a path leads. With `make`, missing directories are made, each one's name synced before the next is made;
    /// that of the deepest one that was there is synced too, as disk_real.zig does.
    fn walk(self: *Simulated, path: []const u8, make: bool) Walked {
        var at = self.root;
        var making = false;
        var steps = std.mem.tokenizeScalar(u8, path, '/');
        while (steps.next()) |step| {
            if (std.mem.eql(u8, step, ".")) continue;
            if (std.mem.eql(u8, step, "..")) {
                at = at.parent orelse at;
                continue;
            }
            if (at.names.get(step)) |entry| {
                switch (entry) {
                    .directory => |next| at = next,
                    .file => return .{ .failed = system.failure(.NOTDIR) },
                }
                continue;
            }
            if (!make) return .{ .failed = system.failure(.NOENT) };
            if (!making) if (at.parent) |parent| {
                _ = self.syncNames(parent);
                if (self.off) return .{ .failed = crashed };
            };
            making = true;
            switch (self.addDirectory(at, step)) {
                .found => |made| at = made,
                .failed => |result| return .{ .failed = result },
            }
        }
        if (make and !making) if (at.parent) |parent| {
            _ = self.syncNames(parent);
            if (self.off) return .{ .failed = crashed };
        };
        return .{ .found = at };
    }
};

const Walked = union(enum) { found: *Directory, failed: i64 };

// ---------------------------------------------------------------------------------------------------------------
// What a test does to a disk

pub fn create(seed: u64) error{OutOfMemory}!disk.Disk {
    const self = try gpa.create(Simulated);
    errdefer gpa.destroy(self);
    self.* = .{
        .root = undefined,
        .seed = seed,
        .faults = .{ .random = .init(seed ^ 0xfa17) },
        .schedule = .init(seed),
        .random = .init(seed ^ 0xc4a5),
    };
    self.root = try self.makeDirectory(null, "");
    return .{ .context = self, .vtable = &vtable };
}

pub fn destroy(simulated: disk.Disk) void {
    const self = of(simulated.context);
    for (self.inodes.items) |inode| inode.destroy();
    self.inodes.deinit(gpa);
    for (self.directories.items) |directory| directory.destroy();
    self.directories.deinit(gpa);
    self.recycled.deinit(gpa);
    self.log.deinit();
    gpa.destroy(self);
}

/// The simulation behind the disk; null for the real one.
pub fn from(any: disk.Disk) ?*Simulated {
    return if (any.vtable == &vtable) of(any.context) else null;
}

/// A number below `below`, drawn from the disk's seed, for the order of jobs.
pub fn draw(self: *Simulated, below: u32) u32 {
    self.mutex.lock();
    defer self.mutex.unlock();
    return self.schedule.random().uintLessThan(u32, below);
}

/// The power fails, if it has not yet, and comes back. Handles from before are dead; locks are released; planned
/// faults are forgotten but those by chance.
pub fn crash(self: *Simulated) error{OutOfMemory}!void {
    self.mutex.lock();
    defer self.mutex.unlock();
    // Drawn anew for each crash, so that one point behind the other does not mean the same outcome at each.
    self.random = .init(self.seed ^ 0xc4a5 ^ ((self.log.count + 1) *% 0x9e3779b97f4a7c15));
    const mood = self.drawMood();
    for (self.inodes.items) |inode| try inode.crash(&mood);
    for (self.directories.items) |directory| try directory.crash(&mood);
    self.epoch += 1;
    self.off = false;
    self.off_after = never;
    self.sweep();
    self.log.addEvent("crash");
}

/// The process dies and the machine goes on: handles are dead and locks released, but what was written is still
/// there to be read, and still not synced.
pub fn kill(self: *Simulated) void {
    self.mutex.lock();
    defer self.mutex.unlock();
    for (self.directories.items) |directory| {
        directory.readers = 0;
        directory.writer = false;
    }
    self.epoch += 1;
    self.off = false;
    self.off_after = never;
    self.log.addEvent("kill");
}

/// The power is to fail behind so many further operations; zero: now.
pub fn stopAfter(self: *Simulated, operations: u64) void {
    self.mutex.lock();
    defer self.mutex.unlock();
    self.off_after = self.log.count + operations;
    if (operations == 0) self.off = true;
}

pub fn failAfter(self: *Simulated, operation: Operation, errno: u32, skip: u32, count: u32) void {
    self.mutex.lock();
    defer self.mutex.unlock();
    self.faults.failAfter(operation, @intCast(errno), skip, count);
}

pub fn failOften(self: *Simulated, operation: Operation, errno: u32, chance: f64) void {
    self.mutex.lock();
    defer self.mutex.unlock();
    self.faults.failOften(operation, @intCast(errno), chance);
}

pub fn clearFaults(self: *Simulated) void {
    self.mutex.lock();
    defer self.mutex.unlock();
    self.faults.clear();
    self.capacity = never;
}

pub fn setCapacity(self: *Simulated, bytes: u64) void {
    self.mutex.lock();
    defer self.mutex.unlock();
    self.capacity = bytes;
}

pub fn setClock(self: *Simulated, milliseconds: f64) void {
    self.mutex.lock();
    defer self.mutex.unlock();
    self.clock = milliseconds;
}

pub fn operationCount(self: *Simulated) u64 {
    self.mutex.lock();
    defer self.mutex.unlock();
    return self.log.count;
}

/// Copies the log's text from `offset` on; returns how many bytes.
pub fn readLog(self: *Simulated, offset: u64, out: []u8) u32 {
    self.mutex.lock();
    defer self.mutex.unlock();
    return self.log.copy(offset, out);
}

// ---------------------------------------------------------------------------------------------------------------

const vtable: disk.Disk.VTable = .{
    .directory_open = directoryOpen,
    .directory_close = handleClose,
    .directory_sync = directorySync,
    .directory_identity = directoryIdentity,
    .directory_list = directoryList,
    .lock = lock,
    .lock_owner = lockOwner,
    .unlock = unlock,
    .file_open = fileOpen,
    .file_close = handleClose,
    .pread = pread,
    .pwritev = pwritev,
    .data_sync = dataSync,
    .allocate = allocate,
    .truncate = truncate,
    .size = size,
    .rename = rename,
    .unlink = unlink,
    .directory_remove = directoryRemove,
    .subdirectory_open = subdirectoryOpen,
    .subdirectory_remove = subdirectoryRemove,
    .link = link,
    .now = now,
    .stepped = true,
};

const no_memory: i64 = system.failure(.NOMEM);
const crashed: i64 = abi.Code.crashed.int();

fn of(context: *anyopaque) *Simulated {
    return @ptrCast(@alignCast(context));
}

fn handleOf(self: *Simulated, handle: usize) ?*Handle {
    const found: *Handle = @ptrFromInt(handle);
    return if (found.epoch == self.epoch and !self.off) found else null;
}

fn directoryOf(self: *Simulated, handle: usize) ?*Directory {
    const found = handleOf(self, handle) orelse return null;
    return found.target.directory;
}

fn makeHandle(self: *Simulated, target: Entry, directory: *Directory, read_only: bool) i64 {
    const made = gpa.create(Handle) catch return no_memory;
    made.* = .{ .target = target, .directory = directory, .epoch = self.epoch, .read_only = read_only };
    if (target == .file) target.file.opens += 1;
    return @intCast(@intFromPtr(made));
}

fn handleClose(context: *anyopaque, handle: usize) void {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const found: *Handle = @ptrFromInt(handle);
    if (found.target == .file) found.target.file.opens -= 1;
    gpa.destroy(found);
}

fn directoryOpen(context: *anyopaque, path: []const u8, create_missing: bool) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    if (self.off) return crashed;
    if (path.len == 0) return system.failure(.NOENT);
    return switch (self.walk(path, create_missing)) {
        .failed => |result| result,
        .found => |directory| makeHandle(self, .{ .directory = directory }, directory, false),
    };
}

fn directorySync(context: *anyopaque, handle: usize) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    return self.syncNames(directoryOf(self, handle) orelse return crashed);
}

fn directoryIdentity(context: *anyopaque, handle: usize) disk.Identity {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const directory = directoryOf(self, handle) orelse return .{ .device = 0, .inode = 0 };
    return .{ .device = 0, .inode = directory.number };
}

/// In the order in which the names were made. `visit` must not use the disk.
fn directoryList(
    context: *anyopaque,
    handle: usize,
    visitor: *anyopaque,
    visit: *const fn (*anyopaque, name: []const u8, bytes: u64) i32,
) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const directory = directoryOf(self, handle) orelse return crashed;
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
fn lock(context: *anyopaque, handle: usize, mode: disk.LockMode) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const directory = directoryOf(self, handle) orelse return crashed;
    if (directory.writer or (mode == .exclusive and directory.readers > 0)) return abi.Code.locked.int();
    if (mode == .exclusive and directory.names.get("LOCK") == null) {
        const result = createFile(self, directory, "LOCK");
        if (result == .failed) return result.failed;
    }
    const made = makeHandle(self, .{ .directory = directory }, directory, mode == .shared);
    if (made < 0) return made;
    if (mode == .exclusive) directory.writer = true else directory.readers += 1;
    return made;
}

fn lockOwner(_: *anyopaque, _: usize) i32 {
    return system.processId();
}

fn unlock(context: *anyopaque, handle: usize) void {
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

const Created = union(enum) { made: *Inode, failed: i64 };

fn createFile(self: *Simulated, directory: *Directory, name: []const u8) Created {
    const failed = self.fault(.create);
    if (failed < 0) return .{ .failed = self.note(.create, directory, name, "", .{}, failed) };
    const made = self.makeFile(directory, name) catch return .{ .failed = no_memory };
    _ = self.note(.create, directory, name, "", .{}, 0);
    return if (self.off) .{ .failed = crashed } else .{ .made = made };
}

fn fileOpen(
    context: *anyopaque,
    directory_handle: usize,
    name: []const u8,
    mode: disk.OpenMode,
    out: *disk.OpenedFile,
) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const directory = directoryOf(self, directory_handle) orelse return crashed;
    const found = directory.names.get(name);
    const inode = if (mode.create) made: {
        if (found != null) return self.note(.create, directory, name, "", .{}, system.failure(.EXIST));
        switch (createFile(self, directory, name)) {
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
    const handle = makeHandle(self, .{ .file = inode }, directory, mode.read_only);
    if (handle < 0) return handle;
    out.* = .{ .handle = @intCast(handle), .direct = mode.direct };
    return 0;
}

fn pread(context: *anyopaque, handle: usize, buffer: []u8, offset: u64) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const found = handleOf(self, handle) orelse return crashed;
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

fn pwritev(
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
    const found = handleOf(self, handle) orelse return crashed;
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

/// A wrong offset is to be an error, not all of memory.
const file_bytes_max = 1 << 32;

/// A failed sync forgets what it did not write: the next one succeeds, and the data is gone.
fn dataSync(context: *anyopaque, handle: usize) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const found = handleOf(self, handle) orelse return crashed;
    const inode = found.target.file;
    const failed = self.fault(.sync);
    if (failed < 0) {
        const mood = self.drawMood();
        inode.lose(&mood) catch return no_memory;
    } else inode.sync() catch return no_memory;
    return self.note(.sync, found.directory, inode.name, "", .{}, failed);
}

fn allocate(context: *anyopaque, handle: usize, offset: u64, bytes: u64) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const found = handleOf(self, handle) orelse return crashed;
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

fn truncate(context: *anyopaque, handle: usize, bytes: u64) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const found = handleOf(self, handle) orelse return crashed;
    if (bytes > file_bytes_max) return system.failure(.FBIG);
    const result = self.fault(.truncate);
    if (result == 0) found.target.file.resize(bytes) catch return no_memory;
    return self.note(.truncate, found.directory, found.target.file.name, " {d}", .{bytes}, result);
}

fn size(context: *anyopaque, handle: usize) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const found = handleOf(self, handle) orelse return crashed;
    return @intCast(found.target.file.seen.items.len);
}

fn rename(context: *anyopaque, handle: usize, from_name: []const u8, to_name: []const u8) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const directory = directoryOf(self, handle) orelse return crashed;
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

fn unlink(context: *anyopaque, handle: usize, name: []const u8) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const directory = directoryOf(self, handle) orelse return crashed;
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

fn directoryRemove(context: *anyopaque, path: []const u8) disk.Result {
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

fn subdirectoryOpen(context: *anyopaque, handle: usize, name: []const u8, create_missing: bool) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const parent = directoryOf(self, handle) orelse return crashed;
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
    return makeHandle(self, .{ .directory = found }, found, false);
}

fn subdirectoryRemove(context: *anyopaque, handle: usize, name: []const u8) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const parent = directoryOf(self, handle) orelse return crashed;
    const entry = parent.names.get(name) orelse return system.failure(.NOENT);
    if (entry == .file) return system.failure(.NOTDIR);
    if (entry.directory.names.count() > 0) return system.failure(.NOTEMPTY);
    const failed = self.fault(.remove_directory);
    if (failed == 0) parent.remove(name) catch return no_memory;
    return self.note(.remove_directory, entry.directory, "", "", .{}, failed);
}

fn link(context: *anyopaque, handle: usize, name: []const u8, target_handle: usize, target_name: []const u8) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const directory = directoryOf(self, handle) orelse return crashed;
    const target = directoryOf(self, target_handle) orelse return crashed;
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

fn now(context: *anyopaque) f64 {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    return self.clock;
}

const testing = std.testing;

/// A disk with one open file in one directory.
const Bench = struct {
    on: disk.Disk,
    self: *Simulated,
    directory: usize,
    file: usize,

    fn init(seed: u64) !Bench {
        const on = try create(seed);
        const self = from(on).?;
        const directory: usize = @intCast(directoryOpen(self, "/a/store", true));
        var opened: disk.OpenedFile = undefined;
        try testing.expectEqual(0, fileOpen(self, directory, "000001.log", .{ .create = true }, &opened));
        return .{ .on = on, .self = self, .directory = directory, .file = opened.handle };
    }

    fn deinit(self: *Bench) void {
        handleClose(self.self, self.file);
        handleClose(self.self, self.directory);
        destroy(self.on);
    }

    fn write(self: *Bench, offset: u64, bytes: []const u8, synced: bool) i64 {
        const parts = [_]disk.IoVec{.{ .base = bytes.ptr, .len = bytes.len }};
        return pwritev(self.self, self.file, &parts, offset, synced).result;
    }

    fn inode(self: *Bench) *Inode {
        const handle: *Handle = @ptrFromInt(self.file);
        return handle.target.file;
    }
};

test "what is durable is what was synced, in files and in names" {
    var bench = try Bench.init(1);
    defer bench.deinit();
    const self = bench.self;
    const inode = bench.inode();
    _ = bench.write(0, "abcd", false);
    try testing.expectEqual(0, inode.durable.items.len);
    // Synced by itself, but behind a change that is not: both are kept apart until the file is synced.
    _ = bench.write(2, "abcd", true);
    try testing.expectEqual(2, inode.changes.items.len);
    try testing.expect(inode.changes.items[1].synced);
    try testing.expectEqual(0, dataSync(self, bench.file));
    try testing.expectEqualStrings("ababcd", inode.durable.items);
    _ = bench.write(6, "abcd", true);
    try testing.expectEqualStrings("ababcdabcd", inode.durable.items);

    const names = &directoryOf(self, bench.directory).?.durable_names;
    try testing.expectEqual(0, names.count());
    try testing.expectEqual(0, directorySync(self, bench.directory));
    try testing.expectEqual(0, unlink(self, bench.directory, "000001.log"));
    try testing.expectEqual(1, names.count());
    try testing.expectEqual(0, directorySync(self, bench.directory));
    try testing.expectEqual(0, names.count());
}

test "a crash keeps synced writes, and of the others any sectors, any size between, old content or zeros" {
    var torn: u32 = 0;
    var whole: u32 = 0;
    var missing: u32 = 0;
    var short: u32 = 0;
    for (0..400) |seed| {
        var bench = try Bench.init(seed);
        defer bench.deinit();
        const inode = bench.inode();
        try testing.expectEqual(8192, bench.write(0, &@as([8192]u8, @splat('a')), true));
        try testing.expectEqual(8192, bench.write(4096, &@as([8192]u8, @splat('b')), false));
        try testing.expectEqual(100, bench.write(100, &@as([100]u8, @splat('c')), true));
        try crash(bench.self);
        const found = inode.seen.items;
        try testing.expectEqualSlices(u8, found, inode.durable.items);
        try testing.expect(std.mem.allEqual(u8, found[0..100], 'a'));
        try testing.expect(std.mem.allEqual(u8, found[100..200], 'c'));
        try testing.expect(found.len == 8192 or found.len == 12288);
        if (found.len == 8192) short += 1;
        var arrived: usize = 0;
        var at: usize = 4096;
        while (at < found.len) : (at += 512) {
            const sector = found[at..][0..512];
            const is_new = sector[0] == 'b';
            try testing.expect(std.mem.allEqual(u8, sector, if (is_new) 'b' else if (at < 8192) 'a' else 0));
            arrived += @intFromBool(is_new);
        }
        const sectors = (found.len - 4096) / 512;
        if (arrived == 0) missing += 1 else if (arrived == sectors) whole += 1 else torn += 1;
        try testing.expectEqual(crashed, pread(bench.self, bench.file, &.{}, 0));
    }
    for ([_]u32{ torn, whole, missing, short }) |count| try testing.expect(count > 20);
}

test "a crash keeps or undoes each change of a name that was not synced" {
    var states: [4]u32 = @splat(0);
    for (0..200) |seed| {
        var bench = try Bench.init(seed);
        defer bench.deinit();
        const self = bench.self;
        try testing.expectEqual(0, directorySync(self, bench.directory));
        try testing.expectEqual(0, rename(self, bench.directory, "000001.log", "CURRENT"));
        var opened: disk.OpenedFile = undefined;
        try testing.expectEqual(0, fileOpen(self, bench.directory, "000002.log", .{ .create = true }, &opened));
        handleClose(self, opened.handle);
        try crash(self);
        const reopened: usize = @intCast(directoryOpen(self, "/a/store", false));
        defer handleClose(self, reopened);
        const names = &directoryOf(self, reopened).?.names;
        const kept = names.contains("CURRENT");
        try testing.expect(kept != names.contains("000001.log"));
        states[@as(usize, @intFromBool(kept)) * 2 + @intFromBool(names.contains("000002.log"))] += 1;
    }
    for (states) |count| try testing.expect(count > 10);
}

test "a link lasts when its directory was synced, and a directory's rename is kept or undone as a whole" {
    var states: [4]u32 = @splat(0);
    for (0..200) |seed| {
        var bench = try Bench.init(seed);
        defer bench.deinit();
        const self = bench.self;
        const made: usize = @intCast(subdirectoryOpen(self, bench.directory, "made", true));
        defer handleClose(self, made);
        try testing.expectEqual(4, bench.write(0, "abcd", true));
        try testing.expectEqual(0, link(self, bench.directory, "000001.log", made, "000002.log"));
        try testing.expectEqual(0, directorySync(self, made));
        try testing.expectEqual(0, link(self, bench.directory, "000001.log", made, "000003.log"));
        try testing.expectEqual(0, unlink(self, bench.directory, "000001.log"));
        try testing.expectEqual(0, directorySync(self, bench.directory));
        try testing.expectEqual(0, rename(self, bench.directory, "made", "copy"));
        try crash(self);
        const reopened: usize = @intCast(directoryOpen(self, "/a/store", false));
        defer handleClose(self, reopened);
        const names = &directoryOf(self, reopened).?.names;
        const is_renamed = names.contains("copy");
        try testing.expect(is_renamed != names.contains("made"));
        const copy = names.get(if (is_renamed) "copy" else "made").?.directory;
        try testing.expectEqualStrings(if (is_renamed) "copy" else "made", copy.name);
        try testing.expectEqualStrings("abcd", copy.names.get("000002.log").?.file.seen.items);
        states[@as(usize, @intFromBool(is_renamed)) * 2 + @intFromBool(copy.names.contains("000003.log"))] += 1;
    }
    for (states) |count| try testing.expect(count > 10);
}

test "a failed sync loses what it did not write, and the next one succeeds" {
    var lost: u32 = 0;
    for (0..50) |seed| {
        var bench = try Bench.init(seed);
        defer bench.deinit();
        const self = bench.self;
        _ = bench.write(0, "abcd", false);
        failAfter(self, .sync, 5, 0, 1);
        try testing.expectEqual(-5, dataSync(self, bench.file));
        try testing.expectEqual(0, dataSync(self, bench.file));
        try testing.expectEqualStrings("abcd", bench.inode().seen.items);
        try crash(self);
        if (!std.mem.eql(u8, "abcd", bench.inode().seen.items)) lost += 1;
    }
    try testing.expect(lost > 10 and lost < 50);
}

test "the power fails behind an operation, and everything is dead until it is back" {
    var bench = try Bench.init(3);
    defer bench.deinit();
    const self = bench.self;
    const before = operationCount(self);
    stopAfter(self, 2);
    try testing.expectEqual(4, bench.write(0, "abcd", false));
    try testing.expectEqual(0, dataSync(self, bench.file));
    try testing.expectEqual(crashed, bench.write(4, "abcd", false));
    try testing.expectEqual(crashed, directoryOpen(self, "/a", true));
    try testing.expectEqual(before + 2, operationCount(self));
    try crash(self);
    try testing.expectEqual(crashed, bench.write(4, "abcd", false));
    const again = directoryOpen(self, "/a", false);
    try testing.expect(again > 0);
    handleClose(self, @intCast(again));
}

test "a full disk writes what fits and says ENOSPC" {
    var bench = try Bench.init(4);
    defer bench.deinit();
    const self = bench.self;
    setCapacity(self, 6);
    try testing.expectEqual(4, bench.write(0, "abcd", false));
    try testing.expectEqual(system.failure(.NOSPC), bench.write(4, "abcd", false));
    try testing.expectEqualStrings("abcdab", bench.inode().seen.items);
    try testing.expectEqual(4, bench.write(0, "efgh", false));
    try testing.expectEqual(system.failure(.NOSPC), allocate(self, bench.file, 0, 8));
    clearFaults(self);
    try testing.expectEqual(0, allocate(self, bench.file, 0, 8));
}

test "the log of operations reads as it says" {
    var bench = try Bench.init(5);
    defer bench.deinit();
    _ = bench.write(0, "abcd", true);
    _ = unlink(bench.self, bench.directory, "CURRENT");
    var text: [512]u8 = undefined;
    const count = readLog(bench.self, 0, &text);
    try testing.expectEqualStrings(
        \\1 make_directory /a
        \\2 sync_directory /
        \\3 make_directory /a/store
        \\4 sync_directory /a
        \\5 create /a/store/000001.log
        \\6 write /a/store/000001.log 0 +4 #92c80a31 synced
        \\7 unlink /a/store/CURRENT ENOENT
        \\
    , text[0..count]);
}
