//! Covers from many fragments at once against a plain list, up and down, and how far they reach.

const std = @import("std");
const range_cover = @import("../range_cover.zig");
const range_fragments = @import("../range_fragments.zig");
const Fragments = range_fragments.Fragments;
const RangeCover = range_cover.RangeCover;
const Tombstone = range_fragments.Tombstone;
const testing = std.testing;
const gpa = testing.allocator;

const key_count = 60;

/// Keys 0 … `key_count`; the first is the empty one.
fn keyOf(number: usize) []const u8 {
    const letters = comptime letters: {
        var all: [key_count + 1]u8 = undefined;
        for (&all, 0..) |*letter, i| letter.* = i;
        break :letters all;
    };
    return if (number == 0) "" else letters[number..][0..1];
}

const Case = struct {
    arena: std.heap.ArenaAllocator,
    tombstones: std.ArrayList(Tombstone) = .empty,
    made: std.ArrayList(*Fragments) = .empty,
    sequence: u64 = 1,

    fn deinit(self: *Case) void {
        for (self.made.items) |fragments| fragments.release();
        self.arena.deinit();
    }

    /// Tombstones between two keys; null if there are none.
    fn add(self: *Case, random: std.Random, from: usize, to: usize) !?*Fragments {
        const arena = self.arena.allocator();
        const start = self.tombstones.items.len;
        for (0..random.uintLessThan(usize, 6)) |_| {
            const lower = random.intRangeAtMost(usize, from, to - 1);
            const upper = random.intRangeAtMost(usize, lower + 1, to);
            const unbounded = to == key_count and random.uintLessThan(u32, 4) == 0;
            self.sequence += 1;
            try self.tombstones.append(arena, .{
                .lower = keyOf(lower),
                .upper = if (unbounded) "" else keyOf(upper),
                .sequence = self.sequence,
            });
        }
        if (self.tombstones.items.len == start) return null;
        const built = try Fragments.build(gpa, self.tombstones.items[start..]);
        try self.made.append(arena, built);
        return built;
    }

    fn expected(self: *const Case, number: usize, sequence: u64) u64 {
        var best: u64 = 0;
        for (self.tombstones.items) |tombstone| {
            if (tombstone.sequence > sequence or std.mem.order(u8, keyOf(number), tombstone.lower) == .lt) continue;
            if (tombstone.upper.len > 0 and std.mem.order(u8, keyOf(number), tombstone.upper) != .lt) continue;
            best = @max(best, tombstone.sequence);
        }
        return best;
    }
};

fn check(case: *const Case, covers: *RangeCover, random: std.Random) !void {
    covers.reset();
    var number: usize = 0;
    while (number <= key_count) : (number += 1 + random.uintLessThan(usize, 3)) {
        const answer = case.expected(number, covers.sequence);
        try testing.expectEqual(answer, covers.numberAt(.forward, keyOf(number)));
        if (answer == 0) continue;
        const floor = random.uintLessThan(u64, answer);
        var end = number;
        while (end <= key_count and case.expected(end, covers.sequence) > floor) end += 1;
        const found = covers.endAbove(floor);
        if (end > key_count) {
            try testing.expectEqual(null, found);
        } else try testing.expectEqualSlices(u8, keyOf(end), found.?);
    }
    covers.reset();
    number = key_count;
    while (true) {
        const answer = case.expected(number, covers.sequence);
        try testing.expectEqual(answer, covers.numberAt(.backward, keyOf(number)));
        if (answer > 0) {
            const floor = random.uintLessThan(u64, answer);
            var lowest = number;
            while (lowest > 0 and case.expected(lowest - 1, covers.sequence) > floor) lowest -= 1;
            try testing.expectEqualSlices(u8, keyOf(lowest), covers.endBelow(floor));
        }
        if (number == 0) break;
        number -|= 1 + random.uintLessThan(usize, 3);
    }
}

test "numberAt(), endAbove() and endBelow() agree with a list of all tombstones" {
    var random_state = std.Random.DefaultPrng.init(8);
    const random = random_state.random();
    for (0..600) |_| {
        var case: Case = .{ .arena = .init(gpa) };
        defer case.deinit();
        var covers: RangeCover = .{ .gpa = gpa, .sequence = 0 };
        defer covers.deinit();
        for (0..random.uintLessThan(usize, 4)) |_| {
            if (try case.add(random, 0, key_count)) |alone| try covers.add(&.{alone});
        }
        if (random.boolean()) {
            // A level: one after the other, with and without gaps.
            var row: std.ArrayList(*const Fragments) = .empty;
            defer row.deinit(gpa);
            var from: usize = 0;
            while (from < key_count) {
                const to = @min(key_count, from + 1 + random.uintLessThan(usize, 20));
                if (try case.add(random, from, to)) |part| try row.append(gpa, part);
                from = to + random.uintLessThan(usize, 2);
            }
            if (row.items.len > 0) try covers.add(row.items);
        }
        covers.sequence = if (random.boolean()) case.sequence else random.uintAtMost(u64, case.sequence);
        try check(&case, &covers, random);
    }
}

test "touches() is true of every range in which something is covered, and false where it cannot be" {
    const built = try Fragments.build(gpa, &.{ .{ .lower = "c", .upper = "e", .sequence = 1 }, .{ .lower = "g", .upper = "i", .sequence = 2 } });
    defer built.release();
    for ([_]struct { []const u8, ?[]const u8, bool }{
        .{ "", null, true },   .{ "", "c", false },  .{ "", "c\x00", true }, .{ "d", "d\x00", true }, .{ "h", null, true },
        .{ "i", null, false }, .{ "x", "z", false }, .{ "a", "b", false },
    }) |case| {
        try testing.expectEqual(case[2], range_cover.touches(built, case[0], case[1]));
    }
    const open = try Fragments.build(gpa, &.{.{ .lower = "c", .upper = "", .sequence = 1 }});
    defer open.release();
    try testing.expect(range_cover.touches(open, "x", null));
    const nothing = try Fragments.build(gpa, &.{.{ .lower = "c", .upper = "b", .sequence = 1 }});
    defer nothing.release();
    try testing.expect(!range_cover.touches(nothing, "", null));
}
