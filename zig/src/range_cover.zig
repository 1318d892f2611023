//! How far the range tombstones of all that a reader reads reach, key by key: the greatest number that covers a key,
//! for keys that come in order. Between two bounds nothing is looked up: one comparison a key. With no tombstones
//! it is empty, which the reader asks first.
//!
//! One thread at a time. Fragments that were added must outlive it; those in `kept` it keeps alive itself.

const std = @import("std");
const internal_key = @import("internal_key.zig");
const Direction = @import("merge_iterator.zig").Direction;
const Fragments = @import("range_fragments.zig").Fragments;

/// Keys that the same number covers; zero: nothing does.
const Stretch = struct {
    from: []const u8 = "",
    /// Exclusive; null: to the end.
    until: ?[]const u8 = null,
    number: u64 = 0,

    /// Where both are.
    fn meet(a: Stretch, b: Stretch) Stretch {
        return .{
            .from = if (internal_key.compareKeys(a.from, b.from) == .lt) b.from else a.from,
            .until = lower(a.until, b.until),
            .number = @max(a.number, b.number),
        };
    }

    fn lower(a: ?[]const u8, b: ?[]const u8) ?[]const u8 {
        const left = a orelse return b;
        const right = b orelse return a;
        return if (internal_key.compareKeys(left, right) == .gt) right else left;
    }
};

/// Which stretch is meant: the one that holds the key, or the one that the keys right below it are in.
const Side = enum {
    at,
    below,

    /// Does a stretch that begins at the bound begin at or before the one that is meant?
    inline fn isPassed(side: Side, bound: []const u8, key: []const u8) bool {
        const order = internal_key.compareKeys(bound, key);
        return order == .lt or (side == .at and order == .eq);
    }
};

/// Fragments that follow each other: those of one level's tables, or one alone.
const Source = struct {
    row: []const *const Fragments,
    index: usize = 0,
    walker: Fragments.Walker,

    fn stretch(self: *Source, comptime side: Side, key: []const u8, sequence: u64) Stretch {
        const index = self.rowIndex(side, key);
        if (index == self.row.len) return .{ .from = self.row[index - 1].highest().? };
        const fragments = self.row[index];
        if (!side.isPassed(fragments.lowest(), key)) return .{
            .from = if (index == 0) "" else self.row[index - 1].highest().?,
            .until = fragments.lowest(),
        };
        if (index != self.index) {
            self.index = index;
            self.walker = fragments.walker();
        }
        const bounds = fragments.bounds;
        var number = self.walker.cover(key, sequence);
        if (!side.isPassed(bounds[self.walker.below - 1], key)) {
            number = self.walker.cover(bounds[self.walker.below - 2], sequence);
        }
        const below = self.walker.below;
        return .{
            .from = bounds[below - 1],
            .until = if (below == bounds.len) null else bounds[below],
            .number = number,
        };
    }

    /// The first whose end is not passed; the count if there is none.
    fn rowIndex(self: *const Source, comptime side: Side, key: []const u8) usize {
        var low: usize = 0;
        var high = self.row.len;
        while (low < high) {
            const middle = low + (high - low) / 2;
            const is_passed = if (self.row[middle].highest()) |end| side.isPassed(end, key) else false;
            if (is_passed) low = middle + 1 else high = middle;
        }
        return low;
    }
};

pub const RangeCover = struct {
    gpa: std.mem.Allocator,
    /// Tombstones with greater numbers do not count.
    sequence: u64,
    sources: std.ArrayList(Source) = .empty,
    /// A reference to each is ours.
    kept: std.ArrayList(*Fragments) = .empty,
    current: Stretch = .{},
    is_current: bool = false,

    pub fn deinit(self: *RangeCover) void {
        for (self.sources.items) |source| self.gpa.free(source.row);
        self.sources.deinit(self.gpa);
        for (self.kept.items) |fragments| fragments.release();
        self.kept.deinit(self.gpa);
    }

    /// REQUIRES: at least one; each has pieces, and ends at or before the next one's begin.
    pub fn add(self: *RangeCover, row: []const *const Fragments) error{OutOfMemory}!void {
        try self.sources.ensureUnusedCapacity(self.gpa, 1);
        const copy = try self.gpa.dupe(*const Fragments, row);
        self.sources.appendAssumeCapacity(.{ .row = copy, .walker = row[0].walker() });
    }

    pub inline fn isEmpty(self: *const RangeCover) bool {
        return self.sources.items.len == 0;
    }

    /// REQUIRES: keys come in this direction; after `reset` from anywhere.
    pub inline fn numberAt(self: *RangeCover, comptime direction: Direction, key: []const u8) u64 {
        const is_inside = self.is_current and switch (direction) {
            .forward => if (self.current.until) |end| internal_key.compareKeys(key, end) == .lt else true,
            .backward => internal_key.compareKeys(key, self.current.from) != .lt,
        };
        if (!is_inside) {
            self.current = self.find(.at, key);
            self.is_current = true;
        }
        return self.current.number;
    }

    pub fn reset(self: *RangeCover) void {
        self.is_current = false;
    }

    fn find(self: *RangeCover, comptime side: Side, key: []const u8) Stretch {
        var found: Stretch = .{};
        for (self.sources.items) |*source| found = .meet(found, source.stretch(side, key, self.sequence));
        return found;
    }

    /// The first key behind the current stretch that no number above `floor` covers; null: all are covered to the end.
    /// REQUIRES: `numberAt` answered more than `floor`.
    pub fn endAbove(self: *RangeCover, floor: u64) ?[]const u8 {
        var end = self.current.until orelse return null;
        while (true) {
            const next = self.find(.at, end);
            if (next.number <= floor) return end;
            end = next.until orelse return null;
        }
    }

    /// The lowest key of those, down from the current stretch, that numbers above `floor` cover. REQUIRES: as `endAbove`.
    pub fn endBelow(self: *RangeCover, floor: u64) []const u8 {
        var end = self.current.from;
        while (end.len > 0) {
            const next = self.find(.below, end);
            if (next.number <= floor) break;
            end = next.from;
        }
        return end;
    }
};

/// Could anything in the fragments cover a key from `lower` to below `upper`?
pub fn touches(fragments: *const Fragments, lower: []const u8, upper: ?[]const u8) bool {
    if (fragments.count() == 0) return false;
    if (fragments.highest()) |end| if (internal_key.compareKeys(end, lower) != .gt) return false;
    return if (upper) |end| internal_key.compareKeys(fragments.lowest(), end) == .lt else true;
}
