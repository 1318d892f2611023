//! Random histories of every type of entry, and a reader of them that is written from docs/tree.md's table and shares no
//! code with the library but the fold: for tests that compare what a reader finds before and after.

const std = @import("std");
const abi = @import("../abi.zig");
const internal_key = @import("../internal_key.zig");
const merge_operator = @import("../merge_operator.zig");
const Tombstone = @import("../range_fragments.zig").Tombstone;

pub const keys = [_][]const u8{ "", "a", "ab", "b", "c\x00" };
pub const bounds = [_][]const u8{ "", "a", "a\x00", "ab", "abc", "b", "c", "d" };

pub fn trailerOf(sequence: u64, entry_type: abi.EntryType) u64 {
    return internal_key.trailer(sequence, @intCast(@intFromEnum(entry_type)));
}

pub const Entry = struct {
    key: []const u8,
    sequence: u64,
    type: abi.EntryType,
    value: []const u8,

    pub fn lessThan(_: void, a: Entry, b: Entry) bool {
        return internal_key.compare(a.key, internal_key.trailer(a.sequence, 0), b.key, internal_key.trailer(b.sequence, 0)) == .lt;
    }
};

/// In no order.
pub const History = struct {
    entries: std.ArrayList(Entry) = .empty,
    tombstones: std.ArrayList(Tombstone) = .empty,

    pub fn addAll(self: *History, arena: std.mem.Allocator, other: *const History) !void {
        try self.entries.appendSlice(arena, other.entries.items);
        try self.tombstones.appendSlice(arena, other.tombstones.items);
    }
};

/// What a reader gets.
pub const Answer = union(enum) {
    nothing,
    value: []const u8,
    blob: []const u8,
    /// Operands that do not fold, or are not ours to fold, oldest first; the base if there is one.
    stack: struct { base: ?[]const u8, blob: bool, operands: []const []const u8 },
    /// An integer of a wrong length is among them.
    damaged,
};

pub fn read(arena: std.mem.Allocator, history: *const History, operator: abi.MergeOperator, key: []const u8, sequence: u64, time: f64) !Answer {
    var cover: u64 = 0;
    for (history.tombstones.items) |tombstone| {
        if (tombstone.sequence > sequence or std.mem.order(u8, key, tombstone.lower) == .lt) continue;
        if (tombstone.upper.len > 0 and std.mem.order(u8, key, tombstone.upper) != .lt) continue;
        cover = @max(cover, tombstone.sequence);
    }
    var operands: std.ArrayList([]const u8) = .empty;
    var below = sequence + 1;
    var base: ?[]const u8 = null;
    var blob = false;
    while (true) {
        var next: ?Entry = null;
        for (history.entries.items) |entry| {
            if (!std.mem.eql(u8, entry.key, key) or entry.sequence >= below or entry.sequence <= cover) continue;
            if (next == null or entry.sequence > next.?.sequence) next = entry;
        }
        const entry = next orelse break;
        below = entry.sequence;
        switch (entry.type) {
            .put => base = entry.value,
            .delete => {},
            .merge => {
                try operands.insert(arena, 0, entry.value);
                continue;
            },
            .put_expiring, .put_blob_expiring => {
                const expiry: f64 = @bitCast(std.mem.readInt(u64, entry.value[0..8], .little));
                if (time < expiry) {
                    base = entry.value[8..];
                    blob = entry.type == .put_blob_expiring;
                }
            },
            .put_blob => {
                base = entry.value;
                blob = true;
            },
            .delete_range => unreachable,
        }
        break;
    }
    if (operands.items.len == 0) {
        const value = base orelse return .nothing;
        return if (blob) .{ .blob = value } else .{ .value = value };
    }
    if (!merge_operator.isNative(operator)) return .{ .stack = .{ .base = base, .blob = blob, .operands = operands.items } };
    var folded: std.ArrayList(u8) = .empty;
    merge_operator.fold(arena, operator, if (blob) null else base, operands.items, &folded) catch |e| return switch (e) {
        error.Damaged => .damaged,
        else => e,
    };
    if (!blob) return .{ .value = folded.items };
    const one = try arena.alloc([]const u8, 1);
    one[0] = folded.items;
    return .{ .stack = .{ .base = base, .blob = true, .operands = one } };
}

pub const Generator = struct {
    arena: std.mem.Allocator,
    random: std.Random,
    operator: abi.MergeOperator,
    /// One integer in so many is of a wrong length; zero: none.
    damage: u32 = 0,
    keys: []const []const u8 = &keys,
    bounds: []const []const u8 = &bounds,
    /// Values of operators that take any have up to so many bytes more.
    padding: usize = 0,

    fn value(self: *Generator) ![]const u8 {
        if (self.operator == .append or self.operator == .custom or self.operator == .none) {
            const more = self.random.uintAtMost(usize, self.padding);
            return std.fmt.allocPrint(self.arena, "{d},{[1]s:x>[2]}", .{ self.random.uintLessThan(u32, 100), "", more });
        }
        if (self.damage > 0 and self.random.uintLessThan(u32, self.damage) == 0) return "short";
        const number: i64 = if (self.random.uintLessThan(u32, 8) == 0) std.math.maxInt(i64) else self.random.intRangeAtMost(i64, -9, 9);
        return self.arena.dupe(u8, &std.mem.toBytes(std.mem.nativeToLittle(i64, number)));
    }

    /// Each number from `from` to below `to` at most once.
    pub fn fill(self: *Generator, history: *History, from: u64, to: u64, tombstone_chance: u32) !void {
        const chain = self.random.boolean();
        for (@intCast(from)..@intCast(to)) |number| {
            if (self.random.uintLessThan(u32, 5) == 0) continue;
            if (self.random.uintLessThan(u32, 100) < tombstone_chance) {
                const lower = self.bounds[self.random.uintLessThan(usize, self.bounds.len)];
                const upper = if (self.random.uintLessThan(u32, 4) == 0) "" else self.bounds[self.random.uintLessThan(usize, self.bounds.len)];
                try history.tombstones.append(self.arena, .{ .lower = lower, .upper = upper, .sequence = number });
                continue;
            }
            const entry_type: abi.EntryType = switch (self.random.uintLessThan(u32, 16)) {
                0, 1, 2 => .put,
                3, 4 => .delete,
                5, 6, 7 => .put_expiring,
                8 => .put_blob,
                9 => .put_blob_expiring,
                else => if (chain) .merge else .put,
            };
            try history.entries.append(self.arena, .{
                .key = self.keys[self.random.uintLessThan(usize, self.keys.len)],
                .sequence = number,
                .type = entry_type,
                .value = try self.content(entry_type, number),
            });
        }
    }

    fn content(self: *Generator, entry_type: abi.EntryType, number: u64) ![]const u8 {
        var out: std.ArrayList(u8) = .empty;
        switch (entry_type) {
            .put_expiring, .put_blob_expiring => {
                const expiry: f64 = @floatFromInt(self.random.uintLessThan(u32, 12));
                try out.appendSlice(self.arena, &std.mem.toBytes(@as(u64, @bitCast(expiry))));
            },
            else => {},
        }
        switch (entry_type) {
            .put, .put_expiring, .merge => try out.appendSlice(self.arena, try self.value()),
            .put_blob, .put_blob_expiring => {
                const address: abi.BlobAddress = .{ .number = 3, .offset = @floatFromInt(number), .bytes = 9, .checksum = 7 };
                try out.appendSlice(self.arena, std.mem.asBytes(&address));
            },
            else => {},
        }
        return out.items;
    }
};
