//! Puts a run of plain entries (put, delete, merge) into a memtable, as `src/memtable/memtable.ts` does for every kind of run: the
//! same layout, the same hash. What would make the point index grow is left to TypeScript.
//!
//! REQUIRES: nobody else inserts into the memtable meanwhile. Readers take no lock: an entry is whole before they can reach it.

const std = @import("std");
const abi = @import("abi.zig");
const memtable_reader = @import("memtable_reader.zig");
const Memtable = memtable_reader.Memtable;

const run_header_words = @sizeOf(abi.LogRun) / 4;
const entry_words = @sizeOf(abi.LogEntry) / 4;
/// Slots of so many entries are asked for before the first of them is needed.
const ahead = 8;
/// Of each four slots at most three are taken.
const load_numerator = 4;
const load_denominator = 3;

/// A run that was looked through: it lies within its words, and its memtable has room for it.
pub const Run = struct {
    words: []const u32,
    entry_count: u32,
    puts: u32 = 0,
    deletes: u32 = 0,
    merges: u32 = 0,

    /// Null where the run is not for this memtable, or not by this way.
    pub fn check(words: []const u32, entry_count: u32, memtable: Memtable) ?Run {
        const header = memtable.header;
        if (header.is_active != 1) return null;
        if ((@as(u64, header.key_count) + entry_count) * load_numerator > @as(u64, header.slot_count) * load_denominator) return null;
        var self: Run = .{ .words = words, .entry_count = entry_count };
        var needed: u64 = 0;
        var at: u64 = run_header_words;
        for (0..entry_count) |_| {
            if (at + entry_words > words.len) return null;
            const entry: Entry = .at(words.ptr + at);
            if (entry.family != header.family) return null;
            switch (entry.type) {
                @intFromEnum(abi.EntryType.put) => self.puts += 1,
                @intFromEnum(abi.EntryType.delete) => self.deletes += 1,
                @intFromEnum(abi.EntryType.merge) => self.merges += 1,
                else => return null,
            }
            at += entry_words + @as(u64, entry.body_words);
            needed += memtable_reader.entry_header_words + @as(u64, entry.body_words);
        }
        if (at > words.len) return null;
        const tail = @atomicLoad(u32, &header.tail_words, .monotonic);
        return if (tail + needed <= header.budget_words) self else null;
    }

    /// Entry i gets the number `first_sequence` + i. `segment`: of the log, zero for none.
    pub fn insert(self: Run, memtable: Memtable, first_sequence: u64, segment: f64) void {
        const header = memtable.header;
        if (header.entry_count == 0) header.first_sequence = @floatFromInt(first_sequence);
        if (segment == 0) header.volatile_count += self.entry_count;
        if (segment != 0 and header.first_segment == 0) header.first_segment = segment;
        header.delete_count += self.deletes;

        const slots: Slots = .of(memtable);
        var chunk: [ahead]Hashed = undefined;
        var at: [*]const u32 = self.words.ptr + run_header_words;
        var sequence = first_sequence;
        var left = self.entry_count;
        while (left > 0) {
            const count = @min(left, ahead);
            for (chunk[0..count]) |*each| {
                const entry: Entry = .at(at);
                each.* = .{ .entry = entry, .hash = hashOf(entry.body[0..entry.keyWords()], entry.key_bytes) };
                slots.prefetch(each.hash);
                at = entry.body + entry.body_words;
            }
            for (chunk[0..count]) |each| {
                insertOne(memtable, slots, each, sequence);
                sequence += 1;
            }
            left -= count;
        }
        const last: f64 = @floatFromInt(sequence - 1);
        @atomicStore(u64, @as(*u64, @ptrCast(&header.last_sequence)), @bitCast(last), .monotonic);
    }
};

const Entry = struct {
    type: u8,
    family: u32,
    key_bytes: u32,
    value_bytes: u32,
    /// Key and value, each padded to words.
    body: [*]const u32,
    body_words: u32,

    fn at(words: [*]const u32) Entry {
        const header: *const abi.LogEntry = @ptrCast(words);
        const key_bytes = header.type_and_key_bytes >> 16;
        return .{
            .type = @truncate(header.type_and_key_bytes),
            .family = header.family,
            .key_bytes = key_bytes,
            .value_bytes = header.value_bytes,
            .body = words + entry_words,
            .body_words = wordsOf(key_bytes) + wordsOf(header.value_bytes),
        };
    }

    fn keyWords(self: Entry) u32 {
        return wordsOf(self.key_bytes);
    }
};

const Hashed = struct { entry: Entry, hash: u32 };

/// The point index: pairs of hash and newest entry.
const Slots = struct {
    pairs: [*]u32,
    mask: u32,

    fn of(memtable: Memtable) Slots {
        const start = memtable.words + memtable.header.slots;
        return .{ .pairs = start, .mask = (start - 1)[0] - 1 };
    }

    fn prefetch(self: Slots, hash: u32) void {
        @prefetch(self.pairs + 2 * @as(usize, hash & self.mask), .{ .rw = .write });
    }

    /// The pair that holds the key, or the empty one where it belongs.
    fn find(self: Slots, memtable: Memtable, wanted: Hashed) *[2]u32 {
        var index = wanted.hash & self.mask;
        while (true) : (index = (index + 1) & self.mask) {
            const pair: *[2]u32 = @ptrCast(self.pairs + 2 * @as(usize, index));
            if (pair[1] == 0) return pair;
            if (pair[0] == wanted.hash and isKeyOf(memtable, pair[1], wanted.entry)) return pair;
        }
    }
};

fn isKeyOf(memtable: Memtable, at: u32, entry: Entry) bool {
    const held: *const abi.MemtableEntry = @ptrCast(memtable.words + at);
    if (held.key_bytes != entry.key_bytes) return false;
    const key = memtable.words + at + memtable_reader.entry_header_words;
    return std.mem.eql(u32, key[0..entry.keyWords()], entry.body[0..entry.keyWords()]);
}

fn insertOne(memtable: Memtable, slots: Slots, hashed: Hashed, sequence: u64) void {
    const header = memtable.header;
    const entry = hashed.entry;
    const words = memtable_reader.entry_header_words + entry.body_words;
    const at = @atomicRmw(u32, &header.tail_words, .Add, words, .monotonic);
    const pair = slots.find(memtable, hashed);
    const previous = pair[1];
    const made: *abi.MemtableEntry = @ptrCast(memtable.words + at);
    made.* = .{
        .older = header.newest_entry,
        .previous = previous,
        .sequence_low = @truncate(sequence),
        .sequence_high_and_type = @intCast((sequence >> 32) | (@as(u64, entry.type) << 24)),
        .key_bytes = entry.key_bytes,
        .value_bytes = entry.value_bytes,
    };
    const body = memtable.words + at + memtable_reader.entry_header_words;
    @memcpy(body[0..entry.body_words], entry.body[0..entry.body_words]);
    if (previous == 0) {
        pair[0] = hashed.hash;
        header.key_count += 1;
    }
    _ = @atomicRmw(u32, &header.entry_count, .Add, 1, .monotonic);
    @atomicStore(u32, &pair[1], at, .seq_cst);
    @atomicStore(u32, &header.newest_entry, at, .seq_cst);
}

/// `hashWords` of `src/memtable/key_probe.ts`.
fn hashOf(words: []const u32, bytes: u32) u32 {
    var hash = bytes ^ 0x9e3779b9;
    for (words) |word| {
        hash = (hash ^ word) *% 0x85ebca6b;
        hash = std.math.rotl(u32, hash, 13) *% 5 +% 0xe6546b64;
    }
    hash = (hash ^ (hash >> 16)) *% 0xc2b2ae35;
    return hash ^ (hash >> 15);
}

fn wordsOf(bytes: u32) u32 {
    return bytes / 4 + @intFromBool(bytes % 4 != 0);
}
