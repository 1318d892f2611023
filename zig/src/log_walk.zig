//! Recovery's way through one log segment in memory: frame after frame while they check out and follow each other, run after run,
//! and each entry into its family's memtable. What needs a decision (a full memtable, a large value's address, an unknown family)
//! stops the walk, and its caller goes on from there. Reads bytes that may be anything: nothing is believed before it is checked.

const std = @import("std");
const abi = @import("abi.zig");
const file_jobs = @import("file_jobs.zig");
const log_writer = @import("log_writer.zig");
const memtable_writer = @import("memtable_writer.zig");
const region = @import("region.zig");
const internal_key = @import("internal_key.zig");
const Item = memtable_writer.Item;
const Writer = memtable_writer.Writer;

const Bytes = []align(4) const u8;
const frame_bytes = @sizeOf(abi.LogFrame);
const run_bytes = @sizeOf(abi.LogRun);
const entry_bytes = @sizeOf(abi.LogEntry);
const invalid = abi.Code.invalid.int();

pub fn walk(id: region.Id) i32 {
    const memory = region.slice(id) orelse return abi.Code.closed.int();
    const request: *abi.LogWalk = @ptrCast(memory.ptr);
    const records = (memory.len - @sizeOf(abi.LogWalk)) / @sizeOf(abi.WalkFamily);
    if (request.family_count > records) return invalid;
    const families: [*]const abi.WalkFamily = @ptrCast(@alignCast(memory.ptr + @sizeOf(abi.LogWalk)));
    const mode = std.enums.fromInt(abi.WalkMode, request.mode) orelse return invalid;
    const base = file_jobs.whole(request.base) orelse return invalid;
    const limit = file_jobs.whole(request.limit) orelse return invalid;
    if (base % abi.block_bytes != 0 or base > limit) return invalid;
    const bytes = region.part(request.source, 0, limit - base) orelse return invalid;
    var walker: Walker = .{
        .request = request,
        .mode = mode,
        .bytes = @alignCast(bytes),
        .base = base,
        .families = families[0..request.family_count],
    };
    const stop = walker.run() catch return invalid;
    return @intFromEnum(stop);
}

/// The bytes of the run at the front of these, if its entries all lie within it and can be what they say they are. A checksum
/// proves origin, not sense.
pub fn soundRun(bytes: []const u8) ?u64 {
    if (bytes.len < run_bytes) return null;
    const run = std.mem.bytesToValue(abi.LogRun, bytes[0..run_bytes]);
    if (run.bytes < run_bytes or run.bytes % 8 != 0 or run.bytes > bytes.len) return null;
    const first = file_jobs.whole(run.first_sequence) orelse return null;
    if (first < 1 or first + run.entry_count > internal_key.sequence_max) return null;
    var at: usize = run_bytes;
    for (0..run.entry_count) |_| {
        if (run.bytes - at < entry_bytes) return null;
        const entry = std.mem.bytesToValue(abi.LogEntry, bytes[at..][0..entry_bytes]);
        const key_bytes = entry.type_and_key_bytes >> 16;
        if (!isPossible(entry.type_and_key_bytes & 0xff, entry.value_bytes)) return null;
        const key = at + entry_bytes;
        const value = key + 4 * @as(usize, memtable_writer.wordsOf(key_bytes));
        at = value + 4 * @as(usize, memtable_writer.wordsOf(entry.value_bytes));
        if (at > run.bytes) return null;
        if (entry.type_and_key_bytes & 0xff != @intFromEnum(abi.EntryType.delete_range) or entry.value_bytes == 0) continue;
        // Nobody writes a range that holds nothing, or ends before it begins.
        const upper = bytes[value..][0..entry.value_bytes];
        if (internal_key.compareKeys(bytes[key..][0..key_bytes], upper) != .lt) return null;
    }
    return run.bytes;
}

fn isPossible(entry_type: u32, value_bytes: u32) bool {
    return switch (std.enums.fromInt(abi.EntryType, entry_type) orelse return false) {
        .put, .delete, .merge => true,
        .delete_range => value_bytes <= abi.key_bytes_max,
        .put_expiring => value_bytes >= abi.expiry_bytes,
        .put_blob => value_bytes == @sizeOf(abi.BlobAddress),
        .put_blob_expiring => value_bytes == abi.expiry_bytes + @sizeOf(abi.BlobAddress),
    };
}

const Walker = struct {
    request: *abi.LogWalk,
    mode: abi.WalkMode,
    bytes: Bytes,
    /// Where in the segment they begin; offsets here count from there.
    base: u64,
    families: []const abi.WalkFamily,
    /// The family of the entry before, as most entries have the same.
    known: ?*const abi.WalkFamily = null,
    writer: Writer = undefined,

    const Error = error{ Invalid, Full };

    fn run(self: *Walker) Error!abi.WalkStop {
        const request = self.request;
        while (true) {
            if (request.frame == 0 and !try self.nextFrame()) return .end;
            const frame = try self.place(request.frame, frame_bytes);
            const header = std.mem.bytesToValue(abi.LogFrame, self.bytes[frame..][0..frame_bytes]);
            const end = frame + frame_bytes + header.payload_bytes;
            if (end > self.bytes.len) return error.Invalid;
            if (try self.runs(end)) |stop| return stop;
            request.chain = header.checksum;
            request.is_first = 0;
            request.offset = self.absolute(end);
            request.frame = 0;
        }
    }

    /// It is where the last one ended, or at the next block's start if a sync came between. The log's very first frame
    /// follows anything; every other one carries its predecessor's checksum.
    fn nextFrame(self: *Walker) Error!bool {
        const request = self.request;
        const offset = try self.place(request.offset, 0);
        if (offset % 8 != 0) return error.Invalid;
        for ([_]u64{ offset, std.mem.alignForward(u64, offset, abi.block_bytes) }) |at| {
            if (at > self.bytes.len) continue;
            if (log_writer.check(self.bytes[at..], .{ .segment = request.segment, .mark = request.mark }) != .valid) continue;
            const frame = std.mem.bytesToValue(abi.LogFrame, self.bytes[at..][0..frame_bytes]);
            if (request.is_first == 0 and frame.chain != request.chain) continue;
            const is_later = frame.synced_segment > request.synced_segment or
                (frame.synced_segment == request.synced_segment and frame.synced_offset > request.synced_offset);
            if (is_later) {
                request.synced_segment = frame.synced_segment;
                request.synced_offset = frame.synced_offset;
            }
            request.frame = self.absolute(at);
            request.run = self.absolute(at + frame_bytes);
            request.entry = 0;
            return true;
        }
        return false;
    }

    fn runs(self: *Walker, frame_end: u64) Error!?abi.WalkStop {
        const request = self.request;
        while (true) {
            const at = try self.place(request.run, 0);
            if (at >= frame_end) return null;
            if (request.entry == 0) {
                if (soundRun(self.bytes[at..frame_end]) == null) return .malformed;
                const begun = std.mem.bytesToValue(abi.LogRun, self.bytes[at..][0..run_bytes]);
                const count: f64 = @floatFromInt(begun.entry_count);
                request.last_sequence = @max(request.last_sequence, begun.first_sequence + count - 1);
                request.entry = self.absolute(at + run_bytes);
                request.entries_left = begun.entry_count;
                request.sequence = begun.first_sequence;
                if (self.mode == .runs) return .run;
            }
            if (self.mode == .apply and try self.entries()) return .entry;
            request.entry = 0;
            const bytes = std.mem.bytesToValue(abi.LogRun, self.bytes[at..][0..run_bytes]).bytes;
            request.run = self.absolute(at + bytes);
        }
    }

    /// So many keys are hashed, and their slots asked for, before the first of them is inserted.
    const ahead = 16;

    /// Puts away what is left of a run. True: the entry before `request.entry` is the caller's.
    fn entries(self: *Walker) Error!bool {
        const request = self.request;
        var at: u64 = try self.place(request.entry, 0);
        var sequence: u64 = @intFromFloat(request.sequence);
        var left = request.entries_left;
        const segment = request.segment;
        var items: [ahead]Item = undefined;
        var ids: [ahead]u32 = undefined;
        var hashes: [ahead]u32 = undefined;
        while (left > 0) {
            const count = @min(left, ahead);
            var next = at;
            for (items[0..count], ids[0..count], hashes[0..count]) |*item, *id, *hash| {
                item.*, id.* = self.itemAt(next);
                next += entry_bytes + 4 * @as(u64, item.wordCount());
                hash.* = memtable_writer.hashOf(item.words[0..item.keyWords()], item.key_bytes);
                if (self.known) |known| {
                    if (known.family == id.*) self.writer.prefetch(hash.*);
                }
            }
            for (items[0..count], ids[0..count], hashes[0..count]) |item, id, hash| {
                const is_ours = try self.put(item, id, hash, sequence, segment);
                if (!is_ours) request.refused = self.absolute(at);
                at += entry_bytes + 4 * @as(u64, item.wordCount());
                sequence += 1;
                left -= 1;
                if (is_ours) continue;
                request.entry = self.absolute(at);
                request.sequence = @floatFromInt(sequence);
                request.entries_left = left;
                return true;
            }
        }
        return false;
    }

    /// With its family. REQUIRES: the run is sound.
    fn itemAt(self: *Walker, at: u64) struct { Item, u32 } {
        const header = std.mem.bytesToValue(abi.LogEntry, self.bytes[at..][0..entry_bytes]);
        return .{ .at(@ptrCast(@alignCast(self.bytes.ptr + at))), header.family };
    }

    /// False: the entry is the caller's.
    fn put(self: *Walker, item: Item, id: u32, hash: u32, sequence: u64, segment: f64) Error!bool {
        const family = try self.familyOf(id) orelse return id < self.request.next_family;
        if (@as(f64, @floatFromInt(sequence)) <= family.flushed_sequence) return true;
        switch (item.type) {
            .put_blob, .put_blob_expiring => return false,
            .put_expiring => self.request.saw_expiry = 1,
            .put, .delete, .merge, .delete_range => {},
        }
        if (!self.writer.fits(Writer.wordsFor(item))) return false;
        try self.writer.insert(item, hash, sequence, segment);
        return true;
    }

    fn familyOf(self: *Walker, id: u32) Error!?*const abi.WalkFamily {
        if (self.known) |known| if (known.family == id) return known;
        for (self.families) |*family| {
            if (family.family != id) continue;
            self.writer = Writer.open(family.memtable) orelse return error.Invalid;
            self.known = family;
            return family;
        }
        return null;
    }

    fn absolute(self: *Walker, offset: u64) f64 {
        return @floatFromInt(self.base + offset);
    }

    fn place(self: *Walker, at: f64, room: u64) Error!u64 {
        const given = file_jobs.whole(at) orelse return error.Invalid;
        if (given < self.base) return error.Invalid;
        const offset = given - self.base;
        if (offset > self.bytes.len or room > self.bytes.len - offset) return error.Invalid;
        return offset;
    }
};
