//! A directory of the simulated disk: its names, its durable names, and the changes of names between, each of
//! which a crash keeps or undoes as a whole. Under its disk's mutex.

const std = @import("std");
const simulated_file = @import("simulated_file.zig");
const Inode = simulated_file.Inode;
const Mood = simulated_file.Mood;

const gpa = std.heap.c_allocator;

pub const Entry = union(enum) { file: *Inode, directory: *Directory };
pub const Names = std.StringArrayHashMapUnmanaged(Entry);

/// A creation sets a name, an unlink removes one, a rename does both at once.
const NameChange = struct {
    set: ?struct { name: []u8, entry: Entry } = null,
    removed: ?[]u8 = null,

    fn free(self: NameChange) void {
        if (self.set) |one| gpa.free(one.name);
        if (self.removed) |name| gpa.free(name);
    }
};

pub const Directory = struct {
    number: u64,
    parent: ?*Directory,
    name: []u8 = &.{},
    names: Names = .empty,
    /// The names that a power failure leaves for certain.
    durable_names: Names = .empty,
    changes: std.ArrayList(NameChange) = .empty,
    readers: u32 = 0,
    writer: bool = false,

    pub fn create(self: *Directory, name: []const u8, entry: Entry) error{OutOfMemory}!void {
        try self.change(.{ .set = .{ .name = try gpa.dupe(u8, name), .entry = entry } });
    }

    pub fn remove(self: *Directory, name: []const u8) error{OutOfMemory}!void {
        try self.change(.{ .removed = try gpa.dupe(u8, name) });
    }

    /// REQUIRES: `from` is a name here.
    pub fn rename(self: *Directory, from: []const u8, to: []const u8) error{OutOfMemory}!void {
        const entry = self.names.get(from).?;
        const target = try gpa.dupe(u8, to);
        const source = gpa.dupe(u8, from) catch |cause| {
            gpa.free(target);
            return cause;
        };
        try self.change(.{ .set = .{ .name = target, .entry = entry }, .removed = source });
    }

    fn change(self: *Directory, one: NameChange) error{OutOfMemory}!void {
        errdefer one.free();
        try self.changes.ensureUnusedCapacity(gpa, 1);
        try apply(&self.names, one);
        self.changes.appendAssumeCapacity(one);
    }

    pub fn sync(self: *Directory) error{OutOfMemory}!void {
        for (self.changes.items) |one| try apply(&self.durable_names, one);
        self.forgetChanges();
    }

    /// Power failure: of the changes since the last sync any may have been kept, whatever their order.
    pub fn crash(self: *Directory, mood: *const Mood) error{OutOfMemory}!void {
        for (self.changes.items) |one| if (mood.keeps()) try apply(&self.durable_names, one);
        self.forgetChanges();
        clear(&self.names);
        for (self.durable_names.keys(), self.durable_names.values()) |name, entry| {
            try set(&self.names, name, entry);
            // A rename that did not last.
            if (entry == .directory) try entry.directory.setName(name);
        }
        self.readers = 0;
        self.writer = false;
    }

    /// Marks the files that names lead to: those seen, or all that a crash may bring back.
    pub fn reach(self: *Directory, seen_only: bool) void {
        for (self.names.values()) |entry| mark(entry);
        if (seen_only) return;
        for (self.durable_names.values()) |entry| mark(entry);
        for (self.changes.items) |one| if (one.set) |made| mark(made.entry);
    }

    pub fn destroy(self: *Directory) void {
        self.forgetChanges();
        self.changes.deinit(gpa);
        for ([_]*Names{ &self.names, &self.durable_names }) |names| {
            clear(names);
            names.deinit(gpa);
        }
        gpa.free(self.name);
        gpa.destroy(self);
    }

    pub fn setName(self: *Directory, name: []const u8) error{OutOfMemory}!void {
        const copy = try gpa.dupe(u8, name);
        gpa.free(self.name);
        self.name = copy;
    }

    fn forgetChanges(self: *Directory) void {
        for (self.changes.items) |one| one.free();
        self.changes.clearRetainingCapacity();
    }
};

fn mark(entry: Entry) void {
    if (entry == .file) entry.file.reached = true;
}

fn apply(names: *Names, one: NameChange) error{OutOfMemory}!void {
    if (one.set) |made| try set(names, made.name, made.entry);
    if (one.removed) |name| {
        const found = names.fetchOrderedRemove(name) orelse return;
        gpa.free(found.key);
    }
}

fn set(names: *Names, name: []const u8, entry: Entry) error{OutOfMemory}!void {
    if (names.getPtr(name)) |found| {
        found.* = entry;
        return;
    }
    try names.ensureUnusedCapacity(gpa, 1);
    names.putAssumeCapacity(try gpa.dupe(u8, name), entry);
}

fn clear(names: *Names) void {
    for (names.keys()) |key| gpa.free(key);
    names.clearRetainingCapacity();
}
