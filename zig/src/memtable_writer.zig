//! Filling a memtable from the library's side, as `src/memtable/memtable.ts` does from the other: the same entries, the same
//! point index, the same header. Recovery uses it; a change of either is a change of both, and a test compares them.
//!
//! Promises, as there: an entry is whole before anything points to it. REQUIRES: nobody else inserts meanwhile.

const std = @import("std");
const abi = @import("abi.zig");
const memtable_reader = @import("memtable_reader.zig");
const Memtable = memtable_reader.Memtable;

const entry_words: u32 = memtable_reader.entry_header_words;
const fourfold_slot_count_max = 1 << 16;

/// An entry as it lies in the log: the key's words, padded, and the value's behind them.
pub const Item = struct {
    type: abi.EntryType,
    key_bytes: u32,
    value_bytes: u32,
    words: [*]const u32,

    pub fn keyWords(self: Item) u32 {
        return wordsOf(self.key_bytes);
    }

    /// Of key and value.
    pub fn wordCount(self: Item) u32 {
        return wordsOf(self.key_bytes) + wordsOf(self.value_bytes);
    }
};

pub const Writer = struct {
    memtable: Memtable,

    pub fn open(id: i32) ?Writer {
        return .{ .memtable = Memtable.open(id) orelse return null };
    }

    pub fn fits(self: Writer, item: Item, budget_words: u32) bool {
        const tail = @atomicLoad(u32, &self.memtable.header.tail_words, .monotonic);
        return tail + @as(u64, entry_words) + item.wordCount() <= budget_words;
    }

    /// Asks the processor for what an insertion of this key will look at first.
    pub fn prefetch(self: Writer, hash: u32) void {
        const slots = self.memtable.header.slots;
        const mask = self.memtable.words[slots - 1] - 1;
        @prefetch(self.memtable.words + slots + 2 * (hash & mask), .{});
    }

    /// `segment`: the log segment that holds the entry. REQUIRES: it fits, and `hash` is the key's.
    pub fn insert(self: Writer, item: Item, hash: u32, sequence: u64, segment: f64) error{Full}!void {
        if (item.type == .delete_range) return self.insertRange(item, sequence, segment);
        const words = self.memtable.words;
        const header = self.memtable.header;
        const entry = try self.allocate(entry_words + item.wordCount());
        const slot = self.slotOf(try self.slotsWithRoom(), item, hash);
        const previous = words[slot + 1];
        self.fill(entry, previous, item, sequence);
        if (previous == 0) {
            words[slot] = hash;
            header.key_count += 1;
        }
        self.count(item, sequence, segment);
        @atomicStore(u32, &words[slot + 1], entry, .release);
        @atomicStore(u32, &header.newest_entry, entry, .release);
    }

    fn insertRange(self: Writer, item: Item, sequence: u64, segment: f64) error{Full}!void {
        const header = self.memtable.header;
        const entry = try self.allocate(entry_words + item.wordCount());
        self.fill(entry, header.newest_range, item, sequence);
        self.count(item, sequence, segment);
        @atomicStore(u32, &header.newest_range, entry, .release);
        _ = @atomicRmw(u32, &header.range_count, .Add, 1, .release);
        @atomicStore(u32, &header.newest_entry, entry, .release);
    }

    fn allocate(self: Writer, words: u64) error{Full}!u32 {
        const header = self.memtable.header;
        const tail = @atomicLoad(u32, &header.tail_words, .monotonic);
        if (words > self.memtable.word_count -| tail) return error.Full;
        _ = @atomicRmw(u32, &header.tail_words, .Add, @intCast(words), .monotonic);
        return tail;
    }

    fn fill(self: Writer, entry: u32, previous: u32, item: Item, sequence: u64) void {
        const made: *abi.MemtableEntry = @ptrCast(self.memtable.words + entry);
        const entry_type: u32 = @intFromEnum(item.type);
        made.* = .{
            .older = self.memtable.header.newest_entry,
            .previous = previous,
            .sequence_low = @truncate(sequence),
            .sequence_high_and_type = @as(u32, @intCast(sequence >> 32)) | entry_type << 24,
            .key_bytes = item.key_bytes,
            .value_bytes = item.value_bytes,
        };
        const count_words = item.wordCount();
        @memcpy((self.memtable.words + entry + entry_words)[0..count_words], item.words[0..count_words]);
    }

    fn count(self: Writer, item: Item, sequence: u64, segment: f64) void {
        const header = self.memtable.header;
        const number: f64 = @floatFromInt(sequence);
        if (header.entry_count == 0) header.first_sequence = number;
        header.entry_count += 1;
        header.last_sequence = number;
        if (item.type == .delete) header.delete_count += 1;
        if (header.first_segment == 0) header.first_segment = segment;
    }

    /// The slot that holds the key, or the empty one where it belongs.
    fn slotOf(self: Writer, slots: u32, item: Item, hash: u32) u32 {
        const words = self.memtable.words;
        const mask = words[slots - 1] - 1;
        var index = hash & mask;
        while (true) : (index = (index + 1) & mask) {
            const slot = slots + 2 * index;
            const entry = words[slot + 1];
            if (entry == 0) return slot;
            if (words[slot] == hash and self.keyEquals(entry, item)) return slot;
        }
    }

    fn keyEquals(self: Writer, entry: u32, item: Item) bool {
        const there: *const abi.MemtableEntry = @ptrCast(self.memtable.words + entry);
        if (there.key_bytes != item.key_bytes) return false;
        const key = self.memtable.words + entry + entry_words;
        return std.mem.eql(u32, key[0..item.keyWords()], item.words[0..item.keyWords()]);
    }

    /// The slot array, grown first if one more key would crowd it: slots per key stay above 4/3.
    fn slotsWithRoom(self: Writer) error{Full}!u32 {
        const words = self.memtable.words;
        const header = self.memtable.header;
        const slots = header.slots;
        const slot_count = words[slots - 1];
        if ((@as(u64, header.key_count) + 1) * 4 <= @as(u64, slot_count) * 3) return slots;
        const factor: u32 = if (slot_count <= fourfold_slot_count_max) 4 else 2;
        const grown_count = slot_count * factor;
        const grown = 1 + try self.allocate(1 + 2 * @as(u64, grown_count));
        words[grown - 1] = grown_count;
        @memset(words[grown..][0 .. 2 * grown_count], 0);
        const mask = grown_count - 1;
        var slot = slots;
        while (slot < slots + 2 * slot_count) : (slot += 2) {
            if (words[slot + 1] == 0) continue;
            var index = words[slot] & mask;
            while (words[grown + 2 * index + 1] != 0) index = (index + 1) & mask;
            words[grown + 2 * index] = words[slot];
            words[grown + 2 * index + 1] = words[slot + 1];
        }
        header.slot_count = grown_count;
        @atomicStore(u32, &header.slots, grown, .release);
        return grown;
    }
};

pub fn wordsOf(bytes: u32) u32 {
    return bytes / 4 + @intFromBool(bytes % 4 != 0);
}

/// The hash that TypeScript gives a key padded to words. Never stored on disk.
pub fn hashOf(words: []const u32, bytes: u32) u32 {
    var hash: u32 = bytes ^ 0x9e3779b9;
    for (words) |word| {
        hash = (hash ^ word) *% 0x85ebca6b;
        hash = std.math.rotl(u32, hash, 13) *% 5 +% 0xe6546b64;
    }
    hash = (hash ^ (hash >> 16)) *% 0xc2b2ae35;
    return hash ^ (hash >> 15);
}
