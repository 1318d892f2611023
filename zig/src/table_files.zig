//! The descriptors of one store's tables and blob segments. They are scarcer than tables: at most `open_max` of a store are open at a
//! time, and in the whole process at most half of what the system allows it; the file that was not used for longest is
//! closed, and opened again when a read needs it. The log, the manifest and the lock are not counted.
//!
//! Files that are being read right now, and those whose name is gone, stay open whatever the number. A store's tables
//! may outlive it (a cursor that nobody closed pins them): then nothing is opened any more. Any thread may call.

const std = @import("std");
const abi = @import("abi.zig");
const disk = @import("disk.zig");
const file_name = @import("file_name.zig");
const file_table = @import("file_table.zig");
const locks = @import("locks.zig");
const system = @import("system.zig");
const TableFile = @import("table_file.zig").TableFile;

const gpa = std.heap.c_allocator;

pub const Options = struct {
    open_max: u32 = 1000,
    /// Read and write past the page cache where the volume allows it.
    direct_reads: bool = false,
    direct_writes: bool = false,
};

pub const TableFiles = struct {
    disk: disk.Disk,
    directory: disk.DirectoryHandle,
    counters: *abi.Counters,
    options: Options,
    /// The store, and each table.
    references: std.atomic.Value(u32) = .init(1),

    // Under `mutex`.
    closed: bool = false,
    open_count: u32 = 0,
    /// The open ones by their last use.
    newest: ?*TableFile = null,
    oldest: ?*TableFile = null,
    next: ?*TableFiles = null,

    pub fn create(
        on: disk.Disk,
        directory: disk.DirectoryHandle,
        counters: *abi.Counters,
        options: Options,
    ) error{OutOfMemory}!*TableFiles {
        const self = try gpa.create(TableFiles);
        self.* = .{ .disk = on, .directory = directory, .counters = counters, .options = options };
        mutex.lock();
        defer mutex.unlock();
        self.next = first;
        first = self;
        return self;
    }

    /// The store's last call: closes what nobody is reading.
    pub fn close(self: *TableFiles) void {
        mutex.lock();
        self.closed = true;
        while (self.idle(true)) |file| file.closeNow();
        mutex.unlock();
        self.release();
    }

    pub fn retain(self: *TableFiles) void {
        _ = self.references.fetchAdd(1, .monotonic);
    }

    pub fn release(self: *TableFiles) void {
        if (self.references.fetchSub(1, .acq_rel) != 1) return;
        mutex.lock();
        defer mutex.unlock();
        var at = &first;
        while (at.* != self) at = &at.*.?.next;
        at.* = self.next;
        gpa.destroy(self);
    }

    /// Takes away the name of a table that never came to be known, while there is a store.
    pub fn unlink(self: *TableFiles, name: []const u8) void {
        mutex.lock();
        defer mutex.unlock();
        if (!self.closed) _ = self.disk.vtable.unlink(self.disk.context, self.directory, name);
    }

    /// Zero, or errno or Code. REQUIRES: `mutex`, and that the file is not open.
    pub fn open(self: *TableFiles, file: *TableFile) i64 {
        while (true) {
            if (self.closed) return abi.Code.closed.int();
            self.makeRoom();
            var name_buffer: [file_name.name_bytes_max]u8 = undefined;
            const name = file_name.format(@intFromEnum(file.kind), @floatFromInt(file.number), &name_buffer) orelse return abi.Code.invalid.int();
            const mode: disk.OpenMode = .{ .read_only = true, .direct = self.options.direct_reads };
            switch (file_table.open(self.disk, self.directory, name, mode, self.counters)) {
                .file => |opened| {
                    self.attach(file, opened);
                    return 0;
                },
                .failed => |result| {
                    const scarce = system.is(result, .MFILE) or system.is(result, .NFILE);
                    if (!scarce or !self.closeOne()) return result;
                },
            }
        }
    }

    /// REQUIRES: `mutex`.
    pub fn attach(self: *TableFiles, file: *TableFile, opened: *file_table.File) void {
        file.file = opened;
        self.open_count += 1;
        open_total += 1;
        self.linkNode(file);
    }

    /// REQUIRES: `mutex`.
    pub fn detach(self: *TableFiles, file: *TableFile) void {
        file.file = null;
        self.open_count -= 1;
        open_total -= 1;
        self.unlinkNode(file);
    }

    /// REQUIRES: `mutex`, and that the file is open.
    pub fn touch(self: *TableFiles, file: *TableFile) void {
        if (self.newest == file) return;
        self.unlinkNode(file);
        self.linkNode(file);
    }

    /// Makes room for one more, as far as that can be. REQUIRES: `mutex`.
    pub fn makeRoom(self: *TableFiles) void {
        while (self.open_count >= self.options.open_max) (self.idle(false) orelse break).closeNow();
        while (open_total >= totalMax()) if (!self.closeOne()) return;
    }

    /// Closes one of this store's, or else of another's. False: none can be.
    fn closeOne(self: *TableFiles) bool {
        if (self.idle(false)) |file| {
            file.closeNow();
            return true;
        }
        var at = first;
        while (at) |each| : (at = each.next) {
            const file = each.idle(false) orelse continue;
            file.closeNow();
            return true;
        }
        return false;
    }

    /// The one that was not used for longest, of those that may be closed.
    fn idle(self: *TableFiles, kept_too: bool) ?*TableFile {
        var at = self.oldest;
        while (at) |file| : (at = file.newer) {
            if (file.users == 0 and (kept_too or !file.kept)) return file;
        }
        return null;
    }

    fn linkNode(self: *TableFiles, file: *TableFile) void {
        file.older = self.newest;
        file.newer = null;
        if (self.newest) |newest| newest.newer = file else self.oldest = file;
        self.newest = file;
    }

    fn unlinkNode(self: *TableFiles, file: *TableFile) void {
        if (file.newer) |newer| newer.older = file.older else self.newest = file.older;
        if (file.older) |older| older.newer = file.newer else self.oldest = file.newer;
        file.newer = null;
        file.older = null;
    }
};

/// Held while a file is opened, too: two threads then never open the same one.
pub var mutex: locks.Mutex = .{};
/// Every store's.
var first: ?*TableFiles = null;
var open_total: u32 = 0;
var total_max: u32 = 0;

/// Half of what the process may have; the logs, the manifest and the host need theirs.
fn totalMax() u32 {
    if (total_max != 0) return total_max;
    var limit: std.c.rlimit = undefined;
    const soft: u64 = if (std.c.getrlimit(.NOFILE, &limit) == 0) @intCast(limit.cur) else 256;
    total_max = @intCast(std.math.clamp(soft / 2, 8, 1 << 20));
    return total_max;
}
