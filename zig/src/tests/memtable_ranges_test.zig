//! Covers of a memtable's range tombstones against a plain list, while more of them come; what is kept ends with the region.

const std = @import("std");
const abi = @import("../abi.zig");
const internal_key = @import("../internal_key.zig");
const memtable_ranges = @import("../memtable_ranges.zig");
const region = @import("../region.zig");
const tables = @import("../tables.zig");
const Fault = @import("../fault.zig").Fault;
const Fragments = @import("../range_fragments.zig").Fragments;
const Memtable = @import("../memtable_reader.zig").Memtable;
const MemtableWriter = @import("memtable_writer.zig").MemtableWriter;
const testing = std.testing;
const gpa = testing.allocator;

const Tombstone = struct { lower: [2]u8, upper: ?[2]u8, sequence: u64 };

fn keyOf(number: u16) [2]u8 {
    return @bitCast(std.mem.nativeToBig(u16, number));
}

fn expected(tombstones: []const Tombstone, key: []const u8, sequence: u64) u64 {
    var best: u64 = 0;
    for (tombstones) |tombstone| {
        if (tombstone.sequence > sequence or std.mem.order(u8, key, &tombstone.lower) == .lt) continue;
        if (tombstone.upper) |upper| if (std.mem.order(u8, key, &upper) != .lt) continue;
        best = @max(best, tombstone.sequence);
    }
    return best;
}

fn addRandom(writer: *MemtableWriter, list: *std.ArrayList(Tombstone), random: std.Random, sequence: u64) !void {
    const lower = random.uintLessThan(u16, 1000);
    const tombstone: Tombstone = .{
        .lower = keyOf(lower),
        // Long and short ones, some that cover nothing, some without an end.
        .upper = if (random.uintLessThan(u32, 50) == 0) null else keyOf(switch (random.uintLessThan(u32, 3)) {
            0 => lower +| random.uintLessThan(u16, 5),
            1 => random.uintLessThan(u16, 1000),
            else => lower + random.uintLessThan(u16, 100),
        }),
        .sequence = sequence,
    };
    writer.deleteRange(&tombstone.lower, if (tombstone.upper) |*upper| upper else "", sequence);
    try list.append(gpa, tombstone);
}

test "cover() knows every tombstone there is, after each batch of whatever size, at every number" {
    var random_state = std.Random.DefaultPrng.init(11);
    const random = random_state.random();
    var writer = try MemtableWriter.init(8 << 20);
    defer writer.deinit();
    var list: std.ArrayList(Tombstone) = .empty;
    defer list.deinit(gpa);
    var failure: Fault = .{};
    try testing.expectEqual(0, try memtable_ranges.cover(writer.memtable, "k", 100, &failure));
    var sequence: u64 = 1;
    for ([_]usize{ 1, 1, 62, 1, 1, 63, 130, 700, 1, 64, 3000, 5, 1000 }) |batch| {
        for (0..batch) |_| {
            // Points stand between them, as numbers do.
            if (random.boolean()) writer.put(&keyOf(random.int(u16)), sequence, "v");
            sequence += 1 + random.uintLessThan(u64, 2);
            try addRandom(&writer, &list, random, sequence);
            sequence += 1;
        }
        for (0..400) |i| {
            const key = keyOf(random.uintLessThan(u16, 1100));
            const at = switch (i % 3) {
                0 => sequence,
                1 => random.uintAtMost(u64, sequence),
                else => sequence -| random.uintLessThan(u64, 100),
            };
            try testing.expectEqual(expected(list.items, &key, at), try memtable_ranges.cover(writer.memtable, &key, at, &failure));
        }

        // What a range's reader gets says the same inside the range.
        for (0..20) |_| {
            const lower = keyOf(random.uintLessThan(u16, 1000));
            const upper = keyOf(random.uintLessThan(u16, 1000));
            const at = random.uintAtMost(u64, sequence);
            var kept: std.ArrayList(*Fragments) = .empty;
            defer {
                for (kept.items) |fragments| fragments.release();
                kept.deinit(gpa);
            }
            try memtable_ranges.collect(gpa, writer.memtable, at, &lower, &upper, &kept, &failure);
            for (0..20) |_| {
                const key = keyOf(random.uintLessThan(u16, 1000));
                if (std.mem.order(u8, &key, &lower) == .lt or std.mem.order(u8, &key, &upper) != .lt) continue;
                var best: u64 = 0;
                for (kept.items) |fragments| best = @max(best, fragments.cover(&key, at));
                try testing.expectEqual(expected(list.items, &key, at), best);
            }
        }
    }
}

test "tombstones that all begin at one key stay cheap, and readers keep what they got while more come" {
    var writer = try MemtableWriter.init(8 << 20);
    defer writer.deinit();
    var failure: Fault = .{};
    var kept: std.ArrayList(*Fragments) = .empty;
    defer {
        for (kept.items) |fragments| fragments.release();
        kept.deinit(gpa);
    }
    const count = 20_000;
    for (1..count + 1) |i| {
        writer.deleteRange("", &keyOf(@intCast(i)), i);
        // An answer after each of them, as a queue that is read while it is trimmed needs it.
        const key = keyOf(@intCast(i / 2));
        try testing.expectEqual(i, try memtable_ranges.cover(writer.memtable, &key, i, &failure));
        if (i == 5000) try memtable_ranges.collect(gpa, writer.memtable, i, "", null, &kept, &failure);
    }
    var best: u64 = 0;
    for (kept.items) |fragments| best = @max(best, fragments.cover("", std.math.maxInt(u64)));
    try testing.expectEqual(5000, best);
    try testing.expectEqual(0, try memtable_ranges.cover(writer.memtable, &keyOf(7000), 7000, &failure));
    try testing.expectEqual(7001, try memtable_ranges.cover(writer.memtable, &keyOf(7000), 7001, &failure));
}

test "a region's next memtable shows nothing of the one before" {
    var first = try MemtableWriter.init(1 << 20);
    for (1..200) |i| first.deleteRange("a", "z", i);
    var failure: Fault = .{};
    try testing.expectEqual(199, try memtable_ranges.cover(first.memtable, "k", 500, &failure));
    try testing.expect(region.companionOf(first.id) != null);
    // Whoever else holds it keeps what is known of it.
    try testing.expect(first.memtable.retain());
    first.deinit();
    try testing.expectEqual(199, try memtable_ranges.cover(first.memtable, "k", 500, &failure));
    _ = first.memtable.release();

    var second = try MemtableWriter.init(1 << 20);
    defer second.deinit();
    try testing.expectEqual(first.id, second.id);
    try testing.expectEqual(null, region.companionOf(second.id));
    second.put("k", 300, "v");
    second.deleteRange("b", "c", 301);
    try testing.expectEqual(0, try memtable_ranges.cover(second.memtable, "k", 500, &failure));
    try testing.expectEqual(301, try memtable_ranges.cover(second.memtable, "b", 500, &failure));
}

test "a chain of tombstones that is not what it should be is refused, and one that is mended answers" {
    var writer = try MemtableWriter.init(1 << 20);
    defer writer.deinit();
    var failure: Fault = .{};
    writer.put("p", 1, "1");
    const point = writer.memtable.header.newest_entry;
    writer.deleteRange("a", "m", 2);
    const older = writer.memtable.header.newest_range;
    writer.deleteRange("c", "", 3);
    const header = writer.memtable.header;
    const good = header.newest_range;
    for ([_]u32{ 1, point, header.capacity_words - 1, header.capacity_words, std.math.maxInt(u32) }) |wrong| {
        header.newest_range = wrong;
        try testing.expectError(error.Fault, memtable_ranges.cover(writer.memtable, "d", 9, &failure));
        try testing.expect(failure.is(.invalid));
    }
    header.newest_range = good;
    const entry: *abi.MemtableEntry = @ptrCast(writer.memtable.words + good);
    for ([_]u32{ good, good + 8, point }) |wrong| {
        entry.previous = wrong;
        try testing.expectError(error.Fault, memtable_ranges.cover(writer.memtable, "d", 9, &failure));
    }
    entry.previous = older;
    entry.sequence_low = 2;
    try testing.expectError(error.Fault, memtable_ranges.cover(writer.memtable, "d", 9, &failure));
    entry.sequence_low = 3;
    try testing.expectEqual(3, try memtable_ranges.cover(writer.memtable, "d", 9, &failure));
    try testing.expectEqual(2, try memtable_ranges.cover(writer.memtable, "b", 9, &failure));
    try testing.expectEqual(2, try memtable_ranges.cover(writer.memtable, "d", 2, &failure));
}

// A log made to mislead had a range delete that ended before it began, and a cursor asked for the last bound of its pieces.
// There were none: the address before an empty list was read, and the process was gone.
// Tombstones that cover nothing make no fragments; nor does replay take such an entry.
test "tombstones that cover nothing make no fragments" {
    var writer = try MemtableWriter.init(1 << 20);
    defer writer.deinit();
    var failure: Fault = .{};
    var found: std.ArrayList(*Fragments) = .empty;
    defer {
        for (found.items) |fragments| fragments.release();
        found.deinit(gpa);
    }
    writer.deleteRange("m", "c", 1);
    writer.deleteRange("m", "m", 2);
    try memtable_ranges.collect(gpa, writer.memtable, 9, "", null, &found, &failure);
    try testing.expectEqual(0, found.items.len);
    writer.deleteRange("a", "b", 3);
    try memtable_ranges.collect(gpa, writer.memtable, 9, "", null, &found, &failure);
    try testing.expectEqual(1, found.items.len);
    try testing.expectEqualStrings("a", found.items[0].lowest());
}

test "the exported call answers numbers, and codes for what makes no sense" {
    var writer = try MemtableWriter.init(1 << 20);
    const context = try region.reserve(abi.context_bytes);
    defer _ = region.release(context);
    region.slice(context).?[abi.context_key_offset..][0..3].* = "key".*;
    try testing.expectEqual(0, tables.memtableCover(writer.id, context, 3, 10));
    writer.deleteRange("k", "l", (1 << 53) - 1);
    try testing.expectEqual((1 << 53) - 1, tables.memtableCover(writer.id, context, 3, (1 << 53) - 1));
    try testing.expectEqual(0, tables.memtableCover(writer.id, context, 3, (1 << 53) - 2));
    try testing.expectEqual(0, tables.memtableCover(writer.id, context, 0, (1 << 53) - 1));
    const invalid: f64 = @floatFromInt(abi.Code.invalid.int());
    const closed: f64 = @floatFromInt(abi.Code.closed.int());
    for ([_]f64{ -1, 1 << 54, std.math.nan(f64) }) |sequence| {
        try testing.expectEqual(invalid, tables.memtableCover(writer.id, context, 3, sequence));
    }
    try testing.expectEqual(invalid, tables.memtableCover(writer.id, context, 65_536, 1));
    try testing.expectEqual(closed, tables.memtableCover(writer.id, 0, 3, 1));
    try testing.expectEqual(closed, tables.memtableCover(0, context, 3, 1));
    writer.deinit();
    try testing.expectEqual(closed, tables.memtableCover(writer.id, context, 3, 1));
}

const Shared = struct {
    memtable: Memtable,
    stop: std.atomic.Value(bool) = .init(false),
    failed: std.atomic.Value(u32) = .init(0),

    /// Tombstone i is over the keys below i. Whoever has seen i of them must be told of at least i.
    fn read(self: *Shared, seed: u64) void {
        var random_state = std.Random.DefaultPrng.init(seed);
        var failure: Fault = .{};
        while (!self.stop.load(.acquire)) {
            const seen = self.memtable.rangeCount();
            const number = random_state.random().uintLessThan(u16, 4000);
            const key = keyOf(number);
            const answer = memtable_ranges.cover(self.memtable, &key, internal_key.sequence_max, &failure) catch {
                self.fail();
                continue;
            };
            if (number < seen and answer < seen) self.fail();
            if (answer != 0 and answer <= number) self.fail();
            const earlier = memtable_ranges.cover(self.memtable, &key, seen, &failure) catch 0;
            if (earlier != if (number < seen) seen else 0) self.fail();
        }
    }

    fn fail(self: *Shared) void {
        _ = self.failed.fetchAdd(1, .monotonic);
    }
};

test "threads ask while another one deletes ranges" {
    var writer = try MemtableWriter.init(8 << 20);
    defer writer.deinit();
    var shared: Shared = .{ .memtable = writer.memtable };
    var threads: [3]std.Thread = undefined;
    for (&threads, 0..) |*thread, i| thread.* = try std.Thread.spawn(.{}, Shared.read, .{ &shared, i });
    for (1..4001) |i| {
        writer.deleteRange("", &keyOf(@intCast(i)), i);
        if (i % 16 == 0) std.Thread.yield() catch {};
    }
    shared.stop.store(true, .release);
    for (threads) |thread| thread.join();
    try testing.expectEqual(0, shared.failed.load(.monotonic));
}
