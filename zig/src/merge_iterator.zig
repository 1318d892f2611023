//! One ordered stream out of many: memtables and levels of tables, forward or backward, in internal-key order.
//! An entry that two sources have, as tables of a repaired store may, comes once.
//! A heap of sources with the current entry of each beside it; with one source nothing is compared. One thread at
//! a time. After an error, would_block included, it stands nowhere: seek again.

const std = @import("std");
const fault = @import("fault.zig");
const internal_key = @import("internal_key.zig");
const skip_list = @import("skip_list.zig");
const table_iterator = @import("table_iterator.zig");
const Access = @import("table_reader.zig").Access;
const Fault = fault.Fault;

pub const Direction = enum { forward, backward };

pub const Source = struct {
    from: union(enum) {
        memtable: skip_list.Iterator,
        level: table_iterator.Iterator,
    },
    // The current entry, valid while the source is in the heap.
    prefix: u64 = 0,
    key: []const u8 = &.{},
    trailer: u64 = 0,
    value: []const u8 = &.{},

    pub fn deinit(self: *Source) void {
        switch (self.from) {
            .memtable => {},
            .level => |*level| level.deinit(),
        }
    }

    /// Forward: to the first entry >= the target. Backward: to the last one below it. No target: to the end where
    /// the direction starts. False: there is none.
    fn seek(self: *Source, comptime direction: Direction, target: ?Target, access: Access, failure: *Fault) fault.Error!bool {
        switch (self.from) {
            .memtable => |*place| if (target) |at| switch (direction) {
                .forward => place.seek(at.key, at.trailer),
                .backward => place.seekBefore(at.key, at.trailer),
            } else switch (direction) {
                .forward => place.seekFirst(),
                .backward => place.seekLast(),
            },
            .level => |*place| if (target) |at| switch (direction) {
                .forward => try place.seek(at.key, at.trailer, access, failure),
                .backward => try place.seekBefore(at.key, at.trailer, access, failure),
            } else switch (direction) {
                .forward => try place.seekFirst(access, failure),
                .backward => try place.seekLast(access, failure),
            },
        }
        return self.load(failure);
    }

    inline fn advance(self: *Source, comptime direction: Direction, access: Access, failure: *Fault) fault.Error!bool {
        switch (self.from) {
            .memtable => |*place| switch (direction) {
                .forward => place.next(),
                .backward => place.previous(),
            },
            .level => |*place| switch (direction) {
                .forward => try place.next(access, failure),
                .backward => try place.previous(access, failure),
            },
        }
        return self.load(failure);
    }

    /// No entry between the current one and `end` that has a number above `floor` is passed over. REQUIRES: `largestSequence` is
    /// at most `floor`. Forward, null is behind all keys.
    fn jump(self: *Source, comptime direction: Direction, end: ?[]const u8, floor: u64, access: Access, failure: *Fault) fault.Error!bool {
        switch (self.from) {
            .memtable => |*place| switch (direction) {
                .forward => if (end) |key| place.seek(key, std.math.maxInt(u64)) else {
                    place.node = 0;
                },
                .backward => place.seekBefore(end.?, std.math.maxInt(u64)),
            },
            .level => |*place| switch (direction) {
                .forward => try place.jump(end, floor, access, failure),
                .backward => try place.jumpBefore(end.?, floor, access, failure),
            },
        }
        return self.load(failure);
    }

    /// Nothing in the memtable, or in the table that it stands in, has a greater number, as far as readers of this stream see.
    fn largestSequence(self: *const Source) u64 {
        return switch (self.from) {
            .memtable => |*place| place.memtable.lastSequence(),
            .level => |*place| place.tables[place.table_index].properties.largest_sequence,
        };
    }

    /// The current entry, or what came before it, is not what it should be.
    pub fn damaged(self: *const Source, failure: *Fault) fault.Error {
        switch (self.from) {
            .memtable => return failure.fail(.invalid),
            .level => |*place| {
                const table = place.tables[place.table_index];
                return failure.corrupt(table.file.number, table.blockOffset(place.block_index));
            },
        }
    }

    inline fn load(self: *Source, failure: *Fault) fault.Error!bool {
        switch (self.from) {
            .memtable => |*place| {
                if (place.node == 0) return false;
                const entry = place.entry() orelse return failure.fail(.invalid);
                self.key = entry.key;
                self.trailer = entry.trailer;
                self.value = entry.value;
            },
            .level => |*place| {
                if (!place.rows.valid) return false;
                self.key = place.rows.key;
                self.trailer = place.rows.trailer;
                self.value = place.rows.value;
            },
        }
        return true;
    }

    inline fn isBefore(self: *const Source, other: *const Source, comptime direction: Direction) bool {
        const order = if (self.prefix != other.prefix)
            std.math.order(self.prefix, other.prefix)
        else
            internal_key.compare(self.key, self.trailer, other.key, other.trailer);
        return order == if (direction == .forward) .lt else .gt;
    }
};

/// (key, trailer) in internal-key order.
pub const Target = struct { key: []const u8, trailer: u64 };

pub const MergeIterator = struct {
    sources: []Source,
    /// The sources that stand on an entry, as a heap; `heap[0]` has the next one.
    heap: []*Source,
    heap_count: usize = 0,

    /// Takes over the sources, which must stay where they are.
    pub fn init(gpa: std.mem.Allocator, sources: []Source) error{OutOfMemory}!MergeIterator {
        return .{ .sources = sources, .heap = try gpa.alloc(*Source, sources.len) };
    }

    pub fn deinit(self: *MergeIterator, gpa: std.mem.Allocator) void {
        for (self.sources) |*source| source.deinit();
        gpa.free(self.heap);
    }

    pub fn seek(self: *MergeIterator, comptime direction: Direction, target: ?Target, access: Access, failure: *Fault) fault.Error!void {
        self.heap_count = 0;
        errdefer self.heap_count = 0;
        for (self.sources) |*source| {
            if (!try source.seek(direction, target, access, failure)) continue;
            source.prefix = internal_key.prefix(source.key);
            self.heap[self.heap_count] = source;
            self.heap_count += 1;
        }
        var at = self.heap_count / 2;
        while (at > 0) {
            at -= 1;
            self.siftDown(at, direction);
        }
    }

    /// The source with the next entry. Null: there is none.
    pub inline fn top(self: *const MergeIterator) ?*const Source {
        return if (self.heap_count == 0) null else self.heap[0];
    }

    /// REQUIRES: `top` is not null; same direction as the seek.
    pub inline fn advance(self: *MergeIterator, comptime direction: Direction, access: Access, failure: *Fault) fault.Error!void {
        errdefer self.heap_count = 0;
        while (self.twinOfTop()) |twin| {
            const other = self.heap[twin];
            if (try other.advance(direction, access, failure)) {
                other.prefix = internal_key.prefix(other.key);
            } else {
                self.heap_count -= 1;
                self.heap[twin] = self.heap[self.heap_count];
            }
            if (twin < self.heap_count) self.siftDown(twin, direction);
        }
        self.moved(direction, try self.heap[0].advance(direction, access, failure));
    }

    /// Every entry of the source on top that has a number above this is in another of its tables.
    pub fn topSequenceMax(self: *const MergeIterator) u64 {
        return self.heap[0].largestSequence();
    }

    /// Moves the source on top to `end` (forward: null is behind all keys; backward: to the last key below it), or to its
    /// first table on the way with a number above `floor`. REQUIRES: as `advance`; `topSequenceMax` is at most `floor`.
    pub fn jump(self: *MergeIterator, comptime direction: Direction, end: ?[]const u8, floor: u64, access: Access, failure: *Fault) fault.Error!void {
        const there = self.heap[0].jump(direction, end, floor, access, failure) catch |e| {
            self.heap_count = 0;
            return e;
        };
        self.moved(direction, there);
    }

    /// The source on top stands on another entry, or (not `there`) has none left.
    inline fn moved(self: *MergeIterator, comptime direction: Direction, there: bool) void {
        const source = self.heap[0];
        if (!there) {
            self.heap_count -= 1;
            self.heap[0] = self.heap[self.heap_count];
        }
        if (self.heap_count <= 1) {
            // Nobody to compare with, now or later.
            return;
        }
        if (there) source.prefix = internal_key.prefix(source.key);
        self.siftDown(0, direction);
    }

    /// Place in the heap of another source with the same entry as the top: if there is one, one of its children has it.
    inline fn twinOfTop(self: *const MergeIterator) ?usize {
        const first = self.heap[0];
        for (1..3) |at| {
            if (at >= self.heap_count) return null;
            const other = self.heap[at];
            if (other.prefix != first.prefix or other.trailer != first.trailer) continue;
            if (internal_key.equalKeys(other.key, first.key)) return at;
        }
        return null;
    }

    fn siftDown(self: *MergeIterator, start: usize, comptime direction: Direction) void {
        const moving = self.heap[start];
        var at = start;
        while (true) {
            var child = 2 * at + 1;
            if (child >= self.heap_count) break;
            if (child + 1 < self.heap_count and self.heap[child + 1].isBefore(self.heap[child], direction)) child += 1;
            if (!self.heap[child].isBefore(moving, direction)) break;
            self.heap[at] = self.heap[child];
            at = child;
        }
        self.heap[at] = moving;
    }

    /// Lets go of what the sources hold in memory; seek before the next use.
    pub fn letGo(self: *MergeIterator) void {
        self.heap_count = 0;
        for (self.sources) |*source| switch (source.from) {
            .memtable => {},
            .level => |*level| level.letGo(),
        };
    }
};
