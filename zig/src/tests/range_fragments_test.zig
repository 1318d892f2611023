//! Fragments against a plain list of tombstones: questions, pruning, cutting, bytes and damaged bytes.

const std = @import("std");
const builtin = @import("builtin");
const range_fragments = @import("../range_fragments.zig");
const Fragments = range_fragments.Fragments;
const Tombstone = range_fragments.Tombstone;
const testing = std.testing;
const gpa = testing.allocator;

const keys = [_][]const u8{ "", "\x00", "a", "a\x00", "aa", "ab", "abc", "b", "ba", "c", "cc", "d", "d\xff", "e", "\xff", "\xff\xff" };

fn randomTombstones(random: std.Random, out: []Tombstone) []Tombstone {
    const count = random.uintAtMost(usize, out.len);
    for (out[0..count], 0..) |*tombstone, i| {
        tombstone.* = .{
            .lower = keys[random.uintLessThan(usize, keys.len)],
            .upper = if (random.uintLessThan(u32, 6) == 0) "" else keys[random.uintLessThan(usize, keys.len)],
            .sequence = 10 + 7 * i,
        };
    }
    random.shuffle(Tombstone, out[0..count]);
    return out[0..count];
}

fn covers(tombstone: Tombstone, key: []const u8) bool {
    if (std.mem.order(u8, key, tombstone.lower) == .lt) return false;
    return tombstone.upper.len == 0 or std.mem.order(u8, key, tombstone.upper) == .lt;
}

fn expected(tombstones: []const Tombstone, key: []const u8, sequence: u64) u64 {
    var best: u64 = 0;
    for (tombstones) |tombstone| {
        if (tombstone.sequence <= sequence and covers(tombstone, key)) best = @max(best, tombstone.sequence);
    }
    return best;
}

test "cover() is the greatest number of a tombstone over the key, from any direction, and from a table's bytes too" {
    var random_state = std.Random.DefaultPrng.init(3);
    const random = random_state.random();
    var buffer: [24]Tombstone = undefined;
    for (0..400) |_| {
        const tombstones = randomTombstones(random, &buffer);
        const built = try Fragments.build(gpa, tombstones);
        defer built.release();
        var walker = built.walker();
        for (0..100) |i| {
            const key = keys[if (i < keys.len) i else random.uintLessThan(usize, keys.len)];
            const sequence = random.uintLessThan(u64, 200);
            try testing.expectEqual(expected(tombstones, key, sequence), built.cover(key, sequence));
            try testing.expectEqual(expected(tombstones, key, sequence), walker.cover(key, sequence));
        }
        if (built.count() == 0) continue;

        const content = try built.encode(gpa);
        defer gpa.free(content);
        const decoded = try Fragments.decode(gpa, content);
        defer decoded.release();
        try testing.expectEqual(built.count(), decoded.count());
        try testing.expectEqual(built.smallest_sequence, decoded.smallest_sequence);
        try testing.expectEqual(built.largest_sequence, decoded.largest_sequence);
        try testing.expectEqualStrings(built.lowest(), decoded.lowest());
        try testing.expectEqualDeep(built.highest(), decoded.highest());
        for (0..60) |i| {
            const key = keys[i % keys.len];
            const sequence = random.uintLessThan(u64, 200);
            try testing.expectEqual(expected(tombstones, key, sequence), decoded.cover(key, sequence));
        }
        const again = try decoded.encode(gpa);
        defer gpa.free(again);
        try testing.expectEqualSlices(u8, content, again);

        var pieces = built.iterator();
        defer pieces.deinit();
        var count: usize = 0;
        var end: ?[]const u8 = null;
        while (try pieces.next()) |piece| : (count += 1) {
            if (end) |upper| try testing.expect(std.mem.order(u8, upper, piece.lower) != .gt);
            if (!piece.unbounded) try testing.expect(std.mem.order(u8, piece.lower, piece.upper) == .lt);
            var sequence: u64 = std.math.maxInt(u64);
            for (piece.sequences) |number| {
                try testing.expectEqual(number, expected(tombstones, piece.lower, sequence));
                sequence = number - 1;
            }
            try testing.expectEqual(0, expected(tombstones, piece.lower, sequence));
            end = piece.upper;
        }
        try testing.expectEqual(built.count(), count);
    }
}

test "prune() keeps what a snapshot or the newest reader can tell apart, and at the bottom less" {
    var random_state = std.Random.DefaultPrng.init(4);
    const random = random_state.random();
    var buffer: [24]Tombstone = undefined;
    for (0..400) |_| {
        const tombstones = randomTombstones(random, &buffer);
        const built = try Fragments.build(gpa, tombstones);
        defer built.release();
        var snapshots: [3]u64 = undefined;
        for (&snapshots) |*snapshot| snapshot.* = random.uintLessThan(u64, 200);
        std.mem.sort(u64, &snapshots, {}, std.sort.asc(u64));
        const seen = snapshots[0..random.uintAtMost(usize, 3)];
        for ([_]bool{ false, true }) |bottom| {
            const pruned = try built.prune(gpa, seen, bottom);
            defer pruned.release();
            try testing.expect(pruned.count() <= built.count());
            for (keys) |key| {
                for (0..seen.len + 1) |i| {
                    const reader = if (i == seen.len) 1000 else seen[i];
                    const number = expected(tombstones, key, reader);
                    const is_oldest = seen.len == 0 or number <= seen[0];
                    const kept = if (bottom and is_oldest) 0 else number;
                    try testing.expectEqual(kept, pruned.cover(key, reader));
                }
            }
        }
    }
}

test "cut() leaves what lies between two borders" {
    var random_state = std.Random.DefaultPrng.init(5);
    const random = random_state.random();
    var buffer: [24]Tombstone = undefined;
    for (0..400) |_| {
        const tombstones = randomTombstones(random, &buffer);
        const built = try Fragments.build(gpa, tombstones);
        defer built.release();
        const lower = keys[random.uintLessThan(usize, keys.len)];
        const upper: ?[]const u8 = if (random.boolean()) null else keys[random.uintLessThan(usize, keys.len)];
        const part = try built.cut(gpa, lower, upper);
        defer part.release();
        for (keys) |key| {
            const above = std.mem.order(u8, key, lower) != .lt;
            const inside = above and (upper == null or std.mem.order(u8, key, upper.?) == .lt);
            const sequence = random.uintLessThan(u64, 200);
            try testing.expectEqual(if (inside) built.cover(key, sequence) else 0, part.cover(key, sequence));
        }
        if (part.count() == 0) continue;
        try testing.expect(std.mem.order(u8, part.lowest(), lower) != .lt);
        if (upper) |end| try testing.expect(std.mem.order(u8, part.highest().?, end) != .gt);
    }
}

test "a ranges block of any bytes is refused or answers" {
    var random_state = std.Random.DefaultPrng.init(6);
    const random = random_state.random();
    var buffer: [8]Tombstone = undefined;
    var refused: usize = 0;
    var taken: usize = 0;
    for (0..if (builtin.mode == .Debug) 2_000 else 20_000) |_| {
        const built = try Fragments.build(gpa, randomTombstones(random, &buffer));
        defer built.release();
        if (built.count() == 0) continue;
        const content = try built.encode(gpa);
        defer gpa.free(content);
        var length = content.len;
        switch (random.uintLessThan(u32, 4)) {
            0 => length = random.uintLessThan(usize, content.len),
            1 => random.bytes(content[random.uintLessThan(usize, content.len)..]),
            else => for (0..1 + random.uintLessThan(usize, 3)) |_| {
                content[random.uintLessThan(usize, content.len)] = switch (random.uintLessThan(u32, 4)) {
                    0 => 0xff,
                    1 => 0,
                    2 => 0x80,
                    else => random.int(u8),
                };
            },
        }
        const decoded = Fragments.decode(gpa, content[0..length]) catch |e| {
            try testing.expectEqual(error.Damaged, e);
            refused += 1;
            continue;
        };
        defer decoded.release();
        taken += 1;
        for (keys) |key| _ = decoded.cover(key, random.uintLessThan(u64, 1 << 53));
        // What was taken can be written, and is the same again.
        const bytes = try decoded.encode(gpa);
        defer gpa.free(bytes);
        const again = try Fragments.decode(gpa, bytes);
        defer again.release();
        try testing.expectEqualSlices(u64, decoded.numbers, again.numbers);
        try testing.expectEqualDeep(decoded.bounds, again.bounds);
    }
    try testing.expect(refused > 100 and taken > 100);
}

test "tombstones that all begin at one key take little memory, and one piece is left of them" {
    const count = 20_000;
    var arena: std.heap.ArenaAllocator = .init(gpa);
    defer arena.deinit();
    const tombstones = try arena.allocator().alloc(Tombstone, count);
    for (tombstones, 0..) |*tombstone, i| {
        tombstone.* = .{ .lower = "", .upper = try std.fmt.allocPrint(arena.allocator(), "{d:0>8}", .{i}), .sequence = i + 1 };
    }
    const built = try Fragments.build(gpa, tombstones);
    defer built.release();
    try testing.expectEqual(count, built.count());
    try testing.expect(built.numbers.len < 20 * count);
    try testing.expectEqual(count, built.cover("00000042", 1 << 50));
    try testing.expectEqual(60, built.cover("00000042", 60));
    try testing.expectEqual(0, built.cover("00000042", 42));
    const pruned = try built.prune(gpa, &.{}, false);
    defer pruned.release();
    try testing.expectEqual(1, pruned.count());
    try testing.expectEqual(count, pruned.cover("00000042", count));
}

test "memory that runs out leaves nothing behind" {
    const tombstones = [_]Tombstone{
        .{ .lower = "a", .upper = "c", .sequence = 3 },
        .{ .lower = "b", .upper = "", .sequence = 5 },
        .{ .lower = "aa", .upper = "bb", .sequence = 1 },
    };
    const everything = struct {
        fn run(from: std.mem.Allocator, list: []const Tombstone) !void {
            const built = try Fragments.build(from, list);
            defer built.release();
            const pruned = try built.prune(from, &.{2}, false);
            defer pruned.release();
            const part = try pruned.cut(from, "aa", "zz");
            defer part.release();
            const content = try part.encode(from);
            defer from.free(content);
            const decoded = try Fragments.decode(from, content);
            decoded.retain().release();
            decoded.release();
        }
    }.run;
    try testing.checkAllAllocationFailures(gpa, everything, .{&tombstones});
}
