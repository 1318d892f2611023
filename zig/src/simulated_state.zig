//! What a simulated disk is: its files and directories, the handles on them, its faults, its clock, and how a path is
//! walked. Under the disk's mutex; disk_simulated.zig says what the whole promises.

const std = @import("std");
const abi = @import("abi.zig");
const fault_plan = @import("fault_plan.zig");
const locks = @import("locks.zig");
const operation_log = @import("operation_log.zig");
const simulated_directory = @import("simulated_directory.zig");
const simulated_file = @import("simulated_file.zig");
const system = @import("system.zig");
const Directory = simulated_directory.Directory;
const Entry = simulated_directory.Entry;
const Fault = fault_plan.Fault;
const Inode = simulated_file.Inode;
const Mood = simulated_file.Mood;
const Operation = abi.DiskOperation;

const gpa = std.heap.c_allocator;
pub const never = std.math.maxInt(u64);

/// However likely interruptions are, a call gets through.
const interruptions_max = 64;

pub const no_memory: i64 = system.failure(.NOMEM);
pub const crashed: i64 = abi.Code.crashed.int();

/// What an open file or directory is: it belongs to the time between two crashes.
pub const Handle = struct { target: Entry, directory: *Directory, epoch: u32, read_only: bool };

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
    faults: fault_plan.FaultPlan,
    latency: fault_plan.LatencyPlan,
    log: operation_log.OperationLog = .{},
    /// Content of the last file that was destroyed.
    recycled: std.ArrayList(u8) = .empty,
    /// One for the order of jobs, one for crashes: where a crash comes changes nothing before it.
    seed: u64,
    schedule: std.Random.DefaultPrng,
    random: std.Random.DefaultPrng,

    pub fn makeDirectory(self: *Simulated, parent: ?*Directory, name: []const u8) error{OutOfMemory}!*Directory {
        try self.directories.ensureUnusedCapacity(gpa, 1);
        const copy = try gpa.dupe(u8, name);
        errdefer gpa.free(copy);
        const made = try gpa.create(Directory);
        made.* = .{ .number = self.number_next, .parent = parent, .name = copy };
        self.number_next += 1;
        self.directories.appendAssumeCapacity(made);
        return made;
    }

    pub fn makeFile(self: *Simulated, directory: *Directory, name: []const u8) error{OutOfMemory}!*Inode {
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

    pub fn drawMood(self: *Simulated) Mood {
        return .draw(self.random.random(), self.recycled.items);
    }

    pub fn reach(self: *Simulated, seen_only: bool) void {
        for (self.inodes.items) |inode| inode.reached = inode.opens > 0;
        for (self.directories.items) |directory| directory.reach(seen_only);
    }

    /// Destroys the files that nothing leads to, a crash included.
    pub fn sweep(self: *Simulated) void {
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
    pub fn room(self: *Simulated) u64 {
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
    pub fn fault(self: *Simulated, operation: Operation) i64 {
        return switch (self.transferFault(operation)) {
            .failed => |errno| errno,
            else => 0,
        };
    }

    /// The same where a call can also transfer a part. One that is interrupted is made again, as system.zig does.
    pub fn transferFault(self: *Simulated, operation: Operation) Fault {
        self.latency.add(operation);
        for (0..interruptions_max) |_| {
            const next = self.faults.next(operation);
            if (next != .interrupted) return next;
            self.log.addInterruption(operation);
        }
        return .none;
    }

    /// Notes an operation that has been carried out, or has failed.
    pub fn note(
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

    pub fn syncNames(self: *Simulated, directory: *Directory) i64 {
        var result = self.fault(.sync_directory);
        if (result == 0) directory.sync() catch {
            result = no_memory;
        };
        self.sweep();
        return self.note(.sync_directory, directory, "", "", .{}, result);
    }

    pub fn addDirectory(self: *Simulated, parent: *Directory, name: []const u8) Walked {
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
    pub fn walk(self: *Simulated, path: []const u8, make: bool) Walked {
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

    // -----------------------------------------------------------------------------------------------------------
    // Handles

    /// Null behind a crash, and while the power is off.
    pub fn handleOf(self: *Simulated, handle: usize) ?*Handle {
        const found: *Handle = @ptrFromInt(handle);
        return if (found.epoch == self.epoch and !self.off) found else null;
    }

    pub fn directoryOf(self: *Simulated, handle: usize) ?*Directory {
        const found = self.handleOf(handle) orelse return null;
        return found.target.directory;
    }

    pub fn makeHandle(self: *Simulated, target: Entry, directory: *Directory, read_only: bool) i64 {
        const made = gpa.create(Handle) catch return no_memory;
        made.* = .{ .target = target, .directory = directory, .epoch = self.epoch, .read_only = read_only };
        if (target == .file) target.file.opens += 1;
        return @intCast(@intFromPtr(made));
    }

    pub fn freeHandle(_: *Simulated, handle: usize) void {
        const found: *Handle = @ptrFromInt(handle);
        if (found.target == .file) found.target.file.opens -= 1;
        gpa.destroy(found);
    }

    pub fn createFile(self: *Simulated, directory: *Directory, name: []const u8) Created {
        const failed = self.fault(.create);
        if (failed < 0) return .{ .failed = self.note(.create, directory, name, "", .{}, failed) };
        const made = self.makeFile(directory, name) catch return .{ .failed = no_memory };
        _ = self.note(.create, directory, name, "", .{}, 0);
        return if (self.off) .{ .failed = crashed } else .{ .made = made };
    }
};

pub const Walked = union(enum) { found: *Directory, failed: i64 };
pub const Created = union(enum) { made: *Inode, failed: i64 };

/// The simulation that a vtable's context is.
pub fn of(context: *anyopaque) *Simulated {
    return @ptrCast(@alignCast(context));
}
