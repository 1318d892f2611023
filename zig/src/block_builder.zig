//! Builds the content of one block: entries in order, keys cut by what they share with the key before, and a
//! list of restart points where nothing is cut. The layout stands in block_reader.zig. Not thread-safe.

const std = @import("std");
const internal_key = @import("internal_key.zig");

/// Most entries between restart points.
pub const restart_interval = 16;
/// An interval also ends once it has this many bytes: a search reads half an interval on average.
pub const restart_bytes = 1024;

pub const BlockBuilder = struct {
    gpa: std.mem.Allocator,
    /// Most entries between restart points.
    interval: u32 = restart_interval,
    content: std.ArrayList(u8) = .empty,
    restarts: std.ArrayList(u32) = .empty,
    last_key: std.ArrayList(u8) = .empty,
    entry_count: u32 = 0,
    /// Entries since the last restart point, with it.
    interval_count: u32 = 0,

    pub fn deinit(self: *BlockBuilder) void {
        self.content.deinit(self.gpa);
        self.restarts.deinit(self.gpa);
        self.last_key.deinit(self.gpa);
    }

    pub fn reset(self: *BlockBuilder) void {
        self.content.clearRetainingCapacity();
        self.restarts.clearRetainingCapacity();
        self.last_key.clearRetainingCapacity();
        self.entry_count = 0;
    }

    /// REQUIRES: sorts behind the entry before it.
    pub fn add(self: *BlockBuilder, key: []const u8, trailer: u64, value: []const u8) error{ OutOfMemory, TooLarge }!void {
        const restart = self.entry_count == 0 or self.interval_count == self.interval or
            self.content.items.len - self.restarts.items[self.restarts.items.len - 1] >= restart_bytes;
        const shared = if (restart) 0 else internal_key.sharedBytes(self.last_key.items, key);
        const rest = key[shared..];
        if (self.content.items.len + key.len + value.len + 64 > std.math.maxInt(u32) - 4 * (self.restarts.items.len + 2))
            return error.TooLarge;
        if (restart) try self.restarts.append(self.gpa, @intCast(self.content.items.len));

        try self.content.ensureUnusedCapacity(self.gpa, 3 * 5 + rest.len + internal_key.trailer_bytes + value.len);
        self.appendVarint(shared);
        self.appendVarint(rest.len);
        self.appendVarint(value.len);
        self.content.appendSliceAssumeCapacity(rest);
        self.content.appendSliceAssumeCapacity(&std.mem.toBytes(std.mem.nativeToLittle(u64, trailer)));
        self.content.appendSliceAssumeCapacity(value);

        self.last_key.shrinkRetainingCapacity(shared);
        try self.last_key.appendSlice(self.gpa, rest);
        self.entry_count += 1;
        self.interval_count = if (restart) 1 else self.interval_count + 1;
    }

    /// What the block takes if it is finished now.
    pub fn bytes(self: *const BlockBuilder) usize {
        return self.content.items.len + 4 * self.restarts.items.len + 4;
    }

    /// The whole content; valid until `reset`.
    pub fn finish(self: *BlockBuilder) error{OutOfMemory}![]const u8 {
        try self.content.ensureUnusedCapacity(self.gpa, 4 * self.restarts.items.len + 4);
        for (self.restarts.items) |restart| self.appendInt(restart);
        self.appendInt(@intCast(self.restarts.items.len));
        return self.content.items;
    }

    fn appendInt(self: *BlockBuilder, value: u32) void {
        self.content.appendSliceAssumeCapacity(&std.mem.toBytes(std.mem.nativeToLittle(u32, value)));
    }

    fn appendVarint(self: *BlockBuilder, value: usize) void {
        var rest = value;
        while (rest >= 0x80) : (rest >>= 7) self.content.appendAssumeCapacity(@as(u8, @truncate(rest)) | 0x80);
        self.content.appendAssumeCapacity(@intCast(rest));
    }
};
