//! How the operators that the library knows fold a merge chain. `add`, `max` and `min` take signed 64-bit integers,
//! little-endian; `add` wraps. All are associative, so operands without their base fold into one operand. Pure; any
//! thread may call.

const std = @import("std");
const abi = @import("abi.zig");
const Operator = abi.MergeOperator;

pub const integer_bytes = 8;

pub const Error = error{
    OutOfMemory,
    /// An integer of another length than eight.
    Damaged,
    /// The result is longer than a value may be.
    TooLarge,
};

/// Whether `fold` knows the operator. What it does not know is JavaScript's to fold, or nobody's.
pub fn isNative(operator: Operator) bool {
    return switch (operator) {
        .add, .max, .min, .append => true,
        .none, .custom => false,
    };
}

/// Puts what the operands, oldest first, make of the base (null: there is none) into `out`, in place of what was there.
/// Without a base this is also the one operand that stands for them all. REQUIRES: a native operator, an operand;
/// `out` is none of the inputs.
pub fn fold(gpa: std.mem.Allocator, operator: Operator, base: ?[]const u8, operands: []const []const u8, out: *std.ArrayList(u8)) Error!void {
    std.debug.assert(isNative(operator) and operands.len > 0);
    out.clearRetainingCapacity();
    if (operator == .append) {
        var length: usize = if (base) |value| value.len else 0;
        for (operands) |operand| length += operand.len;
        if (length > abi.value_bytes_max) return error.TooLarge;
        try out.ensureTotalCapacity(gpa, length);
        if (base) |value| out.appendSliceAssumeCapacity(value);
        for (operands) |operand| out.appendSliceAssumeCapacity(operand);
        return;
    }
    var result = try integer(base orelse operands[0]);
    for (if (base == null) operands[1..] else operands) |operand| {
        result = combine(operator, result, try integer(operand));
    }
    try out.appendSlice(gpa, &std.mem.toBytes(std.mem.nativeToLittle(i64, result)));
}

/// An operand, or a base, as the operators on integers read it.
pub fn integer(value: []const u8) error{Damaged}!i64 {
    if (value.len != integer_bytes) return error.Damaged;
    return std.mem.readInt(i64, value[0..integer_bytes], .little);
}

/// What two of them come to, in whichever order. REQUIRES: an operator on integers.
pub fn combine(operator: Operator, a: i64, b: i64) i64 {
    return switch (operator) {
        .add => a +% b,
        .max => @max(a, b),
        .min => @min(a, b),
        .none, .append, .custom => unreachable,
    };
}

const testing = std.testing;

fn number(comptime value: i64) []const u8 {
    return comptime &std.mem.toBytes(std.mem.nativeToLittle(i64, value));
}

fn expectFold(operator: Operator, base: ?[]const u8, operands: []const []const u8, expected: []const u8) !void {
    var out: std.ArrayList(u8) = .empty;
    defer out.deinit(testing.allocator);
    try fold(testing.allocator, operator, base, operands, &out);
    try testing.expectEqualSlices(u8, expected, out.items);
    // In two steps: the operands by themselves, then onto the base.
    for (1..operands.len) |split| {
        var late: std.ArrayList(u8) = .empty;
        defer late.deinit(testing.allocator);
        try fold(testing.allocator, operator, null, operands[split..], &late);
        try fold(testing.allocator, operator, base, operands[0..split], &out);
        var both: std.ArrayList(u8) = .empty;
        defer both.deinit(testing.allocator);
        try fold(testing.allocator, operator, out.items, &.{late.items}, &both);
        try testing.expectEqualSlices(u8, expected, both.items);
    }
}

test "fold() of every operator, with and without a base, at once and in steps" {
    try expectFold(.add, number(40), &.{ number(-3), number(5) }, number(42));
    try expectFold(.add, null, &.{number(7)}, number(7));
    try expectFold(.add, number(std.math.maxInt(i64)), &.{ number(1), number(-1), number(2) }, number(std.math.minInt(i64) + 1));
    try expectFold(.max, number(-5), &.{ number(-9), number(-4) }, number(-4));
    try expectFold(.max, null, &.{ number(-9), number(-4), number(-6) }, number(-4));
    try expectFold(.min, number(256), &.{ number(255), number(-1) }, number(-1));
    try expectFold(.min, null, &.{number(3)}, number(3));
    try expectFold(.append, "a", &.{ "", "bc", "d" }, "abcd");
    try expectFold(.append, null, &.{ "x", "y" }, "xy");
    try expectFold(.append, null, &.{""}, "");
}

test "fold() refuses an integer of another length, wherever it stands" {
    var out: std.ArrayList(u8) = .empty;
    defer out.deinit(testing.allocator);
    for ([_]Operator{ .add, .max, .min }) |operator| {
        try testing.expectError(error.Damaged, fold(testing.allocator, operator, "1234567", &.{number(1)}, &out));
        try testing.expectError(error.Damaged, fold(testing.allocator, operator, null, &.{""}, &out));
        try testing.expectError(error.Damaged, fold(testing.allocator, operator, number(1), &.{ number(1), "123456789" }, &out));
    }
}
