//! How many bytes of values the entries of a table have in each blob segment, each in whole blocks, which is what it takes
//! there. Few segments, so a sorted list. One thread at a time.

const std = @import("std");
const abi = @import("abi.zig");
const file_name = @import("file_name.zig");
const internal_key = @import("internal_key.zig");
const BlobUse = @import("table_format.zig").BlobUse;

pub const address_bytes = @sizeOf(abi.BlobAddress);
/// An expiry stands before a value, or before its address.
pub const expiry_bytes = @sizeOf(f64);

/// The address in an entry's value; null for a type without one. Damaged: it is none.
pub fn addressOf(trailer: u64, value: []const u8) error{Damaged}!?abi.BlobAddress {
    const bytes = switch (internal_key.typeOf(trailer)) {
        @intFromEnum(abi.EntryType.put_blob) => value,
        @intFromEnum(abi.EntryType.put_blob_expiring) => if (value.len >= expiry_bytes) value[expiry_bytes..] else return error.Damaged,
        else => return null,
    };
    if (bytes.len != address_bytes) return error.Damaged;
    const address = std.mem.bytesToValue(abi.BlobAddress, bytes);
    for ([_]f64{ address.number, address.offset }) |number| {
        if (!(number >= 0 and number <= file_name.number_max) or @floor(number) != number) return error.Damaged;
    }
    return if (address.number > 0) address else error.Damaged;
}

pub const BlobTally = struct {
    list: std.ArrayList(BlobUse) = .empty,

    pub fn deinit(self: *BlobTally, gpa: std.mem.Allocator) void {
        self.list.deinit(gpa);
    }

    /// Counts an entry, of whatever type.
    pub fn add(self: *BlobTally, gpa: std.mem.Allocator, trailer: u64, value: []const u8) error{ OutOfMemory, Damaged }!void {
        const address = try addressOf(trailer, value) orelse return;
        const number: u64 = @intFromFloat(address.number);
        const bytes = std.mem.alignForward(u64, address.bytes, abi.block_bytes);
        var at = self.list.items.len;
        while (at > 0 and self.list.items[at - 1].number > number) at -= 1;
        if (at == 0 or self.list.items[at - 1].number != number) {
            try self.list.insert(gpa, at, .{ .number = number, .bytes = bytes });
        } else self.list.items[at - 1].bytes += bytes;
    }
};
