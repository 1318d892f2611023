//! A file of the simulated disk: what a reader sees, what is durable, and what lies between. Under its disk's mutex.

const std = @import("std");

const gpa = std.heap.c_allocator;

/// A change of a file since its last sync. `synced` ones (RWF_DSYNC) survive, the others may.
pub const Change = struct {
    offset: u64,
    what: union(enum) { bytes: []u8, size },
    synced: bool,
};

pub const Inode = struct {
    number: u64,
    links: u32 = 1,
    opens: u32 = 0,
    seen: std.ArrayList(u8) = .empty,
    durable: std.ArrayList(u8) = .empty,
    changes: std.ArrayList(Change) = .empty,

    pub fn write(self: *Inode, offset: u64, bytes: []const u8, synced: bool) error{OutOfMemory}!void {
        if (bytes.len == 0) return;
        const direct = synced and self.changes.items.len == 0;
        if (!direct) try self.changes.ensureUnusedCapacity(gpa, 1);
        const copy: ?[]u8 = if (direct) null else try gpa.dupe(u8, bytes);
        errdefer if (copy) |made| gpa.free(made);
        try put(&self.seen, offset, bytes);
        if (copy) |made| {
            self.changes.appendAssumeCapacity(.{ .offset = offset, .what = .{ .bytes = made }, .synced = synced });
        } else try put(&self.durable, offset, bytes);
    }

    pub fn resize(self: *Inode, bytes: u64) error{OutOfMemory}!void {
        try self.changes.ensureUnusedCapacity(gpa, 1);
        try setSize(&self.seen, bytes);
        self.changes.appendAssumeCapacity(.{ .offset = bytes, .what = .size, .synced = false });
    }

    /// Everything seen becomes durable.
    pub fn sync(self: *Inode) error{OutOfMemory}!void {
        for (self.changes.items) |change| switch (change.what) {
            .bytes => |bytes| try put(&self.durable, change.offset, bytes),
            .size => try setSize(&self.durable, change.offset),
        };
        self.forgetChanges();
    }

    pub fn forgetChanges(self: *Inode) void {
        for (self.changes.items) |change| switch (change.what) {
            .bytes => |bytes| gpa.free(bytes),
            .size => {},
        };
        self.changes.clearRetainingCapacity();
    }

    pub fn destroy(self: *Inode) void {
        self.forgetChanges();
        self.changes.deinit(gpa);
        self.seen.deinit(gpa);
        self.durable.deinit(gpa);
        gpa.destroy(self);
    }

    fn put(into: *std.ArrayList(u8), offset: u64, bytes: []const u8) error{OutOfMemory}!void {
        const end: usize = @intCast(offset + bytes.len);
        if (end > into.items.len) try setSize(into, end);
        @memcpy(into.items[@intCast(offset)..end], bytes);
    }

    fn setSize(list: *std.ArrayList(u8), bytes: u64) error{OutOfMemory}!void {
        const before = list.items.len;
        try list.resize(gpa, @intCast(bytes));
        if (bytes > before) @memset(list.items[before..], 0);
    }
};
