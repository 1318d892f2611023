//! Writes memtables as TypeScript does, for tests: entries chained by `older`, no point index. One thread.

const std = @import("std");
const abi = @import("../abi.zig");
const memtable_reader = @import("../memtable_reader.zig");
const region = @import("../region.zig");

pub const MemtableWriter = struct {
    id: region.Id,
    memtable: memtable_reader.Memtable,

    pub fn init(bytes: u64) !MemtableWriter {
        const id = try region.reserve(bytes);
        const header: *abi.MemtableHeader = @ptrCast(region.slice(id).?.ptr);
        header.tail_words = abi.memtable_header_words;
        header.capacity_words = @intCast(region.slice(id).?.len / 4);
        header.references = 1;
        return .{ .id = id, .memtable = memtable_reader.Memtable.open(id).? };
    }

    /// Gives back the store's reference.
    pub fn deinit(self: *MemtableWriter) void {
        _ = self.memtable.release();
    }

    pub fn put(self: *MemtableWriter, key: []const u8, sequence: u64, value: []const u8) void {
        self.add(.put, key, sequence, value);
    }

    pub fn delete(self: *MemtableWriter, key: []const u8, sequence: u64) void {
        self.add(.delete, key, sequence, "");
    }

    /// An empty upper bound: to the end.
    pub fn deleteRange(self: *MemtableWriter, lower: []const u8, upper: []const u8, sequence: u64) void {
        const header = self.memtable.header;
        const at = self.insert(.delete_range, lower, sequence, upper, header.newest_range);
        @atomicStore(u32, &header.newest_range, at, .release);
        _ = @atomicRmw(u32, &header.range_count, .Add, 1, .release);
    }

    /// A point entry.
    pub fn add(self: *MemtableWriter, entry_type: abi.EntryType, key: []const u8, sequence: u64, value: []const u8) void {
        _ = self.insert(entry_type, key, sequence, value, 0);
    }

    fn insert(self: *MemtableWriter, entry_type: abi.EntryType, key: []const u8, sequence: u64, value: []const u8, previous: u32) u32 {
        const header = self.memtable.header;
        const words: u32 = @intCast(memtable_reader.entry_header_words + (key.len + 3) / 4 + (value.len + 3) / 4);
        const at = @atomicRmw(u32, &header.tail_words, .Add, words, .monotonic);
        std.debug.assert(at + words <= header.capacity_words);
        const entry: *abi.MemtableEntry = @ptrCast(self.memtable.words + at);
        entry.* = .{
            .older = header.newest_entry,
            .previous = previous,
            .sequence_low = @truncate(sequence),
            .sequence_high_and_type = @intCast((sequence >> 32) | (@as(u64, @intFromEnum(entry_type)) << 24)),
            .key_bytes = @intCast(key.len),
            .value_bytes = @intCast(value.len),
        };
        const bytes: [*]u8 = @ptrCast(self.memtable.words + at + memtable_reader.entry_header_words);
        @memcpy(bytes[0..key.len], key);
        @memcpy((bytes + std.mem.alignForward(usize, key.len, 4))[0..value.len], value);
        header.last_sequence = @floatFromInt(sequence);
        _ = @atomicRmw(u32, &header.entry_count, .Add, 1, .monotonic);
        @atomicStore(u32, &header.newest_entry, at, .release);
        return at;
    }
};
