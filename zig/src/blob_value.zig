//! The large values that a cursor comes upon. From `init` to `deinit` it pins the segments that there are, so that an address
//! that the cursor's tables and memtables hold can be read although compaction has moved the value meanwhile. One thread
//! at a time.

const std = @import("std");
const abi = @import("abi.zig");
const entry_meaning = @import("entry_meaning.zig");
const fault = @import("fault.zig");
const Access = @import("table_reader.zig").Access;
const BlobSet = @import("blob_set.zig").BlobSet;
const Fault = fault.Fault;

const gpa = std.heap.c_allocator;

/// A larger buffer is given back before the next value.
const kept_bytes_max = 4 << 20;
const block_align: std.mem.Alignment = .fromByteUnits(abi.block_bytes);

pub const Address = *const [entry_meaning.address_bytes]u8;

pub const BlobValue = struct {
    set: *BlobSet,
    generation: u64,
    buffer: []align(abi.block_bytes) u8 = &.{},
    /// What the buffer holds the value of: a row that did not fit on one page comes again on the next.
    held: ?[entry_meaning.address_bytes]u8 = null,

    pub fn init(set: *BlobSet) error{OutOfMemory}!BlobValue {
        return .{ .set = set, .generation = try set.pin() };
    }

    pub fn deinit(self: *BlobValue) void {
        gpa.free(self.buffer);
        self.set.unpin(self.generation);
    }

    /// The bytes that an address stands for, good until the next call. They are in no cache of ours.
    pub fn read(self: *BlobValue, stored: Address, access: Access, failure: *Fault) fault.Error![]const u8 {
        const address = std.mem.bytesToValue(abi.BlobAddress, stored);
        if (self.held) |held| if (std.mem.eql(u8, &held, stored)) return self.buffer[0..address.bytes];
        if (access == .cached) return failure.fail(.would_block);
        self.held = null;
        if (address.bytes > kept_bytes_max) try self.set.requireBytes(address, failure);
        try self.makeRoom(std.mem.alignForward(usize, @max(address.bytes, 1), abi.block_bytes), failure);
        try self.set.read(address, self.buffer, failure);
        self.held = stored.*;
        return self.buffer[0..address.bytes];
    }

    fn makeRoom(self: *BlobValue, bytes: usize, failure: *Fault) fault.Error!void {
        if (self.buffer.len >= bytes and self.buffer.len <= @max(bytes, kept_bytes_max)) return;
        gpa.free(self.buffer);
        self.buffer = &.{};
        self.buffer = gpa.alignedAlloc(u8, block_align, bytes) catch return failure.fail(.no_memory);
    }
};
