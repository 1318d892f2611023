//! Visible rows of a range out of a merged stream of versions: what docs/tree.md says that a reader at a sequence number
//! and a time sees of each user key. Keeps its place from page to page. One thread at a time.
//!
//! When the stream fails, whatever was settled stays settled: the next walk seeks behind the last settled key and
//! begins the key that it was in anew, its merge operands too. So does a row that does not fit on a page once it
//! took more than one entry to make.

const std = @import("std");
const abi = @import("abi.zig");
const entry_meaning = @import("entry_meaning.zig");
const fault = @import("fault.zig");
const internal_key = @import("internal_key.zig");
const merge_iterator = @import("merge_iterator.zig");
const Access = @import("table_reader.zig").Access;
const Fault = fault.Fault;
const BlobValue = @import("blob_value.zig").BlobValue;
const Meaning = entry_meaning.Meaning;
const MergeChain = @import("merge_chain.zig").MergeChain;
const RangeCover = @import("range_cover.zig").RangeCover;
const RowPage = @import("row_page.zig").RowPage;

const put = @intFromEnum(abi.EntryType.put);
const delete = @intFromEnum(abi.EntryType.delete);
const before_all_versions = std.math.maxInt(u64);
const behind_all_versions = 0;
/// After so many covered entries in a row it is worth a seek to get past the rest.
const covered_steps_max = 16;

pub const RangeWalk = struct {
    gpa: std.mem.Allocator,
    merge: merge_iterator.MergeIterator,
    covers: RangeCover,
    chain: MergeChain,
    sequence: u64,
    /// Milliseconds since 1970.
    now: f64,
    lower: []const u8,
    upper: ?[]const u8,
    reverse: bool,
    keys_only: bool,
    /// Reads large values. Without it an address is a failure.
    blobs: ?BlobValue = null,

    /// `lost`: the stream stands nowhere, or not where the walk goes on.
    state: enum { lost, standing, finished } = .lost,
    /// The last user key that was yielded or found deleted; valid with `has_settled`.
    settled: std.ArrayList(u8) = .empty,
    has_settled: bool = false,
    covered_steps: u32 = 0,

    pub fn deinit(self: *RangeWalk) void {
        self.merge.deinit(self.gpa);
        self.covers.deinit();
        self.chain.deinit();
        self.settled.deinit(self.gpa);
        if (self.blobs) |*blobs| blobs.deinit();
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
            try self.start(.forward, target, access, failure);
        }
        while (true) {
            const top = self.merge.top() orelse return self.end();
            if (self.upper) |upper| if (internal_key.compareKeys(top.key, upper) != .lt) return self.end();
            if (page.isFull()) return;
            const is_visible = internal_key.sequenceOf(top.trailer) <= self.sequence;
            if (is_visible and (settled == null or !internal_key.equalKeys(settled.?, top.key))) {
                if (!self.covers.isEmpty() and self.isCovered(.forward, top)) {
                    try self.passCovered(.forward, access, failure);
                    continue;
                }
                const value = switch (internal_key.typeOf(top.trailer)) {
                    put => top.value,
                    delete => null,
                    else => switch (try self.meaningOf(top, failure)) {
                        .value => |value| value,
                        .nothing => null,
                        .blob => |address| try self.blobValue(address, access, failure),
                        .operand => {
                            if (!try self.foldForward(page, &settled, access, failure)) {
                                self.state = .lost;
                                return;
                            }
                            continue;
                        },
                    },
                };
                try self.makeRoom(&settled, top.key, failure);
                if (value) |bytes| {
                    if (!try page.stage(top.key, if (self.keys_only) &.{} else bytes, failure)) return;
                    settled = page.commit();
                } else settled = self.settle(top.key);
            }
            try self.merge.advance(.forward, access, failure);
        }
    }

    /// Makes a row of the chain that begins on top, and leaves the stream behind its operands. False: the row does not fit.
    fn foldForward(self: *RangeWalk, page: *RowPage, settled: *?[]const u8, access: Access, failure: *Fault) fault.Error!bool {
        const chain = &self.chain;
        try chain.begin(self.merge.top().?.key, failure);
        while (chain.isWanted()) {
            const top = self.merge.top() orelse break;
            if (!internal_key.equalKeys(chain.key.items, top.key)) break;
            if (!self.covers.isEmpty() and self.isCovered(.forward, top)) break;
            switch (try self.meaningOf(top, failure)) {
                .operand => |operand| try chain.addOperand(operand, failure),
                .value => |value| break try chain.addBase(value, failure),
                .blob => |address| break try chain.addBase(try self.blobValue(address, access, failure), failure),
                .nothing => break,
            }
            try self.merge.advance(.forward, access, failure);
        }
        const row = try chain.finish(failure);
        try self.makeRoom(settled, chain.key.items, failure);
        if (!try page.stage(chain.key.items, row.value, failure)) return false;
        settled.* = page.commit();
        if (row.is_stack) page.markStack();
        return true;
    }

    /// What the versions of a key, oldest first, have come to so far. The key is staged.
    const Pending = enum {
        none,
        /// The value is staged with it.
        row,
        deleted,
        /// Its address is staged with it.
        blob,
        /// The operands, and what they stand on, are in `chain`.
        chain,
    };

    /// Versions come oldest first: a row is staged, replaced by newer ones, and settled when the next key shows up.
    fn walkBackward(self: *RangeWalk, page: *RowPage, access: Access, failure: *Fault) fault.Error!void {
        var settled: ?[]const u8 = if (self.has_settled) self.settled.items else null;
        defer self.keep(settled);
        if (self.state == .lost) {
            const from = settled orelse self.upper;
            const target: ?merge_iterator.Target = if (from) |key| .{ .key = key, .trailer = before_all_versions } else null;
            try self.start(.backward, target, access, failure);
        }
        var pending: Pending = .none;
        while (true) {
            const top = self.merge.top();
            if (pending != .none) {
                const is_same = if (top) |entry| internal_key.equalKeys(entry.key, page.stagedKey()) else false;
                if (!is_same) {
                    switch (pending) {
                        .row => settled = page.commit(),
                        .deleted => settled = self.settle(page.stagedKey()),
                        else => if (!try self.finishBackward(pending, page, &settled, access, failure)) {
                            self.state = .lost;
                            return;
                        },
                    }
                    pending = .none;
                }
            }
            const entry = top orelse return self.end();
            if (internal_key.compareKeys(entry.key, self.lower) == .lt) return self.end();
            if (pending == .none and page.isFull()) return;
            if (internal_key.sequenceOf(entry.trailer) <= self.sequence) {
                if (!self.covers.isEmpty() and self.isCovered(.backward, entry)) {
                    try self.passCovered(.backward, access, failure);
                    continue;
                }
                try self.makeRoom(&settled, entry.key, failure);
                const next: Pending, const value: []const u8 = switch (internal_key.typeOf(entry.trailer)) {
                    put => .{ .row, entry.value },
                    delete => .{ .deleted, &.{} },
                    else => switch (try self.meaningOf(entry, failure)) {
                        .value => |value| .{ .row, value },
                        .nothing => .{ .deleted, &.{} },
                        .blob => |address| .{ .blob, address },
                        .operand => |operand| chained: {
                            if (pending != .chain) try self.beginBackward(pending, entry.key, page, access, failure);
                            try self.chain.addOperand(operand, failure);
                            break :chained .{ .chain, &.{} };
                        },
                    },
                };
                if (!try page.stage(entry.key, if (self.keys_only) &.{} else value, failure)) {
                    // Older versions of the key are behind us: the next walk must come back to them.
                    if (pending != .none) self.state = .lost;
                    return;
                }
                pending = next;
            }
            try self.merge.advance(.backward, access, failure);
        }
    }

    /// A chain on what is staged, if that is of the same key.
    fn beginBackward(self: *RangeWalk, pending: Pending, key: []const u8, page: *const RowPage, access: Access, failure: *Fault) fault.Error!void {
        try self.chain.begin(key, failure);
        if (!self.chain.isWanted()) return;
        switch (pending) {
            .none, .deleted => {},
            .row => try self.chain.addBase(page.stagedValue(), failure),
            .blob => try self.chain.addBase(try self.stagedBlob(page, access, failure), failure),
            .chain => unreachable,
        }
    }

    /// Commits what took more than its newest entry. False: it does not fit.
    fn finishBackward(self: *RangeWalk, pending: Pending, page: *RowPage, settled: *?[]const u8, access: Access, failure: *Fault) fault.Error!bool {
        var is_stack = false;
        if (pending == .chain) {
            const row = try self.chain.finish(failure);
            if (!try page.stageValue(row.value, failure)) return false;
            is_stack = row.is_stack;
        } else if (!self.keys_only) {
            if (!try page.stageValue(try self.stagedBlob(page, access, failure), failure)) return false;
        }
        settled.* = page.commit();
        if (is_stack) page.markStack();
        return true;
    }

    fn stagedBlob(self: *RangeWalk, page: *const RowPage, access: Access, failure: *Fault) fault.Error![]const u8 {
        return self.blobValue(page.stagedValue()[0..entry_meaning.address_bytes], access, failure);
    }

    /// The bytes that an address stands for, good until the next call; none where only keys are wanted.
    fn blobValue(self: *RangeWalk, address: *const [entry_meaning.address_bytes]u8, access: Access, failure: *Fault) fault.Error![]const u8 {
        if (self.keys_only) return &.{};
        const blobs = if (self.blobs) |*blobs| blobs else return failure.fail(.closed);
        return blobs.read(address, access, failure);
    }

    inline fn meaningOf(self: *const RangeWalk, source: *const merge_iterator.Source, failure: *Fault) fault.Error!Meaning {
        return Meaning.of(source.trailer, source.value, self.now) catch |e| switch (e) {
            error.Damaged => source.damaged(failure),
            error.Unsupported => failure.fail(.unsupported),
        };
    }

    fn start(self: *RangeWalk, comptime direction: merge_iterator.Direction, target: ?merge_iterator.Target, access: Access, failure: *Fault) fault.Error!void {
        try self.merge.seek(direction, target, access, failure);
        self.covers.reset();
        self.covered_steps = 0;
        self.state = .standing;
    }

    fn end(self: *RangeWalk) void {
        self.state = .finished;
    }

    // -----------------------------------------------------------------------------------------------------------

    inline fn isCovered(self: *RangeWalk, comptime direction: merge_iterator.Direction, source: *const merge_iterator.Source) bool {
        if (internal_key.sequenceOf(source.trailer) < self.covers.numberAt(direction, source.key)) return true;
        self.covered_steps = 0;
        return false;
    }

    /// Past the covered entry on top. Where nothing in its memtable or table is newer than the tombstones over the keys that
    /// follow, nothing of it can show there: the source goes straight to where they end.
    fn passCovered(self: *RangeWalk, comptime direction: merge_iterator.Direction, access: Access, failure: *Fault) fault.Error!void {
        self.covered_steps += 1;
        if (self.covered_steps > covered_steps_max) {
            const floor = self.merge.topSequenceMax();
            if (floor < self.covers.current.number) {
                self.covered_steps = 0;
                const covered_end: ?[]const u8 = switch (direction) {
                    .forward => self.covers.endAbove(floor),
                    .backward => self.covers.endBelow(floor),
                };
                return self.merge.jump(direction, covered_end, floor, access, failure);
            }
        }
        return self.merge.advance(direction, access, failure);
    }

    /// Ends a key without a row. REQUIRES: there is room for it.
    inline fn settle(self: *RangeWalk, key: []const u8) []const u8 {
        self.settled.clearRetainingCapacity();
        self.settled.appendSliceAssumeCapacity(key);
        return self.settled.items;
    }

    /// So that a key that is settled can be kept, come what may.
    inline fn makeRoom(self: *RangeWalk, settled: *?[]const u8, key: []const u8, failure: *Fault) fault.Error!void {
        if (key.len > self.settled.capacity) try self.grow(settled, key, failure);
    }

    fn grow(self: *RangeWalk, settled: *?[]const u8, key: []const u8, failure: *Fault) fault.Error!void {
        const is_own = if (settled.*) |before| before.ptr == self.settled.items.ptr else false;
        const bytes = @min(abi.key_bytes_max, 2 * key.len + 64);
        self.settled.ensureTotalCapacityPrecise(self.gpa, bytes) catch return failure.fail(.no_memory);
        if (is_own) settled.* = self.settled.items;
    }

    fn keep(self: *RangeWalk, settled: ?[]const u8) void {
        const key = settled orelse return;
        self.has_settled = true;
        if (key.ptr == self.settled.items.ptr) return;
        self.settled.clearRetainingCapacity();
        self.settled.appendSliceAssumeCapacity(key);
    }
};
