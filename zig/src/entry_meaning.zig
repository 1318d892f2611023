//! What an entry says to a reader at a moment: docs/tree.md's table of types, decoded and checked. Pure; any thread.

const std = @import("std");
const abi = @import("abi.zig");
const internal_key = @import("internal_key.zig");

pub const Error = error{
    /// The value is not what its type asks for.
    Damaged,
    /// A type that no point entry of this version has.
    Unsupported,
};

pub const address_bytes = @sizeOf(abi.BlobAddress);
/// The expiry stands before the value.
pub const expiry_bytes = @sizeOf(f64);

pub const Meaning = union(enum) {
    value: []const u8,
    /// A `BlobAddress`, as it is stored.
    blob: *const [address_bytes]u8,
    /// No value, and nothing older counts.
    nothing,
    /// Applies to whatever is older.
    operand: []const u8,

    /// `now`: milliseconds since 1970. The slices point into `value`.
    pub inline fn of(trailer: u64, value: []const u8, now: f64) Error!Meaning {
        return switch (internal_key.typeOf(trailer)) {
            @intFromEnum(abi.EntryType.put) => .{ .value = value },
            @intFromEnum(abi.EntryType.delete) => .nothing,
            @intFromEnum(abi.EntryType.merge) => .{ .operand = value },
            @intFromEnum(abi.EntryType.put_blob) => .{ .blob = try address(value) },
            @intFromEnum(abi.EntryType.put_expiring) => if (try isAlive(value, now)) .{ .value = value[expiry_bytes..] } else .nothing,
            @intFromEnum(abi.EntryType.put_blob_expiring) => if (try isAlive(value, now))
                .{ .blob = try address(value[expiry_bytes..]) }
            else
                .nothing,
            else => error.Unsupported,
        };
    }
};

fn isAlive(value: []const u8, now: f64) error{Damaged}!bool {
    if (value.len < expiry_bytes) return error.Damaged;
    const expiry: f64 = @bitCast(std.mem.readInt(u64, value[0..8], .little));
    return now < expiry;
}

fn address(value: []const u8) error{Damaged}!*const [address_bytes]u8 {
    if (value.len != address_bytes) return error.Damaged;
    return value[0..address_bytes];
}

const testing = std.testing;

test "an entry means its value before its expiry, nothing from then on, and damage is told from both" {
    const put = internal_key.trailer(9, @intFromEnum(abi.EntryType.put));
    const expiring = internal_key.trailer(9, @intFromEnum(abi.EntryType.put_expiring));
    const blob = internal_key.trailer(9, @intFromEnum(abi.EntryType.put_blob));
    const both = internal_key.trailer(9, @intFromEnum(abi.EntryType.put_blob_expiring));
    try testing.expectEqualStrings("v", (try Meaning.of(put, "v", 0)).value);

    var stored: [expiry_bytes + address_bytes]u8 = @splat(7);
    stored[0..8].* = @bitCast(@as(f64, 100));
    try testing.expectEqualSlices(u8, stored[8..], (try Meaning.of(expiring, &stored, 99.5)).value);
    try testing.expectEqual(.nothing, try Meaning.of(expiring, &stored, 100));
    try testing.expectEqualSlices(u8, stored[8..], (try Meaning.of(both, &stored, 99.5)).blob);
    try testing.expectEqual(.nothing, try Meaning.of(both, &stored, 101));
    try testing.expectEqualSlices(u8, stored[8..], (try Meaning.of(blob, stored[8..], 1e15)).blob);
    try testing.expectEqual(.nothing, try Meaning.of(internal_key.trailer(9, @intFromEnum(abi.EntryType.delete)), "", 0));

    try testing.expectError(error.Damaged, Meaning.of(expiring, stored[0..7], 0));
    try testing.expectError(error.Damaged, Meaning.of(blob, &stored, 0));
    try testing.expectError(error.Damaged, Meaning.of(both, stored[0..31], 0));
    for ([_]u8{ 0, @intFromEnum(abi.EntryType.delete_range), 8, 255 }) |unknown| {
        try testing.expectError(error.Unsupported, Meaning.of(internal_key.trailer(9, unknown), stored[0..0], 0));
    }
}
