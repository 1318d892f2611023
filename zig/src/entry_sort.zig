//! Sorting a memtable's entries by internal key. Each item carries eight bytes of its key; items are sorted by
//! those, and only runs that tie are looked up again, eight bytes further on. So a sort touches each key about
//! once, and common prefixes cost one pass. Allocates 16 bytes an entry; any thread.

const std = @import("std");
const abi = @import("abi.zig");
const internal_key = @import("internal_key.zig");
const Memtable = @import("memtable_reader.zig").Memtable;

const delete_range = @intFromEnum(abi.EntryType.delete_range);

pub const Item = struct {
    /// Eight key bytes from the current depth; when the keys are equal, the complement of the trailer.
    chunk: u64,
    entry: u32,
    /// Key bytes in `chunk`, 9 where the key goes on behind it: a shorter key is smaller.
    rank: u16,
    /// For the user of the sorted list.
    spare: u16 = 0,

    fn lessThan(_: void, a: Item, b: Item) bool {
        return if (a.chunk != b.chunk) a.chunk < b.chunk else a.rank < b.rank;
    }
};

pub const GatherError = error{ OutOfMemory, Damaged };

/// The point entries from `newest` back to (not with) `until`, unsorted, the newest first; range tombstones are in no order
/// of keys.
pub fn gather(gpa: std.mem.Allocator, memtable: Memtable, newest: u32, until: u32, count_hint: usize) GatherError![]Item {
    var items: std.ArrayList(Item) = .empty;
    errdefer items.deinit(gpa);
    try items.ensureTotalCapacity(gpa, count_hint);
    var at = newest;
    while (at != until) {
        const entry = memtable.entry(at) orelse return error.Damaged;
        // Chained downwards, so this ends, whatever the region holds.
        if (entry.older >= at or entry.older < until) return error.Damaged;
        if (internal_key.typeOf(entry.trailer) != delete_range) try items.append(gpa, .{ .chunk = 0, .entry = at, .rank = 0 });
        at = entry.older;
    }
    return items.toOwnedSlice(gpa);
}

const Run = struct { start: usize, end: usize, depth: usize };

/// REQUIRES: every item's entry was found good by `gather`.
pub fn sort(gpa: std.mem.Allocator, memtable: Memtable, items: []Item) error{OutOfMemory}!void {
    if (items.len < 2) return;
    var runs: std.ArrayList(Run) = .empty;
    defer runs.deinit(gpa);
    try runs.append(gpa, .{ .start = 0, .end = items.len, .depth = 0 });

    while (runs.pop()) |run| {
        const part = items[run.start..run.end];
        const depth = run.depth + sharedBehind(memtable, part, run.depth);
        for (part) |*item| load(memtable, item, depth);
        order(part, 56);

        var start: usize = 0;
        while (start < part.len) {
            var end = start + 1;
            while (end < part.len and part[end].chunk == part[start].chunk and part[end].rank == part[start].rank) end += 1;
            if (end - start > 1) {
                if (part[start].rank == 9) {
                    try runs.append(gpa, .{ .start = run.start + start, .end = run.start + end, .depth = depth + 8 });
                } else sortVersions(memtable, part[start..end]);
            }
            start = end;
        }
    }
}

/// Fewer items are compared with one another.
const radix_items_min = 384;
const digit_count = 256;

/// By chunk and rank. From the top digit down items are put into the part of the list that is their digit's ("American flag"): comparing
/// takes as many steps as the count has bits, this one or two. REQUIRES: the chunks agree above the digit that begins at bit `shift`.
fn order(items: []Item, shift: u6) void {
    if (items.len < radix_items_min) return std.sort.pdq(Item, items, {}, Item.lessThan);
    var ends = std.mem.zeroes([digit_count]u32);
    for (items) |item| ends[digitOf(item, shift)] += 1;
    var next: [digit_count]u32 = undefined;
    var sum: u32 = 0;
    for (&ends, &next) |*end, *start| {
        start.* = sum;
        sum += end.*;
        end.* = sum;
    }
    for (0..digit_count) |digit| {
        while (next[digit] < ends[digit]) {
            // Carries an item to its place, takes the one from there, until one belongs here.
            var item = items[next[digit]];
            var its = digitOf(item, shift);
            while (its != digit) : (its = digitOf(item, shift)) {
                std.mem.swap(Item, &item, &items[next[its]]);
                next[its] += 1;
            }
            items[next[digit]] = item;
            next[digit] += 1;
        }
    }
    var start: u32 = 0;
    for (ends) |end| {
        const part = items[start..end];
        start = end;
        if (shift > 0) order(part, shift - 8) else std.sort.pdq(Item, part, {}, Item.lessThan);
    }
}

fn digitOf(item: Item, shift: u6) u8 {
    return @truncate(item.chunk >> shift);
}

fn load(memtable: Memtable, item: *Item, depth: usize) void {
    const rest = memtable.entry(item.entry).?.key[depth..];
    item.chunk = internal_key.prefix(rest);
    item.rank = if (rest.len > 8) 9 else @intCast(rest.len);
}

/// Versions of one key: the newest first.
fn sortVersions(memtable: Memtable, items: []Item) void {
    for (items) |*item| {
        item.chunk = ~memtable.entry(item.entry).?.trailer;
        item.rank = 0;
    }
    std.sort.pdq(Item, items, {}, Item.lessThan);
}

/// Bytes that all keys share behind `depth`.
fn sharedBehind(memtable: Memtable, items: []const Item, depth: usize) usize {
    const first = memtable.entry(items[0].entry).?.key[depth..];
    var shared = first.len;
    for (items[1..]) |item| {
        if (shared == 0) break;
        const key = memtable.entry(item.entry).?.key[depth..];
        shared = internal_key.sharedBytes(first[0..shared], key);
    }
    return shared;
}

test "items are in the order of chunk and rank, however their chunks are spread" {
    var prng = std.Random.DefaultPrng.init(std.testing.random_seed);
    const random = prng.random();
    const count = 40_000;
    const items = try std.testing.allocator.alloc(Item, count);
    defer std.testing.allocator.free(items);
    for ([_]u64{ std.math.maxInt(u64), 0xff, 0, 0xff << 56, 0x3 << 40, 0x0f0f_0f0f_0f0f_0f0f, 0x1_0000_0001 }) |mask| {
        for ([_]usize{ 0, 1, radix_items_min - 1, radix_items_min, count }) |length| {
            const part = items[0..length];
            var sum: u64 = 0;
            for (part, 0..) |*item, index| {
                item.* = .{ .chunk = random.int(u64) & mask, .entry = @intCast(index), .rank = random.uintLessThan(u16, 10) };
                sum +%= item.chunk *% (item.entry + 1) +% item.rank;
            }
            order(part, 56);
            for (part) |item| sum -%= item.chunk *% (item.entry + 1) +% item.rank;
            try std.testing.expectEqual(0, sum); // the same items
            for (part[0..part.len -| 1], 1..) |item, index| try std.testing.expect(!Item.lessThan({}, part[index], item));
        }
    }
}
