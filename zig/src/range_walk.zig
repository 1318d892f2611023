//! Visible rows of a range out of a merged stream of versions: of each user key the newest version that the
//! sequence number may see, unless that is a delete. Keeps its place from page to page. One thread at a time.
//!
//! When the stream fails, whatever was settled stays settled: the next walk seeks behind the last settled key.

const std = @import("std");
const abi = @import("abi.zig");
const fault = @import("fault.zig");
const internal_key = @import("internal_key.zig");
const merge_iterator = @import("merge_iterator.zig");
const Access = @import("table_reader.zig").Access;
const Fault = fault.Fault;
const RowPage = @import("row_page.zig").RowPage;

const put = @intFromEnum(abi.EntryType.put);
const delete = @intFromEnum(abi.EntryType.delete);
const before_all_versions = std.math.maxInt(u64);
const behind_all_versions = 0;

pub const RangeWalk = struct {
    gpa: std.mem.Allocator,
    merge: merge_iterator.MergeIterator,
    sequence: u64,
    lower: []const u8,
    upper: ?[]const u8,
    reverse: bool,
    keys_only: bool,

    /// `lost`: the stream stands nowhere, or not where the walk goes on.
    state: enum { lost, standing, finished } = .lost,
    /// The last user key that was yielded or found deleted; valid with `has_settled`.
    settled: std.ArrayList(u8) = .empty,
    has_settled: bool = false,

    pub fn deinit(self: *RangeWalk) void {
        self.merge.deinit(self.gpa);
        self.settled.deinit(self.gpa);
    }

    /// Adds rows to the page until it is full or the range ends (`state` is `finished`). An error only if the page has
    /// got no row; the walk can go on after it.
    pub fn fill(self: *RangeWalk, page: *RowPage, access: Access, failure: *Fault) fault.Error!void {
        if (self.state == .finished) return;
        const walked = if (self.reverse) self.walkBackward(page, access, failure) else self.walkForward(page, access, failure);
        walked catch |e| {
            self.state = .lost;
            if (page.count == 0) return e;
        };
        if (self.state != .standing) self.merge.letGo();
    }

    fn walkForward(self: *RangeWalk, page: *RowPage, access: Access, failure: *Fault) fault.Error!void {
        var settled: ?[]const u8 = if (self.has_settled) self.settled.items else null;
        defer self.keep(settled);
        if (self.state == .lost) {
            const target: ?merge_iterator.Target = if (settled) |key|
                .{ .key = key, .trailer = behind_all_versions }
            else if (self.lower.len > 0) .{ .key = self.lower, .trailer = before_all_versions } else null;
            try self.merge.seek(.forward, target, access, failure);
            self.state = .standing;
        }
        while (true) {
            const top = self.merge.top() orelse return self.end();
            if (self.upper) |upper| if (internal_key.compareKeys(top.key, upper) != .lt) return self.end();
            if (page.isFull()) return;
            const is_visible = internal_key.sequenceOf(top.trailer) <= self.sequence;
            if (is_visible and (settled == null or !internal_key.equalKeys(settled.?, top.key))) {
                switch (internal_key.typeOf(top.trailer)) {
                    put => {
                        try self.makeRoom(top.key, failure);
                        if (!try page.stage(top.key, if (self.keys_only) &.{} else top.value, failure)) return;
                        settled = page.commit();
                    },
                    delete => {
                        try self.makeRoom(top.key, failure);
                        self.settled.clearRetainingCapacity();
                        self.settled.appendSliceAssumeCapacity(top.key);
                        settled = self.settled.items;
                    },
                    else => return failure.fail(.unsupported),
                }
            }
            try self.merge.advance(.forward, access, failure);
        }
    }

    /// Versions come oldest first: a row is staged, replaced by newer ones, and settled when the next key shows up.
    fn walkBackward(self: *RangeWalk, page: *RowPage, access: Access, failure: *Fault) fault.Error!void {
        var settled: ?[]const u8 = if (self.has_settled) self.settled.items else null;
        defer self.keep(settled);
        if (self.state == .lost) {
            const from = settled orelse self.upper;
            const target: ?merge_iterator.Target = if (from) |key| .{ .key = key, .trailer = before_all_versions } else null;
            try self.merge.seek(.backward, target, access, failure);
            self.state = .standing;
        }
        var staged_type: ?u8 = null;
        while (true) {
            const top = self.merge.top();
            if (staged_type) |staged| {
                const is_same = if (top) |entry| internal_key.equalKeys(entry.key, page.stagedKey()) else false;
                if (!is_same) {
                    switch (staged) {
                        put => settled = page.commit(),
                        delete => {
                            self.settled.clearRetainingCapacity();
                            self.settled.appendSliceAssumeCapacity(page.stagedKey());
                            settled = self.settled.items;
                        },
                        else => return failure.fail(.unsupported),
                    }
                    staged_type = null;
                }
            }
            const entry = top orelse return self.end();
            if (internal_key.compareKeys(entry.key, self.lower) == .lt) return self.end();
            if (staged_type == null and page.isFull()) return;
            if (internal_key.sequenceOf(entry.trailer) <= self.sequence) {
                const entry_type = internal_key.typeOf(entry.trailer);
                try self.makeRoom(entry.key, failure);
                const value: []const u8 = if (self.keys_only or entry_type != put) &.{} else entry.value;
                if (!try page.stage(entry.key, value, failure)) {
                    // Older versions of the key are behind us: the next walk must come back to them.
                    if (staged_type != null) self.state = .lost;
                    return;
                }
                staged_type = entry_type;
            }
            try self.merge.advance(.backward, access, failure);
        }
    }

    fn end(self: *RangeWalk) void {
        self.state = .finished;
    }

    /// So that a key that is settled can be kept, come what may.
    inline fn makeRoom(self: *RangeWalk, key: []const u8, failure: *Fault) fault.Error!void {
        if (key.len <= self.settled.capacity) return;
        // Not grown in place: `settled` may still be read.
        const bytes = @min(abi.key_bytes_max, 2 * key.len + 64);
        self.settled.ensureTotalCapacityPrecise(self.gpa, bytes) catch return failure.fail(.no_memory);
    }

    fn keep(self: *RangeWalk, settled: ?[]const u8) void {
        const key = settled orelse return;
        self.has_settled = true;
        if (key.ptr == self.settled.items.ptr) return;
        self.settled.clearRetainingCapacity();
        self.settled.appendSliceAssumeCapacity(key);
    }
};
