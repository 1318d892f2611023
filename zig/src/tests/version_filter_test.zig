//! The filter against a plain reader: random histories of every type of entry, with range tombstones, an older level below
//! and a newer one above. Whoever may read (each snapshot at its time, the newest reader from now on) finds the same
//! before and after.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi.zig");
const fault = @import("../fault.zig");
const internal_key = @import("../internal_key.zig");
const history = @import("history.zig");
const merge_operator = @import("../merge_operator.zig");
const version_filter = @import("../version_filter.zig");
const Entry = history.Entry;
const History = history.History;
const Fragments = @import("../range_fragments.zig").Fragments;
const VersionFilter = version_filter.VersionFilter;
const testing = std.testing;
const gpa = testing.allocator;

const Collector = struct {
    arena: std.mem.Allocator,
    entries: std.ArrayList(Entry) = .empty,

    pub fn add(self: *Collector, key: []const u8, trailer: u64, value: []const u8) fault.Error!void {
        self.entries.append(self.arena, .{
            .key = self.arena.dupe(u8, key) catch return error.Fault,
            .sequence = internal_key.sequenceOf(trailer),
            .type = @enumFromInt(internal_key.typeOf(trailer)),
            .value = self.arena.dupe(u8, value) catch return error.Fault,
        }) catch return error.Fault;
    }
};

/// An operator in JavaScript that does what `append` does, or does not answer.
const Joiner = struct {
    random: ?std.Random = null,
    asked: usize = 0,

    fn add(self: *Joiner, filter: *VersionFilter, entry: Entry, sink: *Collector) !void {
        while (true) return filter.add(entry.key, history.trailerOf(entry.sequence, entry.type), entry.value, sink) catch |e| {
            if (e != error.ChainWaits) return e;
            try self.answer(filter);
            continue;
        };
    }

    fn finish(self: *Joiner, filter: *VersionFilter, sink: *Collector) !void {
        while (true) return filter.finish(sink) catch |e| {
            if (e != error.ChainWaits) return e;
            try self.answer(filter);
            continue;
        };
    }

    fn answer(self: *Joiner, filter: *VersionFilter) !void {
        self.asked += 1;
        if (self.random) |random| if (random.uintLessThan(u32, 4) == 0) return filter.carryOn();
        const page = filter.page.items;
        const key_bytes = std.mem.alignForward(usize, std.mem.readInt(u32, page[0..4], .little), 4);
        const stack = page[@sizeOf(abi.ChainPage) + key_bytes ..];
        try testing.expectEqual(stack.len, std.mem.readInt(u32, page[4..8], .little));
        var joined: std.ArrayList(u8) = .empty;
        defer joined.deinit(gpa);
        var at: usize = @sizeOf(abi.MergeStack);
        while (at < stack.len) {
            const bytes = std.mem.readInt(u32, stack[at..][0..4], .little);
            try joined.appendSlice(gpa, stack[at + 4 ..][0..bytes]);
            at += 4 + std.mem.alignForward(usize, bytes, 4);
        }
        try filter.takeFolded(joined.items);
    }
};

const job_first = 20;
const job_end = 60;
const newest = 90;

fn runCase(seed: u64) !void {
    var arena_state: std.heap.ArenaAllocator = .init(gpa);
    defer arena_state.deinit();
    const arena = arena_state.allocator();
    var random_state = std.Random.DefaultPrng.init(seed);
    const random = random_state.random();
    var case: history.Generator = .{
        .arena = arena,
        .random = random,
        .operator = random.enumValue(abi.MergeOperator),
        .damage = if (random.uintLessThan(u32, 4) == 0) 6 else 0,
    };

    const bottom = random.boolean();
    const tombstone_chance = random.uintLessThan(u32, 3) * 8;
    var below: History = .{};
    var job: History = .{};
    var above: History = .{};
    if (!bottom) try case.fill(&below, 1, job_first, tombstone_chance);
    try case.fill(&job, job_first, job_end, tombstone_chance);
    if (random.boolean()) try case.fill(&above, job_end, newest, tombstone_chance);

    const now: f64 = @floatFromInt(random.uintLessThan(u32, 12));
    var snapshots: [5]u64 = undefined;
    var times: [5]f64 = undefined;
    for (&snapshots, &times) |*snapshot, *time| {
        snapshot.* = random.uintLessThan(u64, newest + 5);
        time.* = @floatFromInt(random.uintAtMost(u64, @intFromFloat(now)));
    }
    std.mem.sort(u64, &snapshots, {}, std.sort.asc(u64));
    std.mem.sort(f64, &times, {}, std.sort.asc(f64));
    const snapshot_count = random.uintAtMost(usize, snapshots.len);
    const seen = snapshots[0..snapshot_count];

    const ranges = try Fragments.build(gpa, job.tombstones.items);
    defer ranges.release();
    var filter: VersionFilter = .init(gpa, .{
        .snapshots = seen,
        .ranges = if (ranges.count() == 0 and random.boolean()) null else ranges,
        .now = now,
        .operator = case.operator,
        .bottom = bottom,
        .handed_operands_min = if (random.boolean()) null else 1 + random.uintLessThan(usize, 4),
    });
    defer filter.deinit();
    var joiner: Joiner = .{ .random = random };
    std.mem.sort(Entry, job.entries.items, {}, Entry.lessThan);
    var collector: Collector = .{ .arena = arena };
    for (job.entries.items) |entry| {
        try joiner.add(&filter, entry, &collector);
    }
    try joiner.finish(&filter, &collector);
    try testing.expect(joiner.asked == 0 or case.operator == .custom);
    // Who folds in JavaScript finds what it comes to, not of how many operands it was made.
    const reads_as: abi.MergeOperator = if (joiner.asked > 0) .append else case.operator;
    const pruned = try ranges.prune(gpa, seen, bottom);
    defer pruned.release();

    var before: History = .{};
    try before.addAll(arena, &above);
    try before.addAll(arena, &job);
    try before.addAll(arena, &below);
    var after: History = .{};
    try after.addAll(arena, &above);
    try after.addAll(arena, &below);
    try after.entries.appendSlice(arena, collector.entries.items);
    var pieces = pruned.iterator();
    defer pieces.deinit();
    while (try pieces.next()) |piece| {
        for (piece.sequences) |sequence| {
            try after.tombstones.append(arena, .{ .lower = piece.lower, .upper = piece.upper, .sequence = sequence });
        }
    }

    for (history.keys) |key| {
        for (seen, times[0..seen.len]) |snapshot, time| {
            try expectSame(arena, &before, &after, reads_as, key, snapshot, time);
        }
        for (0..4) |later| {
            try expectSame(arena, &before, &after, reads_as, key, newest + 10, now + @as(f64, @floatFromInt(later * later)));
        }
    }
    const folds = merge_operator.isNative(case.operator) and case.damage == 0;
    try checkLeftOut(&job, collector.entries.items, seen, now, folds, bottom);
}

fn expectSame(arena: std.mem.Allocator, before: *const History, after: *const History, operator: abi.MergeOperator, key: []const u8, sequence: u64, time: f64) !void {
    const expected = try history.read(arena, before, operator, key, sequence, time);
    const actual = try history.read(arena, after, operator, key, sequence, time);
    try testing.expectEqualDeep(expected, actual);
}

fn sameStripe(seen: []const u64, older: u64, newer: u64) bool {
    for (seen) |snapshot| if (snapshot >= older and snapshot < newer) return false;
    return true;
}

/// Nothing stays that has no reason to.
fn checkLeftOut(job: *const History, entries: []const Entry, seen: []const u64, now: f64, folds: bool, bottom: bool) !void {
    for (entries, 0..) |entry, i| {
        const before: ?Entry = if (i > 0 and std.mem.eql(u8, entries[i - 1].key, entry.key)) entries[i - 1] else null;
        if (i > 0) try testing.expect(Entry.lessThan({}, entries[i - 1], entry));
        if (before) |newer| if (sameStripe(seen, entry.sequence, newer.sequence)) {
            // Only operands stand on something of their stripe.
            try testing.expectEqual(.merge, newer.type);
        };
        for (job.tombstones.items) |tombstone| {
            if (tombstone.sequence < entry.sequence or !sameStripe(seen, entry.sequence, tombstone.sequence)) continue;
            const inside = std.mem.order(u8, entry.key, tombstone.lower) != .lt and
                (tombstone.upper.len == 0 or std.mem.order(u8, entry.key, tombstone.upper) == .lt);
            try testing.expect(!inside);
        }
        switch (entry.type) {
            .put_expiring, .put_blob_expiring => {
                const expiry: f64 = @bitCast(std.mem.readInt(u64, entry.value[0..8], .little));
                const is_seen = seen.len > 0 and seen[seen.len - 1] >= entry.sequence;
                try testing.expect(is_seen or now < expiry);
            },
            .delete => if (bottom) try testing.expect(seen.len > 0 and seen[0] < entry.sequence),
            .merge => if (folds) {
                const next: ?Entry = if (i + 1 < entries.len and std.mem.eql(u8, entries[i + 1].key, entry.key)) entries[i + 1] else null;
                if (next) |older| {
                    const stands_alone = older.type == .put or older.type == .merge or older.type == .delete;
                    try testing.expect(!stands_alone or !sameStripe(seen, older.sequence, entry.sequence));
                } else if (bottom) {
                    // What it stood on was there when it went by, in another stripe, and then had no reader.
                    const stood = for (job.entries.items) |older| {
                        if (std.mem.eql(u8, older.key, entry.key) and older.sequence < entry.sequence) break true;
                    } else false;
                    try testing.expect(stood and seen.len > 0);
                }
            },
            else => {},
        }
    }
}

test "no reader can tell whether the filter has been over a history" {
    const cases: u64 = if (builtin.mode == .Debug) 4_000 else 30_000;
    for (1..cases) |seed| {
        errdefer std.debug.print("seed {d}\n", .{seed});
        try runCase(seed);
    }
}

const Version = struct { []const u8, u64, abi.EntryType, []const u8 };

fn expectFiltered(options: version_filter.Options, versions: []const Version, expected: []const Version) !void {
    var arena_state: std.heap.ArenaAllocator = .init(gpa);
    defer arena_state.deinit();
    var filter: VersionFilter = .init(gpa, options);
    defer filter.deinit();
    var collector: Collector = .{ .arena = arena_state.allocator() };
    var joiner: Joiner = .{};
    for (versions) |each| {
        try joiner.add(&filter, .{ .key = each[0], .sequence = each[1], .type = each[2], .value = each[3] }, &collector);
    }
    try joiner.finish(&filter, &collector);
    errdefer for (collector.entries.items) |entry| std.debug.print("{s} {d} {t} {x}\n", .{ entry.key, entry.sequence, entry.type, entry.value });
    try testing.expectEqual(expected.len, collector.entries.items.len);
    for (expected, collector.entries.items) |each, entry| {
        try testing.expectEqualStrings(each[0], entry.key);
        try testing.expectEqual(each[1], entry.sequence);
        try testing.expectEqual(each[2], entry.type);
        try testing.expectEqualSlices(u8, each[3], entry.value);
    }
}

fn expiring(comptime expiry: f64, comptime value: []const u8) []const u8 {
    return comptime &(std.mem.toBytes(@as(u64, @bitCast(expiry))) ++ value[0..value.len].*);
}

const plain: version_filter.Options = .{ .snapshots = &.{}, .ranges = null, .now = 100, .operator = .none, .bottom = false };

fn with(comptime field: []const u8, value: anytype) version_filter.Options {
    var options = plain;
    @field(options, field) = value;
    return options;
}

test "an expired put becomes a delete where something older may lie below, and goes at the bottom" {
    const versions: []const Version = &.{ .{ "k", 9, .put_expiring, expiring(100, "x") }, .{ "k", 8, .put, "old" }, .{ "l", 7, .put_expiring, expiring(100.5, "y") } };
    const kept: Version = .{ "l", 7, .put_expiring, expiring(100.5, "y") };
    try expectFiltered(plain, versions, &.{ .{ "k", 9, .delete, "" }, kept });
    try expectFiltered(with("bottom", true), versions, &.{kept});
    // A snapshot judges at its own time: what it sees stays.
    try expectFiltered(with("snapshots", &[_]u64{9}), versions, &.{ versions[0], kept });
}

test "a chain is folded within its stripe, under the number of its newest operand" {
    var options = with("operator", abi.MergeOperator.append);
    const versions: []const Version = &.{ .{ "k", 9, .merge, "d" }, .{ "k", 8, .merge, "c" }, .{ "k", 6, .merge, "b" }, .{ "k", 5, .put, "a" }, .{ "k", 4, .put, "z" } };
    try expectFiltered(options, versions, &.{.{ "k", 9, .put, "abcd" }});
    options.snapshots = &.{7};
    try expectFiltered(options, versions, &.{ .{ "k", 9, .merge, "cd" }, .{ "k", 6, .put, "ab" } });
    options.snapshots = &.{};
    try expectFiltered(options, versions[0..2], &.{.{ "k", 9, .merge, "cd" }});
    options.bottom = true;
    try expectFiltered(options, versions[0..2], &.{.{ "k", 9, .put, "cd" }});
}

test "operands are not folded onto a value that may expire, nor onto one in a blob segment" {
    const options = with("operator", abi.MergeOperator.append);
    const alive = expiring(101, "a");
    try expectFiltered(
        options,
        &.{ .{ "k", 9, .merge, "c" }, .{ "k", 8, .merge, "b" }, .{ "k", 7, .put_expiring, alive } },
        &.{ .{ "k", 9, .merge, "bc" }, .{ "k", 7, .put_expiring, alive } },
    );
    try expectFiltered(options, &.{ .{ "k", 9, .merge, "c" }, .{ "k", 7, .put_expiring, expiring(99, "a") } }, &.{.{ "k", 9, .put, "c" }});
    const address = std.mem.toBytes(abi.BlobAddress{ .number = 4, .offset = 64, .bytes = 9, .checksum = 1 });
    try expectFiltered(
        options,
        &.{ .{ "k", 9, .merge, "c" }, .{ "k", 8, .merge, "b" }, .{ "k", 7, .put_blob, &address } },
        &.{ .{ "k", 9, .merge, "bc" }, .{ "k", 7, .put_blob, &address } },
    );
}

test "a JavaScript operator's operands stay, with what they stand on" {
    const versions: []const Version = &.{ .{ "k", 9, .merge, "c" }, .{ "k", 8, .merge, "b" }, .{ "k", 7, .put, "a" }, .{ "k", 6, .put, "z" } };
    try expectFiltered(with("operator", abi.MergeOperator.custom), versions, versions[0..3]);
}

test "a long chain of a JavaScript operator is handed over, within its stripe and where what it stands on is known" {
    var options = with("operator", abi.MergeOperator.custom);
    options.handed_operands_min = 2;
    const versions: []const Version = &.{ .{ "k", 9, .merge, "d" }, .{ "k", 8, .merge, "c" }, .{ "k", 6, .merge, "b" }, .{ "k", 5, .put, "a" }, .{ "k", 4, .put, "z" } };
    try expectFiltered(options, versions, &.{.{ "k", 9, .put, "abcd" }});
    // One operand of the older stripe is not worth it; that of the newer one stands on something else.
    options.snapshots = &.{7};
    try expectFiltered(options, versions, versions[0..4]);
    options.snapshots = &.{8};
    try expectFiltered(options, versions, &.{ versions[0], .{ "k", 8, .put, "abc" } });
    options.snapshots = &.{};
    try expectFiltered(options, versions[0..3], versions[0..3]);
    const gone: Version = .{ "k", 5, .delete, "" };
    try expectFiltered(options, &.{ versions[0], versions[1], gone }, &.{.{ "k", 9, .put, "cd" }});
    const alive: Version = .{ "k", 5, .put_expiring, expiring(101, "a") };
    try expectFiltered(options, &.{ versions[0], versions[1], alive }, &.{ versions[0], versions[1], alive });
    const address = std.mem.toBytes(abi.BlobAddress{ .number = 4, .offset = 64, .bytes = 9, .checksum = 1 });
    const blob: Version = .{ "k", 5, .put_blob, &address };
    try expectFiltered(options, &.{ versions[0], versions[1], blob }, &.{ versions[0], versions[1], blob });
    options.bottom = true;
    try expectFiltered(options, versions[0..3], &.{.{ "k", 9, .put, "bcd" }});
    options.handed_operands_min = 4;
    try expectFiltered(options, versions[0..3], versions[0..3]);
}

test "of a chain that no page holds the oldest operands are handed over, and none whose base is too long" {
    var arena_state: std.heap.ArenaAllocator = .init(gpa);
    defer arena_state.deinit();
    const arena = arena_state.allocator();
    var options = with("operator", abi.MergeOperator.custom);
    options.handed_operands_min = 2;
    const operand: []const u8 = &@as([100_000]u8, @splat('x'));
    const versions = try arena.alloc(Version, 31);
    for (versions[0..30], 0..) |*each, i| each.* = .{ "k", 90 - i, .merge, operand };
    versions[30] = .{ "k", 5, .put, "a" };
    var filter: VersionFilter = .init(gpa, options);
    defer filter.deinit();
    var collector: Collector = .{ .arena = arena };
    var joiner: Joiner = .{};
    for (versions) |each| try joiner.add(&filter, .{ .key = each[0], .sequence = each[1], .type = each[2], .value = each[3] }, &collector);
    try joiner.finish(&filter, &collector);
    try testing.expectEqual(1, joiner.asked);
    const found = collector.entries.items;
    const folded = found[found.len - 1];
    try testing.expectEqual(.put, folded.type);
    const left = found.len - 1;
    try testing.expect(left >= 20 and left <= 25);
    try testing.expectEqual(90 - left, folded.sequence);
    try testing.expectEqual(1 + (30 - left) * operand.len, folded.value.len);
    for (found[0..left], 0..) |each, i| {
        try testing.expectEqual(90 - i, each.sequence);
        try testing.expectEqual(.merge, each.type);
    }

    const large = try arena.alloc(u8, abi.chain_page_bytes);
    @memset(large, 'y');
    const on_large: []const Version = &.{ .{ "k", 9, .merge, "c" }, .{ "k", 8, .merge, "b" }, .{ "k", 5, .put, large } };
    try expectFiltered(options, on_large, on_large);
    // An operand that no page holds goes on, and what is older is folded by itself.
    const on_operand: []const Version = &.{ .{ "k", 9, .merge, "c" }, .{ "k", 8, .merge, large }, .{ "k", 7, .merge, "b" }, .{ "k", 6, .merge, "a" }, .{ "k", 5, .delete, "" } };
    try expectFiltered(options, on_operand, &.{ on_operand[0], on_operand[1], .{ "k", 7, .put, "ab" } });
}

test "a range tombstone takes what is older in its stripe, and is the ground of a chain above it" {
    const ranges = try Fragments.build(gpa, &.{.{ .lower = "k", .upper = "l", .sequence = 7 }});
    defer ranges.release();
    var options = with("operator", abi.MergeOperator.append);
    options.ranges = ranges;
    const versions: []const Version = &.{ .{ "k", 9, .merge, "c" }, .{ "k", 6, .merge, "b" }, .{ "k", 5, .put, "a" }, .{ "l", 4, .put, "z" } };
    try expectFiltered(options, versions, &.{ .{ "k", 9, .put, "c" }, versions[3] });
    options.snapshots = &.{6};
    try expectFiltered(options, versions, &.{ .{ "k", 9, .put, "c" }, .{ "k", 6, .put, "ab" }, versions[3] });
    options.snapshots = &.{8};
    try expectFiltered(options, versions, &.{ .{ "k", 9, .merge, "c" }, versions[3] });
}

test "a stream out of order, a number used twice and values that their types do not allow are damage" {
    const cases = [_][2]Version{
        .{ .{ "b", 9, .put, "" }, .{ "a", 8, .put, "" } },
        .{ .{ "a", 8, .put, "" }, .{ "a", 9, .put, "" } },
        .{ .{ "a", 8, .put, "" }, .{ "a", 8, .delete, "" } },
        .{ .{ "a", 8, .merge, "" }, .{ "a", 7, .put_expiring, "1234567" } },
        .{ .{ "a", 8, .put, "" }, .{ "b", 7, .put_blob, "1234567" } },
        .{ .{ "a", 8, .put, "" }, .{ "b", 7, .put_blob, &@as([24]u8, @splat(1)) } },
        .{ .{ "a", 8, .put, "" }, .{ "b", 7, .put_blob_expiring, "123456789012345678901234" } },
        .{ .{ "a", 8, .put, "" }, .{ "b", 7, .delete_range, "c" } },
    };
    for (cases) |versions| try testing.expectError(error.Damaged, expectFiltered(plain, &versions, &.{}));
    var filter: VersionFilter = .init(gpa, plain);
    defer filter.deinit();
    var collector: Collector = .{ .arena = gpa };
    for ([_]u8{ 0, 8, 255 }) |wrong| {
        try testing.expectError(error.Damaged, filter.add(&.{wrong}, internal_key.trailer(3, wrong), "", &collector));
    }
}
