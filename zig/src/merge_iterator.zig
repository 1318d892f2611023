//! One ordered stream out of many: memtables and levels of tables, forward or backward, in internal-key order.
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
        const source = self.heap[0];
        const there = source.advance(direction, access, failure) catch |e| {
            self.heap_count = 0;
            return e;
        };
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
