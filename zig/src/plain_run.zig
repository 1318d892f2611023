//! A run of plain entries (put, delete, merge) of one family, on its way into the family's active memtable by one call. It is looked
//! through first: what is refused is refused whole.

const std = @import("std");
const abi = @import("abi.zig");
const memtable_writer = @import("memtable_writer.zig");
const Item = memtable_writer.Item;
const Memtable = @import("memtable_reader.zig").Memtable;
const Writer = memtable_writer.Writer;

const run_header_words = @sizeOf(abi.LogRun) / 4;
const entry_words = memtable_writer.log_entry_words;
/// So many keys are hashed, and their slots asked for, before the first of them is inserted.
const ahead = 16;

pub const PlainRun = struct {
    words: []const u32,
    entry_count: u32,
    writer: Writer,
    puts: u32 = 0,
    deletes: u32 = 0,
    merges: u32 = 0,

    /// Null where the run is not for this memtable, or not by this way. REQUIRES: nobody else inserts.
    pub fn check(words: []const u32, entry_count: u32, memtable: Memtable) ?PlainRun {
        const header = memtable.header;
        if (header.is_active != 1) return null;
        var self: PlainRun = .{ .words = words, .entry_count = entry_count, .writer = .{ .memtable = memtable } };
        var needed: u64 = 0;
        var at: u64 = run_header_words;
        for (0..entry_count) |_| {
            if (at + entry_words > words.len) return null;
            const entry: *const abi.LogEntry = @ptrCast(words.ptr + at);
            if (entry.family != header.family) return null;
            switch (entry.type_and_key_bytes & 0xff) {
                @intFromEnum(abi.EntryType.put) => self.puts += 1,
                @intFromEnum(abi.EntryType.delete) => self.deletes += 1,
                @intFromEnum(abi.EntryType.merge) => self.merges += 1,
                else => return null,
            }
            const item = Item.at(words.ptr + at);
            at += entry_words + @as(u64, item.wordCount());
            if (at > words.len) return null;
            needed += Writer.wordsFor(item);
        }
        return if (self.writer.fits(needed)) self else null;
    }

    /// Entry i gets the number `first_sequence` + i. `segment`: of the log, zero for none.
    pub fn insert(self: PlainRun, first_sequence: u64, segment: f64) error{Full}!void {
        var items: [ahead]Item = undefined;
        var hashes: [ahead]u32 = undefined;
        var at: [*]const u32 = self.words.ptr + run_header_words;
        var sequence = first_sequence;
        var left = self.entry_count;
        while (left > 0) {
            const count = @min(left, ahead);
            for (items[0..count], hashes[0..count]) |*item, *hash| {
                item.* = Item.at(at);
                hash.* = item.hash();
                self.writer.prefetch(hash.*);
                at = item.words + item.wordCount();
            }
            for (items[0..count], hashes[0..count]) |item, hash| {
                try self.writer.insert(item, hash, sequence, segment);
                sequence += 1;
            }
            left -= count;
        }
    }
};
