//! The ordered index: order, both directions, growth in steps, its bound in words, and readers beside a writer.

const std = @import("std");
const abi = @import("../abi.zig");
const internal_key = @import("../internal_key.zig");
const skip_list = @import("../skip_list.zig");
const Fault = @import("../fault.zig").Fault;
const Memtable = @import("../memtable_reader.zig").Memtable;
const MemtableWriter = @import("memtable_writer.zig").MemtableWriter;
const testing = std.testing;

fn randomKey(random: std.Random, buffer: []u8) []u8 {
    const key = buffer[0..random.uintAtMost(usize, 20)];
    for (key) |*byte| byte.* = "\x00ab\xff"[random.uintLessThan(usize, 4)];
    if (random.boolean()) @memset(key[0 .. key.len / 2], 'a');
    return key;
}

/// Walks both ways; returns the number of entries.
fn checkOrder(memtable: Memtable) !usize {
    var place: skip_list.Iterator = .{ .memtable = memtable };
    place.seekFirst();
    var count: usize = 0;
    var before: ?skip_list.Iterator = null;
    while (place.node != 0) : (place.next()) {
        const entry = place.entry().?;
        if (before) |*last| {
            const last_entry = last.entry().?;
            const order = internal_key.compare(last_entry.key, last_entry.trailer, entry.key, entry.trailer);
            try testing.expectEqual(std.math.Order.lt, order);
            var back = place;
            back.previous();
            try testing.expectEqual(last.node, back.node);
        }
        before = place;
        count += 1;
    }
    place.seekLast();
    try testing.expectEqual(if (before) |last| last.node else 0, place.node);
    return count;
}

test "extend() keeps every entry in order, whatever the sizes of the steps" {
    var random_state = std.Random.DefaultPrng.init(5);
    const random = random_state.random();
    var writer = try MemtableWriter.init(8 << 20);
    defer writer.deinit();
    var failure: Fault = .{};
    try skip_list.extend(writer.memtable, true, &failure);
    try testing.expectEqual(0, try checkOrder(writer.memtable));
    var sequence: u64 = 1;
    for ([_]usize{ 1, 1, 1, 2, 5, 1, 100, 1, 3000, 1, 1, 500 }) |step| {
        for (0..step) |_| {
            var buffer: [20]u8 = undefined;
            writer.put(randomKey(random, &buffer), sequence, "v");
            sequence += 1;
        }
        try testing.expectEqual(step, skip_list.unindexedCount(writer.memtable));
        try skip_list.extend(writer.memtable, true, &failure);
        try testing.expectEqual(0, skip_list.unindexedCount(writer.memtable));
        try testing.expectEqual(sequence - 1, try checkOrder(writer.memtable));
    }

    // seek() and seekBefore() meet at every target.
    for (0..2000) |_| {
        var buffer: [20]u8 = undefined;
        const key = randomKey(random, &buffer);
        const trailer = internal_key.trailer(random.uintLessThan(u64, sequence), 1);
        var at_or_after: skip_list.Iterator = .{ .memtable = writer.memtable };
        at_or_after.seek(key, trailer);
        var before: skip_list.Iterator = .{ .memtable = writer.memtable };
        before.seekBefore(key, trailer);
        if (at_or_after.entry()) |entry| {
            try testing.expect(internal_key.compare(entry.key, entry.trailer, key, trailer) != .lt);
            var step = at_or_after;
            step.previous();
            try testing.expectEqual(step.node, before.node);
        } else {
            var last: skip_list.Iterator = .{ .memtable = writer.memtable };
            last.seekLast();
            try testing.expectEqual(last.node, before.node);
        }
        if (before.entry()) |entry| try testing.expectEqual(std.math.Order.lt, internal_key.compare(entry.key, entry.trailer, key, trailer));
    }
}

test "extend() stays within wordsMax(), and leaves a full region as it was" {
    var writer = try MemtableWriter.init(1 << 20);
    defer writer.deinit();
    for (0..5000) |i| writer.put(std.mem.asBytes(&@byteSwap(@as(u64, i *% 0x9e37_79b9_7f4a_7c15))), i + 1, "");
    const header = writer.memtable.header;
    var failure: Fault = .{};
    const tail = header.tail_words;
    var full = writer.memtable;
    full.word_count = tail + 100;
    try testing.expectError(error.Fault, skip_list.extend(full, true, &failure));
    try testing.expect(failure.is(.exhausted));
    try testing.expectEqual(0, header.indexed_entry);
    try testing.expectEqual(0, header.index_claim);
    try skip_list.extend(writer.memtable, true, &failure);
    try testing.expectEqual(5000, try checkOrder(writer.memtable));
    try testing.expect(header.tail_words - tail <= skip_list.wordsMax(5000));
}

test "extend() refuses entries that lie outside the region, and chains that do not end" {
    var writer = try MemtableWriter.init(1 << 20);
    defer writer.deinit();
    writer.put("a", 1, "1");
    const header = writer.memtable.header;
    const good = header.newest_entry;
    var failure: Fault = .{};
    for ([_]u32{ 1, 31, header.capacity_words - 1, header.capacity_words, std.math.maxInt(u32) }) |wrong| {
        header.newest_entry = wrong;
        try testing.expectError(error.Fault, skip_list.extend(writer.memtable, true, &failure));
        try testing.expect(failure.is(.invalid));
    }
    header.newest_entry = good;
    const entry: *abi.MemtableEntry = @ptrCast(writer.memtable.words + good);
    entry.older = good;
    try testing.expectError(error.Fault, skip_list.extend(writer.memtable, true, &failure));
    entry.older = 0;
    entry.value_bytes = 0x3fff_ffff;
    try testing.expectError(error.Fault, skip_list.extend(writer.memtable, true, &failure));
    entry.value_bytes = 1;
    try skip_list.extend(writer.memtable, true, &failure);
    try testing.expectEqual(1, try checkOrder(writer.memtable));
}

const Shared = struct {
    memtable: Memtable,
    stop: std.atomic.Value(bool) = .init(false),
    failed: std.atomic.Value(u32) = .init(0),

    fn read(self: *Shared, extends: bool) void {
        while (!self.stop.load(.acquire)) {
            if (extends) {
                var failure: Fault = .{};
                skip_list.extend(self.memtable, true, &failure) catch self.fail();
            }
            // What was there before the walk must be met by it, in order.
            const expected = @atomicLoad(u32, &self.memtable.header.indexed_entry, .acquire);
            const floor = if (self.memtable.entry(expected)) |entry| internal_key.sequenceOf(entry.trailer) else 0;
            self.walk(floor, true);
            self.walk(floor, false);
        }
    }

    fn walk(self: *Shared, floor: u64, forward: bool) void {
        var place: skip_list.Iterator = .{ .memtable = self.memtable };
        if (forward) place.seekFirst() else place.seekLast();
        var met: u64 = 0;
        var last: ?u64 = null;
        while (place.entry()) |entry| {
            const prefix = internal_key.prefix(entry.key);
            if (last) |before| if ((if (forward) before >= prefix else before <= prefix)) self.fail();
            last = prefix;
            met += @intFromBool(internal_key.sequenceOf(entry.trailer) <= floor);
            if (forward) place.next() else place.previous();
        }
        if (met != floor) self.fail();
    }

    fn fail(self: *Shared) void {
        _ = self.failed.fetchAdd(1, .monotonic);
    }
};

test "readers walk the list while others extend it" {
    var writer = try MemtableWriter.init(16 << 20);
    defer writer.deinit();
    var shared: Shared = .{ .memtable = writer.memtable };
    var threads: [3]std.Thread = undefined;
    for (&threads, 0..) |*thread, i| thread.* = try std.Thread.spawn(.{}, Shared.read, .{ &shared, i > 0 });
    for (0..30_000) |i| {
        writer.put(std.mem.asBytes(&@byteSwap(@as(u64, i + 1) *% 0x9e37_79b9_7f4a_7c15)), i + 1, "v");
        if (i % 64 == 0) std.Thread.yield() catch {};
    }
    shared.stop.store(true, .release);
    for (threads) |thread| thread.join();
    try testing.expectEqual(0, shared.failed.load(.monotonic));
    var failure: Fault = .{};
    try skip_list.extend(writer.memtable, true, &failure);
    try testing.expectEqual(30_000, try checkOrder(writer.memtable));
}
