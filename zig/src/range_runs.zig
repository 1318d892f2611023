//! The range tombstones of one memtable, ordered for asking while more of them come. They lie in a row, oldest first,
//! cut into runs with fragments of their own; eight runs of one size become one, so that a tombstone is sorted a few
//! times and not once for each that follows. What is newer than the last run, at most 63, is looked at one by one.
//!
//! Newer runs have greater numbers: the first that covers a key decides. `mutex` is held by whoever calls; fragments
//! that were retained stay good without it.

const std = @import("std");
const abi = @import("abi.zig");
const internal_key = @import("internal_key.zig");
const locks = @import("locks.zig");
const range_cover = @import("range_cover.zig");
const range_fragments = @import("range_fragments.zig");
const region = @import("region.zig");
const Fragments = range_fragments.Fragments;
const Memtable = @import("memtable_reader.zig").Memtable;
const Tombstone = range_fragments.Tombstone;

const first_run_size = 64;
const merged_run_count = 8;

pub const RangeRuns = struct {
    gpa: std.mem.Allocator,
    /// The memtable's region has no other kind of companion.
    companion: region.Companion = .{ .destroy = destroyCompanion },
    mutex: locks.Mutex = .{},
    /// Word offsets of the tombstones, oldest first.
    row: std.ArrayList(u32) = .empty,
    /// Oldest first, so that sizes descend.
    runs: std.ArrayList(Run) = .empty,
    /// Tombstones that are in runs.
    run_end: usize = 0,

    const Run = struct { fragments: *Fragments, size: usize };

    pub fn create(gpa: std.mem.Allocator) error{OutOfMemory}!*RangeRuns {
        const self = try gpa.create(RangeRuns);
        self.* = .{ .gpa = gpa };
        return self;
    }

    pub fn destroy(self: *RangeRuns) void {
        for (self.runs.items) |run| run.fragments.release();
        self.runs.deinit(self.gpa);
        self.row.deinit(self.gpa);
        self.gpa.destroy(self);
    }

    pub fn of(companion: *region.Companion) *RangeRuns {
        return @fieldParentPtr("companion", companion);
    }

    fn destroyCompanion(companion: *region.Companion) void {
        of(companion).destroy();
    }

    /// Takes in the tombstones from `newest` on that it does not have. After an error the next call goes on.
    pub fn catchUp(self: *RangeRuns, memtable: Memtable, newest: u32) error{ OutOfMemory, Damaged }!void {
        const known = if (self.row.getLastOrNull()) |last| last else 0;
        if (newest > known) try self.append(memtable, newest, known);
        if (self.row.items.len - self.run_end < first_run_size) return;
        try self.cutRuns(memtable);
    }

    fn append(self: *RangeRuns, memtable: Memtable, newest: u32, known: u32) error{ OutOfMemory, Damaged }!void {
        const start = self.row.items.len;
        errdefer self.row.shrinkRetainingCapacity(start);
        var at = newest;
        var newer_sequence: u64 = internal_key.sequence_max + 1;
        while (at != known) {
            const tombstone = memtable.entry(at) orelse return error.Damaged;
            const sequence = internal_key.sequenceOf(tombstone.trailer);
            if (internal_key.typeOf(tombstone.trailer) != @intFromEnum(abi.EntryType.delete_range)) return error.Damaged;
            if (sequence >= newer_sequence) return error.Damaged;
            // Chained downwards, so this ends, whatever the region holds.
            if (tombstone.previous >= at or tombstone.previous < known) return error.Damaged;
            try self.row.append(self.gpa, at);
            newer_sequence = sequence;
            at = tombstone.previous;
        }
        std.mem.reverse(u32, self.row.items[start..]);
    }

    /// As many came at once as may be: the runs are those that would have come of them one by one.
    fn cutRuns(self: *RangeRuns, memtable: Memtable) error{OutOfMemory}!void {
        var sizes: std.ArrayList(usize) = .empty;
        defer sizes.deinit(self.gpa);
        for (self.runs.items) |run| try sizes.append(self.gpa, run.size);
        var end = self.run_end;
        while (self.row.items.len - end >= first_run_size) {
            try sizes.append(self.gpa, first_run_size);
            end += first_run_size;
            while (sizes.items.len >= merged_run_count) {
                const size = sizes.items[sizes.items.len - 1];
                const first = sizes.items.len - merged_run_count;
                if (sizes.items[first] != size) break;
                sizes.shrinkRetainingCapacity(first + 1);
                sizes.items[first] = size * merged_run_count;
            }
        }

        var unchanged: usize = 0;
        var start: usize = 0;
        while (unchanged < self.runs.items.len and self.runs.items[unchanged].size == sizes.items[unchanged]) {
            start += sizes.items[unchanged];
            unchanged += 1;
        }
        var made: std.ArrayList(Run) = .empty;
        defer made.deinit(self.gpa);
        errdefer for (made.items) |run| run.fragments.release();
        for (sizes.items[unchanged..]) |size| {
            try made.ensureUnusedCapacity(self.gpa, 1);
            made.appendAssumeCapacity(.{ .fragments = try build(self.gpa, memtable, self.row.items[start..][0..size]), .size = size });
            start += size;
        }
        try self.runs.ensureTotalCapacity(self.gpa, sizes.items.len);
        for (self.runs.items[unchanged..]) |run| run.fragments.release();
        self.runs.shrinkRetainingCapacity(unchanged);
        self.runs.appendSliceAssumeCapacity(made.items);
        self.run_end = end;
    }

    fn build(gpa: std.mem.Allocator, memtable: Memtable, offsets: []const u32) error{OutOfMemory}!*Fragments {
        const tombstones = try gpa.alloc(Tombstone, offsets.len);
        defer gpa.free(tombstones);
        for (tombstones, offsets) |*tombstone, offset| tombstone.* = tombstoneAt(memtable, offset);
        return Fragments.build(gpa, tombstones);
    }

    fn tombstoneAt(memtable: Memtable, offset: u32) Tombstone {
        const entry = memtable.entry(offset).?;
        return .{ .lower = entry.key, .upper = entry.value, .sequence = internal_key.sequenceOf(entry.trailer) };
    }

    /// The greatest number, at most `sequence`, of a tombstone over the key; zero: none.
    pub fn cover(self: *const RangeRuns, memtable: Memtable, key: []const u8, sequence: u64) u64 {
        var index = self.row.items.len;
        while (index > self.run_end) {
            index -= 1;
            const tombstone = tombstoneAt(memtable, self.row.items[index]);
            if (tombstone.sequence > sequence) continue;
            if (internal_key.compareKeys(key, tombstone.lower) == .lt) continue;
            if (tombstone.upper.len > 0 and internal_key.compareKeys(key, tombstone.upper) != .lt) continue;
            return tombstone.sequence;
        }
        var run_index = self.runs.items.len;
        while (run_index > 0) {
            run_index -= 1;
            const number = self.runs.items[run_index].fragments.cover(key, sequence);
            if (number != 0) return number;
        }
        return 0;
    }

    /// Fragments that may cover keys from `lower` to below `upper` for a reader at `sequence`, each with a reference for the
    /// caller, who has them in `out` after an error too.
    pub fn collect(
        self: *const RangeRuns,
        gpa: std.mem.Allocator,
        memtable: Memtable,
        sequence: u64,
        lower: []const u8,
        upper: ?[]const u8,
        out: *std.ArrayList(*Fragments),
    ) error{OutOfMemory}!void {
        var singles: [first_run_size]Tombstone = undefined;
        var single_count: usize = 0;
        for (self.row.items[self.run_end..]) |offset| {
            const tombstone = tombstoneAt(memtable, offset);
            if (tombstone.sequence > sequence) break;
            if (tombstone.upper.len > 0 and internal_key.compareKeys(tombstone.upper, lower) != .gt) continue;
            if (upper) |end| if (internal_key.compareKeys(tombstone.lower, end) != .lt) continue;
            singles[single_count] = tombstone;
            single_count += 1;
        }
        try out.ensureUnusedCapacity(gpa, self.runs.items.len + 1);
        if (single_count > 0) {
            const fragments: *Fragments = try .build(gpa, singles[0..single_count]);
            if (fragments.count() > 0) out.appendAssumeCapacity(fragments) else fragments.release();
        }
        for (self.runs.items) |run| {
            if (run.fragments.smallest_sequence > sequence) break;
            if (range_cover.touches(run.fragments, lower, upper)) out.appendAssumeCapacity(run.fragments.retain());
        }
    }
};
