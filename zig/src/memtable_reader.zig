//! Reading a memtable that TypeScript writes (docs/architecture.md): checked access to its header and entries.
//!
//! REQUIRES: whatever is reachable from `newest_entry`, loaded with acquire, is whole and never changes; entries
//! are chained in the order in which they were allocated, so `older` always points to a smaller offset.
//! An entry that does not lie inside the region is refused, never followed. Any thread; no locks.

const std = @import("std");
const abi = @import("abi.zig");
const region = @import("region.zig");
const internal_key = @import("internal_key.zig");

pub const entry_header_words: u32 = @sizeOf(abi.MemtableEntry) / 4;

pub const Entry = struct {
    key: []const u8,
    value: []const u8,
    /// (sequence << 8) | type, as internal_key.zig has it.
    trailer: u64,
    /// Word offset of the entry inserted before this one; zero for the first.
    older: u32,
    /// Word offset of the version before this one of the same key, of a range tombstone: of the one before; zero: none.
    previous: u32,
};

pub const Memtable = struct {
    region: region.Id,
    header: *abi.MemtableHeader,
    words: [*]u32,
    /// Words that exist, whatever `capacity_words` says.
    word_count: u32,

    pub fn open(id: region.Id) ?Memtable {
        const bytes = region.slice(id) orelse return null;
        const header: *abi.MemtableHeader = @ptrCast(bytes.ptr);
        const words = @min(bytes.len / 4, @atomicLoad(u32, &header.capacity_words, .monotonic));
        if (words < abi.memtable_header_words) return null;
        return .{ .region = id, .header = header, .words = @ptrCast(bytes.ptr), .word_count = @intCast(words) };
    }

    pub fn newest(self: Memtable) u32 {
        return @atomicLoad(u32, &self.header.newest_entry, .acquire);
    }

    /// Of the newest entry, or of one that is newer than whoever asks may see.
    pub fn lastSequence(self: Memtable) u64 {
        const stored = @atomicLoad(u64, @as(*const u64, @ptrCast(&self.header.last_sequence)), .monotonic);
        const number: f64 = @bitCast(stored);
        const highest: f64 = @floatFromInt(internal_key.sequence_max);
        // Anything else is no number of ours: nothing is known.
        return if (number > 0 and number <= highest) @intFromFloat(number) else internal_key.sequence_max;
    }

    /// How many range tombstones there are, at least; then `newestRange` leads to all of them.
    pub inline fn rangeCount(self: Memtable) u32 {
        return @atomicLoad(u32, &self.header.range_count, .acquire);
    }

    pub fn newestRange(self: Memtable) u32 {
        return @atomicLoad(u32, &self.header.newest_range, .acquire);
    }

    /// Null where the entry does not lie inside the region: the memtable is not what it should be.
    pub inline fn entry(self: Memtable, offset: u32) ?Entry {
        if (offset < abi.memtable_header_words or self.word_count - entry_header_words < offset) return null;
        const header: *const abi.MemtableEntry = @ptrCast(self.words + offset);
        const key_bytes = header.key_bytes;
        const value_bytes = header.value_bytes;
        if (key_bytes > abi.key_bytes_max or value_bytes > abi.value_bytes_max + 64) return null;
        const key_at = offset + entry_header_words;
        const key_words = (key_bytes + 3) / 4;
        const value_words = (value_bytes + 3) / 4;
        if (self.word_count - key_at < key_words + value_words) return null;
        const key: [*]const u8 = @ptrCast(self.words + key_at);
        const value: [*]const u8 = @ptrCast(self.words + key_at + key_words);
        const high = header.sequence_high_and_type;
        const sequence = (@as(u64, high & 0xff_ffff) << 32) | header.sequence_low;
        return .{
            .key = key[0..key_bytes],
            .value = value[0..value_bytes],
            .trailer = internal_key.trailer(sequence, @truncate(high >> 24)),
            .older = header.older,
            .previous = header.previous,
        };
    }

    /// Asks the processor for an entry that will be wanted soon.
    pub inline fn prefetch(self: Memtable, offset: u32) void {
        @prefetch(self.words + offset, .{});
        @prefetch(self.words + offset + 16, .{});
        @prefetch(self.words + offset + 32, .{});
    }

    /// One more user of the region. False if nobody holds it any more: it may be somebody else's by now.
    pub fn retain(self: Memtable) bool {
        var count = @atomicLoad(u32, &self.header.references, .monotonic);
        while (count != 0) {
            count = @cmpxchgWeak(u32, &self.header.references, count, count + 1, .acquire, .monotonic) orelse return true;
        }
        return false;
    }

    /// Gives one reference back, and with the last one the region.
    pub fn release(self: Memtable) i32 {
        var count = @atomicLoad(u32, &self.header.references, .monotonic);
        while (true) {
            if (count == 0) return abi.Code.closed.int();
            count = @cmpxchgWeak(u32, &self.header.references, count, count - 1, .acq_rel, .monotonic) orelse break;
        }
        if (count == 1) _ = region.release(self.region);
        return 0;
    }
};
