//! A disk in memory. Each file has what a reader sees and what a power failure would leave (the durable bytes,
//! and the changes since, any of which may have reached the medium); each directory has its names and its
//! durable names. Nothing happens by itself: no thread runs jobs on it, its clock stands until it is set.
//!
//! One mutex per disk; any thread may call. REQUIRES: nothing is open when the disk is destroyed.

const std = @import("std");
const abi = @import("abi.zig");
const disk = @import("disk.zig");
const locks = @import("locks.zig");
const system = @import("system.zig");
const Inode = @import("simulated_file.zig").Inode;

const gpa = std.heap.c_allocator;

const Entry = union(enum) { file: *Inode, directory: *Directory };
const Names = std.StringArrayHashMapUnmanaged(Entry);

const Directory = struct {
    number: u64,
    parent: ?*Directory,
    names: Names = .empty,
    /// The names that a power failure leaves. Files in it are kept while they are.
    durable_names: Names = .empty,
    readers: u32 = 0,
    writer: bool = false,
};

/// What an open file or directory is: it belongs to the time between two crashes.
const Handle = struct { target: Entry, epoch: u32, read_only: bool };

const Walked = union(enum) { found: *Directory, failed: i64 };

pub const Simulated = struct {
    mutex: locks.Mutex = .{},
    root: *Directory,
    /// Every inode and directory ever made and not destroyed, in the order of making.
    inodes: std.ArrayList(*Inode) = .empty,
    directories: std.ArrayList(*Directory) = .empty,
    number_next: u64 = 1,
    /// Counts crashes.
    epoch: u32 = 0,
    /// Milliseconds since 1970.
    clock: f64 = 1_700_000_000_000,
    random: std.Random.DefaultPrng,

    fn makeDirectory(self: *Simulated, parent: ?*Directory) error{OutOfMemory}!*Directory {
        try self.directories.ensureUnusedCapacity(gpa, 1);
        const made = try gpa.create(Directory);
        made.* = .{ .number = self.number_next, .parent = parent };
        self.number_next += 1;
        self.directories.appendAssumeCapacity(made);
        return made;
    }

    fn makeFile(self: *Simulated) error{OutOfMemory}!*Inode {
        try self.inodes.ensureUnusedCapacity(gpa, 1);
        const made = try gpa.create(Inode);
        made.* = .{ .number = self.number_next };
        self.number_next += 1;
        self.inodes.appendAssumeCapacity(made);
        return made;
    }

    /// Gives back the memory of a file that no name, durable name or handle leads to.
    fn collect(self: *Simulated, inode: *Inode) void {
        if (inode.links > 0 or inode.opens > 0) return;
        const at = std.mem.indexOfScalar(*Inode, self.inodes.items, inode).?;
        _ = self.inodes.orderedRemove(at);
        inode.destroy();
    }

    fn draw(self: *Simulated, below: u32) u32 {
        return self.random.random().uintLessThan(u32, below);
    }

    /// Where a path leads. With `make`, missing directories are made and their names made durable at once.
    fn walk(self: *Simulated, path: []const u8, make: bool) error{OutOfMemory}!Walked {
        var at = self.root;
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
            const made = try self.makeDirectory(at);
            try setName(&at.names, step, .{ .directory = made });
            try syncNames(at);
            at = made;
        }
        return .{ .found = at };
    }
};

// ---------------------------------------------------------------------------------------------------------------
// Names. A file's links count its names, durable ones too: what a crash may bring back is kept.

fn setName(names: *Names, name: []const u8, entry: Entry) error{OutOfMemory}!void {
    try names.ensureUnusedCapacity(gpa, 1);
    const key = try gpa.dupe(u8, name);
    names.putAssumeCapacity(key, entry);
}

fn removeName(names: *Names, name: []const u8) void {
    const found = names.fetchOrderedRemove(name).?;
    gpa.free(found.key);
}

fn clearNames(names: *Names) void {
    for (names.keys()) |key| gpa.free(key);
    names.clearRetainingCapacity();
}

fn syncNames(directory: *Directory) error{OutOfMemory}!void {
    var next: Names = .empty;
    errdefer {
        clearNames(&next);
        next.deinit(gpa);
    }
    for (directory.names.keys(), directory.names.values()) |name, entry| try setName(&next, name, entry);
    for (next.values()) |entry| if (entry == .file) {
        entry.file.links += 1;
    };
    for (directory.durable_names.values()) |entry| if (entry == .file) {
        entry.file.links -= 1;
    };
    clearNames(&directory.durable_names);
    directory.durable_names.deinit(gpa);
    directory.durable_names = next;
}

// ---------------------------------------------------------------------------------------------------------------

pub fn create(seed: u64) error{OutOfMemory}!disk.Disk {
    const self = try gpa.create(Simulated);
    errdefer gpa.destroy(self);
    self.* = .{ .root = undefined, .random = .init(seed) };
    self.root = try self.makeDirectory(null);
    return .{ .context = self, .vtable = &vtable };
}

pub fn destroy(simulated: disk.Disk) void {
    const self = of(simulated.context);
    for (self.inodes.items) |inode| inode.destroy();
    self.inodes.deinit(gpa);
    for (self.directories.items) |directory| {
        clearNames(&directory.names);
        directory.names.deinit(gpa);
        clearNames(&directory.durable_names);
        directory.durable_names.deinit(gpa);
        gpa.destroy(directory);
    }
    self.directories.deinit(gpa);
    gpa.destroy(self);
}

/// The simulation behind the disk; null for the real one.
pub fn from(any: disk.Disk) ?*Simulated {
    return if (any.vtable == &vtable) of(any.context) else null;
}

/// A number below `below`, drawn from the disk's seed.
pub fn draw(self: *Simulated, below: u32) u32 {
    self.mutex.lock();
    defer self.mutex.unlock();
    return self.draw(below);
}

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
    return if (found.epoch == self.epoch) found else null;
}

fn directoryOf(self: *Simulated, handle: usize) ?*Directory {
    const found = handleOf(self, handle) orelse return null;
    return found.target.directory;
}

fn fileOf(self: *Simulated, handle: usize) ?*Inode {
    const found = handleOf(self, handle) orelse return null;
    return found.target.file;
}

fn makeHandle(self: *Simulated, target: Entry, read_only: bool) i64 {
    const made = gpa.create(Handle) catch return no_memory;
    made.* = .{ .target = target, .epoch = self.epoch, .read_only = read_only };
    if (target == .file) target.file.opens += 1;
    return @intCast(@intFromPtr(made));
}

fn handleClose(context: *anyopaque, handle: usize) void {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const found: *Handle = @ptrFromInt(handle);
    if (found.target == .file) {
        const inode = found.target.file;
        inode.opens -= 1;
        self.collect(inode);
    }
    gpa.destroy(found);
}

fn directoryOpen(context: *anyopaque, path: []const u8, create_missing: bool) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    if (path.len == 0) return system.failure(.NOENT);
    return switch (self.walk(path, create_missing) catch return no_memory) {
        .failed => |result| result,
        .found => |directory| makeHandle(self, .{ .directory = directory }, false),
    };
}

fn directorySync(context: *anyopaque, handle: usize) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const directory = directoryOf(self, handle) orelse return crashed;
    syncNames(directory) catch return no_memory;
    return 0;
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
        const inode = self.makeFile() catch return no_memory;
        setName(&directory.names, "LOCK", .{ .file = inode }) catch return no_memory;
    }
    const made = makeHandle(self, .{ .directory = directory }, mode == .shared);
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
    const inode = if (directory.names.get(name)) |entry| found: {
        if (mode.create) return system.failure(.EXIST);
        break :found switch (entry) {
            .file => |file| file,
            .directory => return system.failure(.ISDIR),
        };
    } else made: {
        if (!mode.create) return system.failure(.NOENT);
        const file = self.makeFile() catch return no_memory;
        setName(&directory.names, name, .{ .file = file }) catch return no_memory;
        break :made file;
    };
    const handle = makeHandle(self, .{ .file = inode }, mode.read_only);
    if (handle < 0) return handle;
    out.* = .{ .handle = @intCast(handle), .direct = mode.direct };
    return 0;
}

fn pread(context: *anyopaque, handle: usize, buffer: []u8, offset: u64) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const inode = fileOf(self, handle) orelse return crashed;
    if (offset >= inode.seen.items.len) return 0;
    const rest = inode.seen.items[@intCast(offset)..];
    const count = @min(buffer.len, rest.len);
    @memcpy(buffer[0..count], rest[0..count]);
    return @intCast(count);
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
    if (offset > file_bytes_max) return system.failure(.FBIG);
    var at = offset;
    for (parts) |part| {
        if (at + part.len > file_bytes_max) return system.failure(.FBIG);
        found.target.file.write(at, part.base[0..part.len], data_sync) catch return no_memory;
        at += part.len;
    }
    return @intCast(at - offset);
}

/// A wrong offset is to be an error, not all of memory.
const file_bytes_max = 1 << 32;

fn dataSync(context: *anyopaque, handle: usize) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const inode = fileOf(self, handle) orelse return crashed;
    inode.sync() catch return no_memory;
    return 0;
}

fn allocate(context: *anyopaque, handle: usize, offset: u64, bytes: u64) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const inode = fileOf(self, handle) orelse return crashed;
    if (offset + bytes > file_bytes_max) return system.failure(.FBIG);
    if (offset + bytes > inode.seen.items.len) inode.resize(offset + bytes) catch return no_memory;
    return 0;
}

fn truncate(context: *anyopaque, handle: usize, bytes: u64) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const inode = fileOf(self, handle) orelse return crashed;
    if (bytes > file_bytes_max) return system.failure(.FBIG);
    inode.resize(bytes) catch return no_memory;
    return 0;
}

fn size(context: *anyopaque, handle: usize) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const inode = fileOf(self, handle) orelse return crashed;
    return @intCast(inode.seen.items.len);
}

fn rename(context: *anyopaque, handle: usize, from_name: []const u8, to_name: []const u8) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const directory = directoryOf(self, handle) orelse return crashed;
    const entry = directory.names.get(from_name) orelse return system.failure(.NOENT);
    if (std.mem.eql(u8, from_name, to_name)) return 0;
    if (directory.names.get(to_name)) |replaced| {
        if (replaced == .directory) return system.failure(.ISDIR);
        removeName(&directory.names, to_name);
        replaced.file.links -= 1;
        self.collect(replaced.file);
    }
    setName(&directory.names, to_name, entry) catch return no_memory;
    removeName(&directory.names, from_name);
    return 0;
}

fn unlink(context: *anyopaque, handle: usize, name: []const u8) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const directory = directoryOf(self, handle) orelse return crashed;
    const entry = directory.names.get(name) orelse return system.failure(.NOENT);
    if (entry == .directory) return system.failure(.ISDIR);
    removeName(&directory.names, name);
    entry.file.links -= 1;
    self.collect(entry.file);
    return 0;
}

fn directoryRemove(context: *anyopaque, path: []const u8) disk.Result {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    const directory = switch (self.walk(path, false) catch return no_memory) {
        .failed => |result| return result,
        .found => |found| found,
    };
    const parent = directory.parent orelse return system.failure(.BUSY);
    if (directory.names.count() > 0) return system.failure(.NOTEMPTY);
    for (parent.names.keys(), parent.names.values()) |name, entry| {
        if (entry != .directory or entry.directory != directory) continue;
        removeName(&parent.names, name);
        break;
    }
    syncNames(parent) catch return no_memory;
    return 0;
}

fn now(context: *anyopaque) f64 {
    const self = of(context);
    self.mutex.lock();
    defer self.mutex.unlock();
    return self.clock;
}

const testing = std.testing;

test "what is durable is what was synced, in files and in names" {
    const simulated = try create(1);
    defer destroy(simulated);
    const self = from(simulated).?;
    const directory: usize = @intCast(directoryOpen(self, "/store", true));
    defer handleClose(self, directory);
    var opened: disk.OpenedFile = undefined;
    try testing.expectEqual(0, fileOpen(self, directory, "000001.log", .{ .create = true }, &opened));
    defer handleClose(self, opened.handle);
    const inode = fileOf(self, opened.handle).?;

    const parts = [_]disk.IoVec{.{ .base = "abcd", .len = 4 }};
    _ = pwritev(self, opened.handle, &parts, 0, false);
    try testing.expectEqual(0, inode.durable.items.len);
    // Synced by itself, but behind a change that is not: both are kept apart until the file is synced.
    _ = pwritev(self, opened.handle, &parts, 2, true);
    try testing.expectEqual(2, inode.changes.items.len);
    try testing.expect(inode.changes.items[1].synced);
    try testing.expectEqual(0, dataSync(self, opened.handle));
    try testing.expectEqualStrings("ababcd", inode.durable.items);
    _ = pwritev(self, opened.handle, &parts, 6, true);
    try testing.expectEqualStrings("ababcdabcd", inode.durable.items);

    const names = &directoryOf(self, directory).?.durable_names;
    try testing.expectEqual(0, names.count());
    try testing.expectEqual(0, directorySync(self, directory));
    try testing.expectEqual(0, unlink(self, directory, "000001.log"));
    try testing.expectEqual(1, names.count());
    try testing.expectEqual(0, directorySync(self, directory));
    try testing.expectEqual(0, names.count());
}
