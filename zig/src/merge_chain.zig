//! The merge operands of one key, as a walk meets them: newest first on the way up, oldest first on the way down. Integers
//! are folded as they come; what `append` and JavaScript's operators need is put together in one buffer, at the end
//! where the next piece belongs, so that a chain of any length is copied once and then handed on. One thread.

const std = @import("std");
const abi = @import("abi.zig");
const fault = @import("fault.zig");
const merge_operator = @import("merge_operator.zig");
const Fault = fault.Fault;

/// A stack that takes more is refused; a folded value has its own bound.
const stack_bytes_max = (1 << 31) - (1 << 17);
/// A larger buffer is given back when its chain is done.
const kept_bytes_max = 1 << 20;

pub const Row = struct {
    value: []const u8,
    /// The value is a `MergeStack`.
    is_stack: bool,
};

pub const MergeChain = struct {
    gpa: std.mem.Allocator,
    operator: abi.MergeOperator,
    /// The next operand is older than those before it.
    newest_first: bool,
    /// Only whether there is a row matters.
    keys_only: bool,

    key: std.ArrayList(u8) = .empty,
    operand_count: u32 = 0,
    has_base: bool = false,
    /// Why the chain has no row. It matters only if nothing newer replaces it, so it is said at the end.
    refusal: ?abi.Code = null,
    /// What the integers come to, once there is one.
    integer: ?i64 = null,
    integer_bytes: [merge_operator.integer_bytes]u8 = undefined,
    /// `append` and stacks: what is there is `buffer[start..end]`.
    buffer: []u8 = &.{},
    start: usize = 0,
    end: usize = 0,

    pub fn deinit(self: *MergeChain) void {
        self.key.deinit(self.gpa);
        self.gpa.free(self.buffer);
    }

    /// A chain of this key, with nothing in it.
    pub fn begin(self: *MergeChain, key: []const u8, failure: *Fault) fault.Error!void {
        self.operand_count = 0;
        self.has_base = false;
        self.refusal = null;
        self.integer = null;
        if (self.buffer.len > kept_bytes_max) {
            self.gpa.free(self.buffer);
            self.buffer = &.{};
        }
        self.start = 0;
        self.end = 0;
        // A stack's header comes last on the way up, first on the way down.
        const header_bytes: usize = if (self.operator == .custom) @sizeOf(abi.MergeStack) else 0;
        if (self.buffer.len < header_bytes) try self.makeRoom(header_bytes, failure);
        self.start = if (self.newest_first) self.buffer.len else 0;
        self.end = if (self.newest_first) self.buffer.len else header_bytes;
        self.key.clearRetainingCapacity();
        self.key.appendSlice(self.gpa, key) catch return failure.fail(.no_memory);
    }

    /// False where `finish` does not depend on what is added.
    pub fn isWanted(self: *const MergeChain) bool {
        return !self.keys_only and self.operator != .none;
    }

    pub fn addOperand(self: *MergeChain, operand: []const u8, failure: *Fault) fault.Error!void {
        self.operand_count += 1;
        try self.add(operand, failure);
    }

    /// The value under all operands. REQUIRES: it is older than whatever was added on the way up, and the first on the way down.
    pub fn addBase(self: *MergeChain, value: []const u8, failure: *Fault) fault.Error!void {
        self.has_base = true;
        try self.add(value, failure);
    }

    fn add(self: *MergeChain, bytes: []const u8, failure: *Fault) fault.Error!void {
        if (!self.isWanted() or self.refusal != null) return;
        switch (self.operator) {
            .none => unreachable,
            .add, .max, .min => {
                const number = merge_operator.integer(bytes) catch {
                    self.refusal = .invalid;
                    return;
                };
                // The order does not matter to any of them.
                self.integer = if (self.integer) |before| merge_operator.combine(self.operator, before, number) else number;
            },
            .append => {
                if (!self.fits(bytes.len, abi.value_bytes_max)) return;
                @memcpy(try self.take(bytes.len, failure), bytes);
            },
            .custom => {
                const padded = std.mem.alignForward(usize, bytes.len, 4);
                if (!self.fits(4 + padded, stack_bytes_max - @sizeOf(abi.MergeStack))) return;
                const piece = try self.take(4 + padded, failure);
                std.mem.writeInt(u32, piece[0..4], @intCast(bytes.len), .little);
                @memcpy(piece[4..][0..bytes.len], bytes);
                @memset(piece[4 + bytes.len ..], 0);
            },
        }
    }

    /// What the chain makes of its key, good until the next `begin`. `unsupported` without an operator.
    pub fn finish(self: *MergeChain, failure: *Fault) fault.Error!Row {
        if (self.operator == .none) return failure.fail(.unsupported);
        if (self.keys_only) return .{ .value = &.{}, .is_stack = false };
        if (self.refusal) |code| return failure.fail(code);
        switch (self.operator) {
            .none => unreachable,
            .add, .max, .min => {
                std.mem.writeInt(i64, &self.integer_bytes, self.integer.?, .little);
                return .{ .value = &self.integer_bytes, .is_stack = false };
            },
            .append => return .{ .value = self.buffer[self.start..self.end], .is_stack = false },
            .custom => {
                if (self.newest_first) _ = try self.take(@sizeOf(abi.MergeStack), failure);
                const stack = self.buffer[self.start..self.end];
                std.mem.writeInt(u32, stack[0..4], @intFromBool(self.has_base), .little);
                std.mem.writeInt(u32, stack[4..8], self.operand_count, .little);
                return .{ .value = stack, .is_stack = true };
            },
        }
    }

    fn fits(self: *MergeChain, bytes: usize, bytes_max: usize) bool {
        if (self.end - self.start + bytes > bytes_max) self.refusal = .exhausted;
        return self.refusal == null;
    }

    /// Room for the next piece, which counts as there.
    fn take(self: *MergeChain, bytes: usize, failure: *Fault) fault.Error![]u8 {
        const left = if (self.newest_first) self.start else self.buffer.len - self.end;
        if (left < bytes) try self.makeRoom(bytes, failure);
        if (self.newest_first) {
            self.start -= bytes;
            return self.buffer[self.start..][0..bytes];
        }
        self.end += bytes;
        return self.buffer[self.end - bytes .. self.end];
    }

    fn makeRoom(self: *MergeChain, bytes: usize, failure: *Fault) fault.Error!void {
        const used = self.end - self.start;
        const larger = self.gpa.alloc(u8, @max(256, used + bytes + used / 2)) catch return failure.fail(.no_memory);
        const start = if (self.newest_first) larger.len - used else 0;
        @memcpy(larger[start..][0..used], self.buffer[self.start..self.end]);
        self.gpa.free(self.buffer);
        self.buffer = larger;
        self.start = start;
        self.end = start + used;
    }
};

const testing = std.testing;

fn chainOf(operator: abi.MergeOperator, newest_first: bool) MergeChain {
    return .{ .gpa = testing.allocator, .operator = operator, .newest_first = newest_first, .keys_only = false };
}

/// What a chain makes of a base and operands, oldest first.
fn expectRow(operator: abi.MergeOperator, base: ?[]const u8, operands: []const []const u8, expected: []const u8) !void {
    for ([_]bool{ false, true }) |newest_first| {
        var chain = chainOf(operator, newest_first);
        defer chain.deinit();
        var failure: Fault = .{};
        // The second time in a buffer that has been used.
        for (0..2) |_| {
            try chain.begin("key", &failure);
            if (!newest_first) if (base) |value| try chain.addBase(value, &failure);
            for (0..operands.len) |i| {
                try chain.addOperand(operands[if (newest_first) operands.len - 1 - i else i], &failure);
            }
            if (newest_first) if (base) |value| try chain.addBase(value, &failure);
            const row = try chain.finish(&failure);
            try testing.expectEqualSlices(u8, expected, row.value);
            try testing.expectEqual(operator == .custom, row.is_stack);
        }
    }
}

test "a chain comes to the same from either end" {
    try expectRow(.add, "\x05\x00\x00\x00\x00\x00\x00\x00", &.{ "\xff" ** 8, "\x03" ++ "\x00" ** 7 }, "\x07" ++ "\x00" ** 7);
    try expectRow(.max, null, &.{ "\xff" ** 8, "\x03" ++ "\x00" ** 7, "\x02" ++ "\x00" ** 7 }, "\x03" ++ "\x00" ** 7);
    try expectRow(.min, "\x01" ++ "\x00" ** 7, &.{ "\xff" ** 8, "\x03" ++ "\x00" ** 7 }, "\xff" ** 8);
    try expectRow(.append, "base,", &.{ "one,", "", "three" }, "base,one,three");
    try expectRow(.append, null, &.{""}, "");
    try expectRow(.append, "x" ** 300, &.{ "y" ** 500, "z" ** 1200 }, "x" ** 300 ++ "y" ** 500 ++ "z" ** 1200);
    try expectRow(.custom, null, &.{ "a", "bcde" }, "\x00\x00\x00\x00\x02\x00\x00\x00" ++
        "\x01\x00\x00\x00a\x00\x00\x00" ++ "\x04\x00\x00\x00bcde");
    try expectRow(.custom, "", &.{"abc"}, "\x01\x00\x00\x00\x01\x00\x00\x00" ++ "\x00\x00\x00\x00" ++ "\x03\x00\x00\x00abc\x00");
}

test "a chain without an operator, or with an integer of another length, is refused" {
    var failure: Fault = .{};
    var nameless = chainOf(.none, true);
    defer nameless.deinit();
    try nameless.begin("key", &failure);
    try nameless.addOperand("1", &failure);
    try testing.expectError(error.Fault, nameless.finish(&failure));
    try testing.expect(failure.is(.unsupported));
    var adding = chainOf(.add, true);
    defer adding.deinit();
    try adding.begin("key", &failure);
    try adding.addBase("1234567", &failure);
    try testing.expectError(error.Fault, adding.finish(&failure));
    try testing.expect(failure.is(.invalid));
    try adding.begin("key", &failure);
    try adding.addOperand("\x05" ++ "\x00" ** 7, &failure);
    try testing.expectEqual(5, (try adding.finish(&failure)).value[0]);
}
