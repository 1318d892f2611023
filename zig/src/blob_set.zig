//! A store's blob segments as readers see them: by number, opened when first read, their descriptors shared and
//! bounded with those of tables (table_files.zig).
//!
//! Who may come upon an address later (a cursor) holds a *pin*. A segment that is retired keeps its descriptor until the pins
//! of that time are gone, so its name may be unlinked at once. Any thread may call.

const std = @import("std");
const abi = @import("abi.zig");
const checksum = @import("checksum.zig");
const fault = @import("fault.zig");
const file_jobs = @import("file_jobs.zig");
const file_table = @import("file_table.zig");
const locks = @import("locks.zig");
const staging = @import("staging.zig");
const system = @import("system.zig");
const Fault = fault.Fault;
const TableFile = @import("table_file.zig").TableFile;
const TableFiles = @import("table_files.zig").TableFiles;

const gpa = std.heap.c_allocator;

/// Read and checked at a time: it is still in the processor's cache when it is checked.
const piece_bytes = 512 * 1024;

/// The checksum of an address, given that of the value's bytes.
pub fn checksumOf(bytes: u32, number: u64, offset: u64) u32 {
    var place: [16]u8 = undefined;
    std.mem.writeInt(u64, place[0..8], number, .little);
    std.mem.writeInt(u64, place[8..16], offset, .little);
    return checksum.crc32cContinue(bytes, &place);
}

const Segment = struct {
    file: TableFile,
    /// Reads under way.
    users: u32 = 0,
    retired: ?u64 = null,
};

/// Pins of one generation: those taken between two retirements.
const Pins = struct { generation: u64, count: u32 };

pub const BlobSet = struct {
    files: *TableFiles,
    /// The store, and every pin.
    references: std.atomic.Value(u32) = .init(1),

    mutex: locks.Mutex = .{},
    // Under `mutex`.
    segments: std.AutoHashMapUnmanaged(u64, *Segment) = .empty,
    /// Ascending generations.
    pins: std.ArrayList(Pins) = .empty,
    generation: u64 = 1,
    closed: bool = false,

    pub fn create(files: *TableFiles) error{OutOfMemory}!*BlobSet {
        const self = try gpa.create(BlobSet);
        files.retain();
        self.* = .{ .files = files };
        return self;
    }

    /// The store ends: files are closed, later reads find `Code.closed`. REQUIRES: no job of the store runs.
    pub fn close(self: *BlobSet) void {
        self.mutex.lock();
        self.closed = true;
        var each = self.segments.valueIterator();
        while (each.next()) |segment| destroySegment(segment.*);
        self.segments.clearAndFree(gpa);
        self.mutex.unlock();
        self.release();
    }

    fn release(self: *BlobSet) void {
        if (self.references.fetchSub(1, .acq_rel) > 1) return;
        self.pins.deinit(gpa);
        self.files.release();
        gpa.destroy(self);
    }

    /// What is in the set now stays readable until `unpin`. The generation to give back.
    pub fn pin(self: *BlobSet) error{OutOfMemory}!u64 {
        self.mutex.lock();
        defer self.mutex.unlock();
        const count = self.pins.items.len;
        if (count > 0 and self.pins.items[count - 1].generation == self.generation) {
            self.pins.items[count - 1].count += 1;
        } else {
            try self.pins.append(gpa, .{ .generation = self.generation, .count = 1 });
        }
        _ = self.references.fetchAdd(1, .monotonic);
        return self.generation;
    }

    pub fn unpin(self: *BlobSet, generation: u64) void {
        {
            self.mutex.lock();
            defer self.mutex.unlock();
            for (self.pins.items, 0..) |*each, index| {
                if (each.generation != generation) continue;
                each.count -= 1;
                if (each.count == 0) _ = self.pins.orderedRemove(index);
                break;
            } else unreachable;
            self.sweep();
        }
        self.release();
    }

    /// The segment holds nothing that the store's current state needs: its name may be unlinked when this returns zero.
    /// Negative (errno or Code): it may not, nothing happened.
    pub fn retire(self: *BlobSet, number: u64) i64 {
        self.mutex.lock();
        defer self.mutex.unlock();
        if (self.closed) return abi.Code.closed.int();
        const pinned = self.pins.items.len > 0;
        if (!pinned and !self.segments.contains(number)) return 0;
        const segment = self.find(number) catch return abi.Code.no_memory.int();
        if (pinned) {
            const kept = segment.file.keep();
            if (kept < 0) {
                self.dropUnopened(number, segment);
                return kept;
            }
        }
        segment.retired = self.generation;
        self.generation += 1;
        self.sweep();
        return 0;
    }

    /// Reads the value at an address to the front of `target` and checks it. Room behind it, up to whole blocks, in aligned memory
    /// spares a direct read a copy. REQUIRES: `target` has room for the value.
    pub fn read(self: *BlobSet, address: abi.BlobAddress, target: []u8, failure: *Fault) fault.Error!void {
        std.debug.assert(target.len >= address.bytes);
        const reading = try self.begin(address, failure);
        defer self.end(reading);
        const number = reading.number;
        const offset = reading.offset;
        const file = reading.segment.file.file.?;
        const crc = if (file.direct and !isAligned(target, address.bytes))
            try readThrough(file, number, offset, target[0..address.bytes], failure)
        else
            try readStraight(file, number, offset, target, address.bytes, failure);
        if (checksumOf(crc, number, offset) != address.checksum) return failure.corruptBlob(number, offset);
    }

    /// Damage unless the segment's file is long enough for the value: an address that was made to mislead may claim any length,
    /// and is asked about before memory is taken for a long one.
    pub fn requireBytes(self: *BlobSet, address: abi.BlobAddress, failure: *Fault) fault.Error!void {
        const reading = try self.begin(address, failure);
        defer self.end(reading);
        const file_bytes = reading.segment.file.file.?.size();
        if (file_bytes < 0) return failure.system(file_bytes);
        if (file_bytes < reading.offset + address.bytes) return failure.corruptBlob(reading.number, @intCast(file_bytes));
    }

    /// The segment's file is open until `end`.
    const Reading = struct { segment: *Segment, number: u64, offset: u64 };

    fn begin(self: *BlobSet, address: abi.BlobAddress, failure: *Fault) fault.Error!Reading {
        // What no writer makes is damage too.
        const number = file_jobs.whole(address.number) orelse return failure.corruptBlob(0, 0);
        const offset = file_jobs.whole(address.offset) orelse return failure.corruptBlob(number, 0);
        if (offset % abi.block_bytes != 0 or address.bytes > abi.value_bytes_max) return failure.corruptBlob(number, offset);
        const segment = try self.acquire(number, failure);
        const opened = segment.file.acquire();
        if (opened >= 0) return .{ .segment = segment, .number = number, .offset = offset };
        self.unuse(number, segment, false);
        // A name that is gone: either the segment was removed since the address was read, or it is lost.
        return if (isMissing(opened)) failure.corruptBlob(number, offset) else failure.system(opened);
    }

    fn end(self: *BlobSet, reading: Reading) void {
        reading.segment.file.unuse();
        self.unuse(reading.number, reading.segment, true);
    }

    fn acquire(self: *BlobSet, number: u64, failure: *Fault) fault.Error!*Segment {
        self.mutex.lock();
        defer self.mutex.unlock();
        if (self.closed) return failure.fail(.closed);
        const segment = self.find(number) catch return failure.fail(.no_memory);
        segment.users += 1;
        return segment;
    }

    /// REQUIRES: the mutex.
    fn find(self: *BlobSet, number: u64) error{OutOfMemory}!*Segment {
        const found = try self.segments.getOrPut(gpa, number);
        if (found.found_existing) return found.value_ptr.*;
        errdefer _ = self.segments.remove(number);
        const made = try gpa.create(Segment);
        made.* = .{ .file = .init(self.files, number) };
        made.file.kind = .blob;
        found.value_ptr.* = made;
        return made;
    }

    fn unuse(self: *BlobSet, number: u64, segment: *Segment, opened: bool) void {
        self.mutex.lock();
        defer self.mutex.unlock();
        segment.users -= 1;
        if (segment.retired != null) self.sweep() else if (!opened) self.dropUnopened(number, segment);
    }

    /// One that cannot be opened leaves nothing behind, for its number may be anything. REQUIRES: the mutex.
    fn dropUnopened(self: *BlobSet, number: u64, segment: *Segment) void {
        if (segment.users > 0 or segment.retired != null) return;
        _ = self.segments.remove(number);
        destroySegment(segment);
    }

    /// Lets go of retired segments that nobody can come upon any more. REQUIRES: the mutex.
    fn sweep(self: *BlobSet) void {
        const oldest = if (self.pins.items.len == 0) std.math.maxInt(u64) else self.pins.items[0].generation;
        var again = true;
        while (again) {
            again = false;
            var each = self.segments.iterator();
            while (each.next()) |entry| {
                const segment = entry.value_ptr.*;
                const retired = segment.retired orelse continue;
                if (segment.users > 0 or retired >= oldest) continue;
                self.segments.removeByPtr(entry.key_ptr);
                destroySegment(segment);
                // The iterator is not good any more.
                again = true;
                break;
            }
        }
    }
};

fn destroySegment(segment: *Segment) void {
    segment.file.close();
    gpa.destroy(segment);
}

fn isMissing(result: i64) bool {
    return system.is(result, .NOENT);
}

fn isAligned(target: []const u8, bytes: u32) bool {
    return @intFromPtr(target.ptr) % abi.block_bytes == 0 and target.len >= std.mem.alignForward(u64, bytes, abi.block_bytes);
}

/// The checksum of what was read.
fn readStraight(file: *file_table.File, number: u64, offset: u64, target: []u8, bytes: u32, failure: *Fault) fault.Error!u32 {
    var crc: u32 = 0;
    var done: usize = 0;
    while (done < bytes) {
        const wanted: usize = @min(piece_bytes, bytes - done);
        // In whole blocks, for a direct file.
        const asked = if (file.direct) std.mem.alignForward(usize, wanted, abi.block_bytes) else wanted;
        try readPiece(file, number, offset + done, target[done..][0..asked], wanted, failure);
        crc = checksum.crc32cContinue(crc, target[done..][0..wanted]);
        done += wanted;
    }
    return crc;
}

/// The same by way of aligned memory.
fn readThrough(file: *file_table.File, number: u64, offset: u64, target: []u8, failure: *Fault) fault.Error!u32 {
    const buffer = staging.take(piece_bytes) orelse return failure.fail(.no_memory);
    defer staging.give(buffer);
    const room = @min(buffer.len, piece_bytes);
    var crc: u32 = 0;
    var done: usize = 0;
    while (done < target.len) {
        const wanted = @min(room, target.len - done);
        const asked = std.mem.alignForward(usize, wanted, abi.block_bytes);
        try readPiece(file, number, offset + done, buffer[0..asked], wanted, failure);
        crc = checksum.crc32cContinue(crc, buffer[0..wanted]);
        @memcpy(target[done..][0..wanted], buffer[0..wanted]);
        done += wanted;
    }
    return crc;
}

fn readPiece(file: *file_table.File, number: u64, offset: u64, into: []u8, wanted: usize, failure: *Fault) fault.Error!void {
    const got = file.pread(into, offset);
    if (got < 0) return failure.system(got);
    // The file ends before the value does.
    if (got < wanted) return failure.corruptBlob(number, offset + @as(u64, @intCast(got)));
}
