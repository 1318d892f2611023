//! Filling a memtable from the library's side, as `src/memtable/memtable.ts` does from the other: the same entries, the same point
//! index, the same header. Recovery uses it, and whoever commits at the log's tail. A change of either side is a change of both, and
//! a test compares them.
//!
//! Promises, as there: an entry is whole before anything points to it (release, for readers take no lock). REQUIRES, where nothing
//! else is said: nobody else inserts meanwhile.

const std = @import("std");
const abi = @import("abi.zig");
const memtable_reader = @import("memtable_reader.zig");
const Memtable = memtable_reader.Memtable;

const entry_words: u32 = memtable_reader.entry_header_words;
pub const log_entry_words = @sizeOf(abi.LogEntry) / 4;

/// An entry as it lies in the log: the key's words, padded, and the value's behind them.
pub const Item = struct {
    type: abi.EntryType,
    key_bytes: u32,
    value_bytes: u32,
    words: [*]const u32,

    /// The entry that begins at a word. REQUIRES: its type is one.
    pub fn at(words: [*]const u32) Item {
        const header: *const abi.LogEntry = @ptrCast(words);
        return .{
            .type = @enumFromInt(header.type_and_key_bytes & 0xff),
            .key_bytes = header.type_and_key_bytes >> 16,
            .value_bytes = header.value_bytes,
            .words = words + log_entry_words,
        };
    }

    pub fn keyWords(self: Item) u32 {
        return wordsOf(self.key_bytes);
    }

    /// Of key and value.
    pub fn wordCount(self: Item) u32 {
        return wordsOf(self.key_bytes) + wordsOf(self.value_bytes);
    }

    pub fn hash(self: Item) u32 {
        return hashOf(self.words[0..self.keyWords()], self.key_bytes);
    }
};

/// The point index, as memtable.ts explains it: a directory of slot arrays. Word offsets from an array's first slot, and before the directory.
const slot_count_max = 4096;
const array_shift = 16;
const split_keys_min = 1024;
const array_keys = 3;
const array_depth = 2;
const array_slots = 1;
const array_header_words = 3;
const directory_mask = 1;

pub const Writer = struct {
    memtable: Memtable,

    pub fn open(id: i32) ?Writer {
        return .{ .memtable = Memtable.open(id) orelse return null };
    }

    /// Whether entries that take so many words in all still belong in here.
    pub fn fits(self: Writer, words: u64) bool {
        const header = self.memtable.header;
        return @atomicLoad(u32, &header.tail_words, .monotonic) + words <= header.budget_words;
    }

    /// Words that an entry takes.
    pub fn wordsFor(item: Item) u64 {
        return @as(u64, entry_words) + item.wordCount();
    }

    /// Asks the processor for what an insertion of this key will look at first. Others may insert meanwhile.
    pub fn prefetch(self: Writer, hash: u32) void {
        const words = self.memtable.words;
        const array = self.arrayOf(hash);
        @prefetch(words + array + 2 * (hash & (words[array - array_slots] - 1)), .{ .rw = .write });
    }

    /// `segment`: the log segment that holds the entry, zero for none. REQUIRES: it fits, and `hash` is the key's.
    pub fn insert(self: Writer, item: Item, hash: u32, sequence: u64, segment: f64) error{Full}!void {
        const entry = try self.allocate(wordsFor(item));
        self.lay(entry, item, sequence);
        if (item.type == .delete_range) return self.linkRange(entry, item, sequence, segment);
        try self.link(entry, item, hash, sequence, segment);
    }

    /// Lays an entry down where nothing points to it yet. Others may do the same elsewhere.
    pub fn lay(self: Writer, entry: u32, item: Item, sequence: u64) void {
        const made: *abi.MemtableEntry = @ptrCast(self.memtable.words + entry);
        const entry_type: u32 = @intFromEnum(item.type);
        made.sequence_low = @truncate(sequence);
        made.sequence_high_and_type = @as(u32, @intCast(sequence >> 32)) | entry_type << 24;
        made.key_bytes = item.key_bytes;
        made.value_bytes = item.value_bytes;
        const count_words = item.wordCount();
        @memcpy((self.memtable.words + entry + entry_words)[0..count_words], item.words[0..count_words]);
    }

    /// Makes an entry that was laid down the newest of its key, and of all.
    pub fn link(self: Writer, entry: u32, item: Item, hash: u32, sequence: u64, segment: f64) error{Full}!void {
        const words = self.memtable.words;
        const header = self.memtable.header;
        const array = try self.arrayWithRoom(hash);
        const slot = self.slotOf(array, item, hash);
        const previous = words[slot + 1];
        self.chain(entry, previous);
        if (previous == 0) {
            words[slot] = hash;
            words[array - array_keys] += 1;
            header.key_count += 1;
        }
        self.count(item, sequence, segment);
        @atomicStore(u32, &words[slot + 1], entry, .release);
        @atomicStore(u32, &header.newest_entry, entry, .release);
    }

    fn linkRange(self: Writer, entry: u32, item: Item, sequence: u64, segment: f64) void {
        const header = self.memtable.header;
        self.chain(entry, header.newest_range);
        self.count(item, sequence, segment);
        @atomicStore(u32, &header.newest_range, entry, .release);
        @atomicStore(u32, &header.range_count, header.range_count + 1, .release);
        @atomicStore(u32, &header.newest_entry, entry, .release);
    }

    fn chain(self: Writer, entry: u32, previous: u32) void {
        const made: *abi.MemtableEntry = @ptrCast(self.memtable.words + entry);
        made.older = self.memtable.header.newest_entry;
        made.previous = previous;
    }

    /// Room for so many words. The ordered index takes from the same tail, on other threads.
    pub fn allocate(self: Writer, words: u64) error{Full}!u32 {
        const tail = &self.memtable.header.tail_words;
        var at = @atomicLoad(u32, tail, .monotonic);
        while (true) {
            if (words > self.memtable.word_count -| at) return error.Full;
            at = @cmpxchgWeak(u32, tail, at, at + @as(u32, @intCast(words)), .monotonic, .monotonic) orelse return at;
        }
    }

    fn count(self: Writer, item: Item, sequence: u64, segment: f64) void {
        const header = self.memtable.header;
        const number: f64 = @floatFromInt(sequence);
        if (header.entry_count == 0) header.first_sequence = number;
        @atomicStore(u32, &header.entry_count, header.entry_count + 1, .monotonic);
        @atomicStore(u64, @as(*u64, @ptrCast(&header.last_sequence)), @bitCast(number), .monotonic);
        if (item.type == .delete) header.delete_count += 1;
        if (segment == 0) {
            header.volatile_count += 1;
        } else if (header.first_segment == 0) header.first_segment = segment;
    }

    /// The array that a hash belongs to.
    fn arrayOf(self: Writer, hash: u32) u32 {
        const words = self.memtable.words;
        const directory = @atomicLoad(u32, &self.memtable.header.slots, .acquire);
        return @atomicLoad(u32, &words[directory + ((hash >> array_shift) & words[directory - directory_mask])], .acquire);
    }

    /// The slot that holds the key, or the empty one where it belongs.
    fn slotOf(self: Writer, array: u32, item: Item, hash: u32) u32 {
        const words = self.memtable.words;
        const mask = words[array - array_slots] - 1;
        var index = hash & mask;
        while (true) : (index = (index + 1) & mask) {
            const slot = array + 2 * index;
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

    /// The array that a hash belongs to, with room for one more key: slots per key stay above 4/3.
    fn arrayWithRoom(self: Writer, hash: u32) error{Full}!u32 {
        const words = self.memtable.words;
        while (true) {
            const array = self.arrayOf(hash);
            const keys: u64 = words[array - array_keys];
            if ((keys + 1) * 4 <= @as(u64, words[array - array_slots]) * 3) return array;
            try self.makeRoom(array, hash);
        }
    }

    /// Replaces an array by a larger one, or by two.
    fn makeRoom(self: Writer, array: u32, hash: u32) error{Full}!void {
        const words = self.memtable.words;
        const header = self.memtable.header;
        const slot_count = words[array - array_slots];
        const depth = words[array - array_depth];
        const splits = slot_count >= slot_count_max and depth < 32 - array_shift and
            header.key_count >= @as(u64, split_keys_min) << @intCast(depth);
        const growth: u32 = if (slot_count < slot_count_max) 4 else 2;
        const even = if (splits) try self.newArray(slot_count, depth + 1) else try self.newArray(slot_count * growth, depth);
        const odd = if (splits) try self.newArray(slot_count, depth + 1) else even;
        self.move(array, even, odd, array_shift + depth);
        try self.replace((hash >> array_shift) & ((@as(u32, 1) << @intCast(depth)) - 1), depth, even, odd);
        header.slot_count -= slot_count;
    }

    /// Copies an array's keys, by one bit of their hashes.
    fn move(self: Writer, array: u32, even: u32, odd: u32, bit: u32) void {
        const words = self.memtable.words;
        const mask = words[even - array_slots] - 1;
        const end = array + 2 * words[array - array_slots];
        var slot = array;
        while (slot < end) : (slot += 2) {
            if (words[slot + 1] == 0) continue;
            const hash = words[slot];
            const is_odd = bit < 32 and (hash >> @intCast(bit)) & 1 == 1;
            const target = if (is_odd) odd else even;
            var index = hash & mask;
            while (words[target + 2 * index + 1] != 0) index = (index + 1) & mask;
            words[target + 2 * index] = hash;
            words[target + 2 * index + 1] = words[slot + 1];
            words[target - array_keys] += 1;
        }
    }

    /// Puts arrays in the place of the one whose hashes end, above `array_shift`, in the `depth` bits of `ending`.
    fn replace(self: Writer, ending: u32, depth: u32, even: u32, odd: u32) error{Full}!void {
        const words = self.memtable.words;
        const directory = self.memtable.header.slots;
        const mask = words[directory - directory_mask];
        const step = @as(u32, 1) << @intCast(depth);
        if (even != odd and step > mask) return self.doubleDirectory(directory, ending, depth, even, odd);
        var index = ending;
        while (index <= mask) : (index += step) {
            @atomicStore(u32, &words[directory + index], if (index & step != 0) odd else even, .release);
        }
    }

    fn doubleDirectory(self: Writer, old: u32, ending: u32, depth: u32, even: u32, odd: u32) error{Full}!void {
        const words = self.memtable.words;
        const old_mask = words[old - directory_mask];
        const array_count = @as(u32, 2) << @intCast(depth);
        const directory = 1 + try self.allocate(1 + @as(u64, array_count));
        words[directory - directory_mask] = array_count - 1;
        for (0..array_count) |each| {
            const index: u32 = @intCast(each);
            const is_here = index & old_mask == ending;
            const now = if (index & (old_mask + 1) != 0) odd else even;
            words[directory + index] = if (is_here) now else words[old + (index & old_mask)];
        }
        @atomicStore(u32, &self.memtable.header.slots, directory, .release);
    }

    /// An empty array: the memory behind the tail was never written to.
    fn newArray(self: Writer, slot_count: u32, depth: u32) error{Full}!u32 {
        const words = self.memtable.words;
        const start = try self.allocate(array_header_words + 1 + 2 * @as(u64, slot_count));
        // A pair lies within one cache line.
        const array = (start + array_header_words + 1) & ~@as(u32, 1);
        words[array - array_depth] = depth;
        words[array - array_slots] = slot_count;
        self.memtable.header.slot_count += slot_count;
        return array;
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
