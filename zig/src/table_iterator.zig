//! Walks the tables of one level in internal-key order, forward or backward. A table of level 0 is a level of one;
//! a deeper level's tables are sorted and disjoint. It holds one block at a time. One thread at a time; the
//! tables must outlive it. After an error it stands nowhere: seek again.

const std = @import("std");
const block_cache = @import("block_cache.zig");
const block_reader = @import("block_reader.zig");
const fault = @import("fault.zig");
const readahead = @import("readahead.zig");
const table_reader = @import("table_reader.zig");
const Access = table_reader.Access;
const Fault = fault.Fault;
const Table = table_reader.Table;

pub const Iterator = struct {
    tables: []const *Table,
    rows: block_reader.Iterator,
    held: ?*block_cache.Block = null,
    table_index: usize = 0,
    block_index: usize = 0,
    ahead: readahead.Readahead = .{},
    /// Of blocks that `Access.compaction` read, as they lie in the files.
    bytes_read: u64 = 0,

    pub fn init(gpa: std.mem.Allocator, tables: []const *Table) Iterator {
        return .{ .tables = tables, .rows = .{ .gpa = gpa } };
    }

    pub fn deinit(self: *Iterator) void {
        self.letGo();
        self.ahead.deinit();
        self.rows.deinit();
    }

    /// Where it stands, and is `rows.valid`: key, trailer and value are in `rows`.
    pub fn seek(self: *Iterator, key: []const u8, trailer: u64, access: Access, failure: *Fault) fault.Error!void {
        self.letGo();
        self.table_index = tableFor(self.tables, key);
        if (self.table_index == self.tables.len) return;
        self.block_index = self.tables[self.table_index].blockFor(key, trailer);
        if (try self.hold(.forward, access, failure)) {
            self.rows.seek(key, trailer) catch |e| return self.damaged(e, failure);
            // Not in this block: then the next one begins behind the target.
            if (!self.rows.valid) self.block_index += 1;
        }
        try self.skipForward(access, failure);
    }

    pub fn seekFirst(self: *Iterator, access: Access, failure: *Fault) fault.Error!void {
        self.letGo();
        self.table_index = 0;
        self.block_index = 0;
        try self.skipForward(access, failure);
    }

    /// The last entry < (key, trailer).
    pub fn seekBefore(self: *Iterator, key: []const u8, trailer: u64, access: Access, failure: *Fault) fault.Error!void {
        self.letGo();
        self.table_index = tableFor(self.tables, key);
        if (self.table_index == self.tables.len) return self.seekLast(access, failure);
        self.block_index = self.tables[self.table_index].blockFor(key, trailer);
        if (try self.hold(.backward, access, failure)) {
            self.rows.seekBefore(key, trailer) catch |e| return self.damaged(e, failure);
        }
        try self.skipBackward(access, failure);
    }

    pub fn seekLast(self: *Iterator, access: Access, failure: *Fault) fault.Error!void {
        self.letGo();
        self.table_index = self.tables.len;
        self.block_index = 0;
        try self.skipBackward(access, failure);
    }

    /// REQUIRES: `rows.valid`, after a forward seek.
    pub inline fn next(self: *Iterator, access: Access, failure: *Fault) fault.Error!void {
        self.rows.next() catch |e| return self.damaged(e, failure);
        if (self.rows.valid) return;
        self.block_index += 1;
        try self.skipForward(access, failure);
    }

    /// REQUIRES: `rows.valid`, after a backward seek.
    pub inline fn previous(self: *Iterator, access: Access, failure: *Fault) fault.Error!void {
        self.rows.previous() catch |e| return self.damaged(e, failure);
        if (!self.rows.valid) try self.skipBackward(access, failure);
    }

    /// Forward to the first entry with a key >= `end` (null: behind all), or that of the first table on the way that has
    /// numbers above `floor`. REQUIRES: as `next`; the current table has none.
    pub fn jump(self: *Iterator, end: ?[]const u8, floor: u64, access: Access, failure: *Fault) fault.Error!void {
        const before = self.place(.forward);
        const last = if (end) |key| tableFor(self.tables, key) else self.tables.len;
        while (self.table_index < last and self.sequenceMax() <= floor) self.table_index += 1;
        if (self.table_index < self.tables.len and self.sequenceMax() <= floor) {
            try self.seek(end.?, std.math.maxInt(u64), access, failure);
        } else {
            self.letGo();
            self.block_index = 0;
            try self.skipForward(access, failure);
        }
        if (self.rows.valid and !before.isBelow(self.place(.forward))) return self.damaged(error.Damaged, failure);
    }

    /// Backward to the last entry with a key < `end`, or that of the first table on the way that has numbers above `floor`.
    /// REQUIRES: as `previous`; the current table has none.
    pub fn jumpBefore(self: *Iterator, end: []const u8, floor: u64, access: Access, failure: *Fault) fault.Error!void {
        const before = self.place(.backward);
        const last = tableFor(self.tables, end);
        while (self.table_index > last and self.sequenceMax() <= floor) self.table_index -= 1;
        if (self.sequenceMax() <= floor) {
            try self.seekBefore(end, std.math.maxInt(u64), access, failure);
        } else {
            self.letGo();
            self.block_index = self.tables[self.table_index].index.len;
            try self.skipBackward(access, failure);
        }
        if (self.rows.valid and !self.place(.backward).isBelow(before)) return self.damaged(error.Damaged, failure);
    }

    fn sequenceMax(self: *const Iterator) u64 {
        return self.tables[self.table_index].properties.largest_sequence;
    }

    /// Where an entry stands in the files. Keys may be anything in a damaged table; a walk that goes on by places ends.
    const Place = struct {
        table: usize,
        block: usize,
        /// Forward: where the entry ends. Backward: its interval, then the place in that.
        entry: [2]usize,

        fn isBelow(self: Place, other: Place) bool {
            if (self.table != other.table) return self.table < other.table;
            if (self.block != other.block) return self.block < other.block;
            if (self.entry[0] != other.entry[0]) return self.entry[0] < other.entry[0];
            return self.entry[1] < other.entry[1];
        }
    };

    /// REQUIRES: `rows.valid`.
    fn place(self: *const Iterator, comptime way: enum { forward, backward }) Place {
        return .{
            .table = self.table_index,
            .block = self.block_index,
            .entry = switch (way) {
                .forward => .{ self.rows.position, 0 },
                .backward => .{ self.rows.interval, self.rows.saved_index },
            },
        };
    }

    /// Goes on to the first entry from the place (table_index, block_index), unless it stands on one.
    fn skipForward(self: *Iterator, access: Access, failure: *Fault) fault.Error!void {
        while (!self.rows.valid) {
            if (self.table_index >= self.tables.len) return self.letGo();
            if (try self.hold(.forward, access, failure)) {
                self.rows.seekFirst() catch |e| return self.damaged(e, failure);
            } else {
                self.table_index += 1;
                self.block_index = 0;
            }
        }
    }

    /// Goes back to the last entry before the place, unless it stands on one.
    fn skipBackward(self: *Iterator, access: Access, failure: *Fault) fault.Error!void {
        while (!self.rows.valid) {
            if (self.block_index == 0) {
                if (self.table_index == 0) return self.letGo();
                self.table_index -= 1;
                self.block_index = self.tables[self.table_index].index.len;
                continue;
            }
            self.block_index -= 1;
            _ = try self.hold(.backward, access, failure);
            self.rows.seekLast() catch |e| return self.damaged(e, failure);
        }
    }

    /// Holds the block at the place. False: the table has no such block.
    fn hold(self: *Iterator, comptime direction: enum { forward, backward }, access: Access, failure: *Fault) fault.Error!bool {
        self.letGo();
        const table = self.tables[self.table_index];
        if (self.block_index >= table.index.len) return false;
        const block = switch (direction) {
            .forward => if (access == .compaction)
                try self.ahead.freshBlock(table, self.block_index, failure)
            else
                try self.ahead.block(table, .{ .table = self.table_index, .block = self.block_index }, access, failure),
            .backward => try table.block(self.block_index, access, failure),
        };
        self.held = block;
        if (access == .compaction) self.bytes_read += table.storedBytes(self.block_index);
        self.rows.attach(block_reader.Block.parsed(Table.contentOf(block)));
        return true;
    }

    pub fn letGo(self: *Iterator) void {
        self.rows.attach(.empty);
        if (self.held) |block| block.release();
        self.held = null;
    }

    fn damaged(self: *Iterator, e: block_reader.Error, failure: *Fault) fault.Error {
        const table = self.tables[self.table_index];
        self.letGo();
        return switch (e) {
            error.Damaged => failure.corrupt(table.file.number, table.blockOffset(self.block_index)),
            error.OutOfMemory => failure.fail(.no_memory),
        };
    }
};

/// The first table whose span does not end before `key`; the table count if there is none.
pub fn tableFor(tables: []const *Table, key: []const u8) usize {
    var low: usize = 0;
    var high = tables.len;
    while (low < high) {
        const middle = low + (high - low) / 2;
        const below = tables[middle].endsBefore(key);
        if (below) low = middle + 1 else high = middle;
    }
    return low;
}
