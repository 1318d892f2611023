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
        std.sort.pdq(Item, part, {}, Item.lessThan);

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
