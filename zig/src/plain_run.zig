//! A run of plain entries (put, delete, merge) of one family, on its way into the family's active memtable. It is looked through first:
//! what is refused is refused whole. Then it is given room and numbers, laid down, and linked, and only for the first and the last of
//! these does it need the memtable for itself.

const std = @import("std");
const abi = @import("abi.zig");
const memtable_writer = @import("memtable_writer.zig");
const Item = memtable_writer.Item;
const Memtable = @import("memtable_reader.zig").Memtable;
const Writer = memtable_writer.Writer;

const run_header_words = @sizeOf(abi.LogRun) / 4;
const entry_words = memtable_writer.log_entry_words;
/// So many keys are hashed, and their slots asked for, before the first of them is linked.
const ahead = 16;

/// Of a run with one entry of `tail_entry_bytes_max`, padding included.
pub const single_bytes_max = (run_header_words + entry_words + 3) * 4 + abi.tail_entry_bytes_max;

/// A run of one entry, as a write buffer would have it. `head`: type and key bytes, as in `LogEntry`. REQUIRES: key and value together are
/// no longer than `tail_entry_bytes_max`.
pub fn encode(head: u32, family: u32, key: []const u8, value: []const u8, into: *align(8) [single_bytes_max]u8) []align(8) u8 {
    const words: [*]u32 = @ptrCast(into);
    const header: *abi.LogRun = @ptrCast(into);
    header.entry_count = 1;
    const entry: *abi.LogEntry = @ptrCast(words + run_header_words);
    entry.* = .{ .type_and_key_bytes = head, .value_bytes = @intCast(value.len), .family = family };
    var at: u32 = run_header_words + entry_words;
    for ([_][]const u8{ key, value }) |bytes| {
        const end = at + memtable_writer.wordsOf(@intCast(bytes.len));
        if (end > at) words[end - 1] = 0;
        @memcpy(into[at * 4 ..][0..bytes.len], bytes);
        at = end;
    }
    if (at % 2 != 0) {
        words[at] = 0;
        at += 1;
    }
    return into[0 .. at * 4];
}

pub const PlainRun = struct {
    words: []const u32,
    entry_count: u32,
    writer: Writer,
    /// That the entries take in the memtable.
    needed_words: u64 = 0,
    /// Where the first of them lies, once there is room for all.
    first_entry: u32 = 0,
    puts: u32 = 0,
    deletes: u32 = 0,
    merges: u32 = 0,

    /// Null where the run is not for this memtable, or not by this way.
    pub fn check(words: []align(8) const u32, memtable: Memtable) ?PlainRun {
        const header: *const abi.LogRun = @ptrCast(words.ptr);
        const family = memtable.header.family;
        var self: PlainRun = .{ .words = words, .entry_count = header.entry_count, .writer = .{ .memtable = memtable } };
        var at: u64 = run_header_words;
        for (0..self.entry_count) |_| {
            if (at + entry_words > words.len) return null;
            const entry: *const abi.LogEntry = @ptrCast(words.ptr + at);
            if (entry.family != family) return null;
            switch (entry.type_and_key_bytes & 0xff) {
                @intFromEnum(abi.EntryType.put) => self.puts += 1,
                @intFromEnum(abi.EntryType.delete) => self.deletes += 1,
                @intFromEnum(abi.EntryType.merge) => self.merges += 1,
                else => return null,
            }
            const item = Item.at(words.ptr + at);
            at += entry_words + @as(u64, item.wordCount());
            if (at > words.len) return null;
            self.needed_words += Writer.wordsFor(item);
        }
        return self;
    }

    /// The first entries. Asks the processor for what linking them begins with.
    pub fn begin(self: PlainRun, batch: *Batch) void {
        batch.take(self.writer, self.words.ptr + run_header_words, self.entry_count);
    }

    /// Room in the memtable; false where there is none, or entries go elsewhere by now. REQUIRES: nobody else takes any.
    pub fn takeRoom(self: *PlainRun) bool {
        const header = self.writer.memtable.header;
        if (header.is_active != 1 or !self.writer.fits(self.needed_words)) return false;
        self.first_entry = self.writer.allocate(self.needed_words) catch return false;
        return true;
    }

    /// Entry i gets the number `first_sequence` + i.
    pub fn lay(self: PlainRun, first_sequence: u64) void {
        var at: [*]const u32 = self.words.ptr + run_header_words;
        var entry = self.first_entry;
        for (0..self.entry_count) |index| {
            const item = Item.at(at);
            self.writer.lay(entry, item, first_sequence + index);
            at = item.words + item.wordCount();
            entry += @intCast(Writer.wordsFor(item));
        }
    }

    /// Makes them the newest of their keys. `batch`: as `begin` left it. `segment`: of the log, zero for none. REQUIRES: nobody else
    /// links, and everything with lower numbers is.
    pub fn link(self: PlainRun, batch: *Batch, first_sequence: u64, segment: f64) error{Full}!void {
        var entry = self.first_entry;
        var sequence = first_sequence;
        var left = self.entry_count;
        while (left > 0) {
            for (batch.items[0..batch.count], batch.hashes[0..batch.count]) |item, hash| {
                try self.writer.link(entry, item, hash, sequence, segment);
                entry += @intCast(Writer.wordsFor(item));
                sequence += 1;
            }
            left -= batch.count;
            batch.take(self.writer, batch.end, left);
        }
    }
};

/// Some entries, hashed and asked for together.
pub const Batch = struct {
    count: u32 = 0,
    items: [ahead]Item = undefined,
    hashes: [ahead]u32 = undefined,
    /// Behind them.
    end: [*]const u32 = undefined,

    /// Takes as many as there is room for, of those that are left.
    fn take(self: *Batch, writer: Writer, start: [*]const u32, left: u32) void {
        self.count = @min(left, ahead);
        self.end = start;
        for (self.items[0..self.count], self.hashes[0..self.count]) |*item, *hash| {
            item.* = Item.at(self.end);
            hash.* = item.hash();
            writer.prefetch(hash.*);
            self.end = item.words + item.wordCount();
        }
    }
};
