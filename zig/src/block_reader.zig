//! Reading the content of a block that block_builder.zig wrote:
//!
//!     entry …  | restart u32 … | restart count u32
//!     entry = shared varint | rest varint | value bytes varint | rest of the key | trailer u64 | value
//!
//! `shared` bytes of the user key are those of the entry before; at a restart point it is zero. Restart points
//! ascend from 0, and at most `restart_interval` entries stand between two. All integers are little-endian, a
//! varint has at most five bytes.
//!
//! Nothing here trusts the bytes: lengths are compared with what remains, keys stay within `key_bytes_max`, every
//! step moves on. A block that does not hold is `error.Damaged`. One iterator per thread; slices point into the
//! block, keys into the iterator, until its next move.

const std = @import("std");
const abi = @import("abi.zig");
const internal_key = @import("internal_key.zig");
const block_builder = @import("block_builder.zig");
const restart_bytes = block_builder.restart_bytes;
const restart_interval = block_builder.restart_interval;

pub const Error = error{ Damaged, OutOfMemory };
pub const entry_bytes_min = 3 + internal_key.trailer_bytes;

/// The parts of a block, checked as far as its restart points go.
pub const Block = struct {
    entries: []const u8,
    restarts: []align(1) const u32,

    pub const empty: Block = .{ .entries = &.{}, .restarts = &.{} };

    pub fn parse(content: []const u8) error{Damaged}!Block {
        if (content.len < 4) return error.Damaged;
        const count = std.mem.readInt(u32, content[content.len - 4 ..][0..4], .little);
        if (count == 0 or count > (content.len - 4) / 4) return error.Damaged;
        const entries_end = content.len - 4 - 4 * @as(usize, count);
        const restarts: []align(1) const u32 = @ptrCast(content[entries_end .. content.len - 4]);
        if (restarts[0] != 0) return error.Damaged;
        var before: u64 = 0;
        for (restarts[1..]) |stored| {
            const restart = std.mem.littleToNative(u32, stored);
            if (restart < before + entry_bytes_min) return error.Damaged;
            before = restart;
        }
        if (entries_end < entry_bytes_min or before > entries_end - entry_bytes_min) return error.Damaged;
        return .{ .entries = content[0..entries_end], .restarts = restarts };
    }

    /// For content that `parse` has accepted before.
    pub fn parsed(content: []const u8) Block {
        const count = std.mem.readInt(u32, content[content.len - 4 ..][0..4], .little);
        const entries_end = content.len - 4 - 4 * @as(usize, count);
        return .{ .entries = content[0..entries_end], .restarts = @ptrCast(content[entries_end .. content.len - 4]) };
    }

    pub const Found = struct { trailer: u64, value: []const u8 };

    /// The first entry >= (key, trailer), if it has that very user key. Builds no keys: of each entry it is enough to know
    /// how much of the wanted key it matches.
    pub fn find(self: *const Block, key: []const u8, trailer: u64) error{Damaged}!?Found {
        const interval = try self.restartBefore(key, trailer);
        var position: usize = self.restartAt(interval);
        self.prefetch(position, self.intervalEnd(interval));
        // Leading bytes of `key` that the entry before has too; that entry is smaller.
        var matched: usize = 0;
        while (position < self.entries.len) {
            const raw = try decode(self.entries, position);
            position = raw.end;
            // Still differs where the one before did: smaller, as that was.
            if (raw.shared > matched) continue;
            if (raw.shared < matched) {
                // Left the common part behind: greater. Unless it is the next restart point, which shares nothing.
                if (raw.shared != 0) return null;
                matched = 0;
            }
            const wanted = key[matched..];
            const more = internal_key.sharedBytes(raw.rest, wanted);
            if (more == wanted.len) {
                if (raw.rest.len > more) return null;
                if (raw.trailer <= trailer) return .{ .trailer = raw.trailer, .value = raw.value };
            } else if (more < raw.rest.len and raw.rest[more] > wanted[more]) return null;
            matched += more;
        }
        return null;
    }

    /// The last restart point whose entry is < (key, trailer); the first if none is.
    fn restartBefore(self: *const Block, key: []const u8, trailer: u64) error{Damaged}!usize {
        var low: usize = 0;
        var high: usize = self.restarts.len;
        // A few at once cost one wait for memory instead of one each.
        if (high <= 8) for (0..high) |index| @prefetch(self.entries.ptr + self.restartAt(index), .{});
        while (high - low > 1) {
            const middle = low + (high - low) / 2;
            const raw = try decode(self.entries, self.restartAt(middle));
            if (raw.shared != 0) return error.Damaged;
            if (internal_key.compare(raw.rest, raw.trailer, key, trailer) == .lt) low = middle else high = middle;
        }
        return low;
    }

    /// Asks for the bytes of an interval, as far as it is of the usual size.
    inline fn prefetch(self: *const Block, start: usize, end: usize) void {
        var at = start + 64;
        while (at < @min(end, start + restart_bytes)) : (at += 64) @prefetch(self.entries.ptr + at, .{});
    }

    inline fn restartAt(self: *const Block, index: usize) u32 {
        return std.mem.littleToNative(u32, self.restarts[index]);
    }

    fn intervalEnd(self: *const Block, index: usize) usize {
        return if (index + 1 < self.restarts.len) self.restartAt(index + 1) else self.entries.len;
    }
};

const Raw = struct { shared: u32, rest: []const u8, trailer: u64, value: []const u8, end: usize };

inline fn decode(entries: []const u8, at: usize) error{Damaged}!Raw {
    const left = entries.len - at;
    if (left < entry_bytes_min) return error.Damaged;
    var shared: u32 = entries[at];
    var rest_bytes: u32 = entries[at + 1];
    var value_bytes: u32 = entries[at + 2];
    var position = at + 3;
    if ((shared | rest_bytes | value_bytes) & 0x80 != 0) {
        position = at;
        shared = try varint(entries, &position);
        rest_bytes = try varint(entries, &position);
        value_bytes = try varint(entries, &position);
    }
    const need = @as(u64, rest_bytes) + internal_key.trailer_bytes + value_bytes;
    if (need > entries.len - position) return error.Damaged;
    const trailer_at = position + rest_bytes;
    const value_at = trailer_at + internal_key.trailer_bytes;
    return .{
        .shared = shared,
        .rest = entries[position..trailer_at],
        .trailer = std.mem.readInt(u64, entries[trailer_at..][0..8], .little),
        .value = entries[value_at..][0..value_bytes],
        .end = value_at + value_bytes,
    };
}

pub fn varint(bytes: []const u8, position: *usize) error{Damaged}!u32 {
    var value: u64 = 0;
    for (0..5) |i| {
        if (position.* >= bytes.len) return error.Damaged;
        const byte = bytes[position.*];
        position.* += 1;
        value |= @as(u64, byte & 0x7f) << @intCast(7 * i);
        if (byte < 0x80) return std.math.cast(u32, value) orelse error.Damaged;
    }
    return error.Damaged;
}

/// Moves forward over a block, or (after `seekBefore` and `seekLast` only) backward. Which entry it stands on is in
/// `key`, `trailer`, `value` while `valid`.
pub const Iterator = struct {
    gpa: std.mem.Allocator,
    block: Block = .empty,
    valid: bool = false,
    key: []const u8 = &.{},
    trailer: u64 = 0,
    value: []const u8 = &.{},
    /// Where the next entry starts (forward).
    position: usize = 0,
    buffer: std.ArrayList(u8) = .empty,
    /// The decoded interval that a backward walk is in.
    saved: [restart_interval]Saved = undefined,
    saved_index: usize = 0,
    interval: usize = 0,

    const Saved = struct { key_start: usize, key_bytes: usize, trailer: u64, value: []const u8 };

    pub fn deinit(self: *Iterator) void {
        self.buffer.deinit(self.gpa);
        self.* = undefined;
    }

    pub fn attach(self: *Iterator, block: Block) void {
        self.block = block;
        self.valid = false;
        self.position = 0;
    }

    pub fn seekFirst(self: *Iterator) Error!void {
        self.startAt(0);
        try self.next();
    }

    /// The first entry >= (key, trailer); none: not `valid`.
    pub fn seek(self: *Iterator, key: []const u8, trailer: u64) Error!void {
        self.startAt(self.block.restartAt(try self.block.restartBefore(key, trailer)));
        while (true) {
            try self.next();
            if (!self.valid or internal_key.compare(self.key, self.trailer, key, trailer) != .lt) return;
        }
    }

    /// Not `valid` at the end. REQUIRES: a forward seek before.
    pub inline fn next(self: *Iterator) Error!void {
        if (self.position >= self.block.entries.len) {
            self.valid = false;
            return;
        }
        self.valid = false;
        const raw = try decode(self.block.entries, self.position);
        if (raw.shared == 0) {
            if (raw.rest.len > abi.key_bytes_max) return error.Damaged;
            self.key = raw.rest;
        } else {
            self.key = try self.join(raw);
        }
        self.trailer = raw.trailer;
        self.value = raw.value;
        self.position = raw.end;
        self.valid = true;
    }

    pub fn seekLast(self: *Iterator) Error!void {
        const last = self.block.restarts.len - 1;
        self.saved_index = try self.loadInterval(last);
        try self.previous();
    }

    /// The last entry < (key, trailer); none: not `valid`.
    pub fn seekBefore(self: *Iterator, key: []const u8, trailer: u64) Error!void {
        const count = try self.loadInterval(try self.block.restartBefore(key, trailer));
        self.saved_index = count;
        while (self.saved_index > 0) {
            try self.previous();
            if (!self.valid or internal_key.compare(self.key, self.trailer, key, trailer) == .lt) return;
        }
        self.valid = false;
    }

    /// Not `valid` at the front. REQUIRES: a backward seek before.
    pub fn previous(self: *Iterator) Error!void {
        self.valid = false;
        if (self.saved_index == 0) {
            if (self.interval == 0) return;
            self.saved_index = try self.loadInterval(self.interval - 1);
        }
        self.saved_index -= 1;
        const saved = &self.saved[self.saved_index];
        self.key = self.buffer.items[saved.key_start..][0..saved.key_bytes];
        self.trailer = saved.trailer;
        self.value = saved.value;
        self.valid = true;
    }

    fn startAt(self: *Iterator, position: usize) void {
        self.position = position;
        self.key = &.{};
        self.valid = false;
    }

    /// The key of an entry that shares bytes with the one before it, in `buffer`.
    inline fn join(self: *Iterator, raw: Raw) Error![]const u8 {
        const shared: usize = raw.shared;
        if (shared > self.key.len or shared + raw.rest.len > abi.key_bytes_max) return error.Damaged;
        const bytes = shared + raw.rest.len;
        if (self.buffer.capacity < bytes) {
            @branchHint(.unlikely);
            var larger: std.ArrayList(u8) = try .initCapacity(self.gpa, @min(abi.key_bytes_max, 2 * bytes + 64));
            @memcpy(larger.allocatedSlice()[0..shared], self.key[0..shared]);
            self.buffer.deinit(self.gpa);
            self.buffer = larger;
        } else if (self.key.ptr != self.buffer.allocatedSlice().ptr) {
            copySmall(self.buffer.allocatedSlice()[0..shared], self.key[0..shared]);
        }
        const target = self.buffer.allocatedSlice();
        copySmall(target[shared..bytes], raw.rest);
        return target[0..bytes];
    }

    /// Decodes one interval, its keys into `buffer`; returns its entry count (at least one).
    fn loadInterval(self: *Iterator, interval: usize) Error!usize {
        self.buffer.clearRetainingCapacity();
        const end = self.block.intervalEnd(interval);
        var position: usize = self.block.restartAt(interval);
        var before: []const u8 = &.{};
        var count: usize = 0;
        while (position < end) {
            const raw = try decode(self.block.entries[0..end], position);
            const bytes = raw.shared + raw.rest.len;
            if (raw.shared > before.len or bytes > abi.key_bytes_max or count == restart_interval) return error.Damaged;
            const start = self.buffer.items.len;
            // `before` may lie in the buffer, which may move.
            try self.buffer.ensureUnusedCapacity(self.gpa, bytes);
            if (count > 0) before = self.buffer.items[self.saved[count - 1].key_start..];
            self.buffer.appendSliceAssumeCapacity(before[0..raw.shared]);
            self.buffer.appendSliceAssumeCapacity(raw.rest);
            before = self.buffer.items[start..];
            self.saved[count] = .{ .key_start = start, .key_bytes = bytes, .trailer = raw.trailer, .value = raw.value };
            count += 1;
            position = raw.end;
        }
        self.interval = interval;
        return count;
    }
};

/// Short copies without a call.
inline fn copySmall(target: []u8, source: []const u8) void {
    if (source.len <= 16) {
        for (target, source) |*to, from| to.* = from;
    } else @memcpy(target, source);
}
