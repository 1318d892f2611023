//! A merge chain on its way to JavaScript during a compaction: the key, and what the operator is called with. Any thread.

const std = @import("std");
const abi = @import("abi.zig");

/// Puts a `ChainPage` into `out`, in place of what was there; operands come oldest first. False: it would be too long.
pub fn write(gpa: std.mem.Allocator, out: *std.ArrayList(u8), key: []const u8, base: ?[]const u8, operands: []const []const u8) error{OutOfMemory}!bool {
    var stack_bytes: usize = @sizeOf(abi.MergeStack);
    if (base) |value| stack_bytes += pieceBytes(value);
    for (operands) |operand| stack_bytes += pieceBytes(operand);
    const key_bytes = std.mem.alignForward(usize, key.len, 4);
    const bytes = @sizeOf(abi.ChainPage) + key_bytes + stack_bytes;
    if (bytes > abi.chain_page_bytes) return false;

    out.clearRetainingCapacity();
    try out.ensureTotalCapacity(gpa, bytes);
    const page: abi.ChainPage = .{ .key_bytes = @intCast(key.len), .stack_bytes = @intCast(stack_bytes) };
    out.appendSliceAssumeCapacity(std.mem.asBytes(&page));
    out.appendSliceAssumeCapacity(key);
    out.appendNTimesAssumeCapacity(0, key_bytes - key.len);
    const stack: abi.MergeStack = .{ .has_base = @intFromBool(base != null), .operand_count = @intCast(operands.len) };
    out.appendSliceAssumeCapacity(std.mem.asBytes(&stack));
    if (base) |value| addPiece(out, value);
    for (operands) |operand| addPiece(out, operand);
    return true;
}

fn pieceBytes(value: []const u8) usize {
    return 4 + std.mem.alignForward(usize, value.len, 4);
}

fn addPiece(out: *std.ArrayList(u8), value: []const u8) void {
    out.appendSliceAssumeCapacity(&std.mem.toBytes(std.mem.nativeToLittle(u32, @intCast(value.len))));
    out.appendSliceAssumeCapacity(value);
    out.appendNTimesAssumeCapacity(0, pieceBytes(value) - 4 - value.len);
}

const testing = std.testing;

test "a page has the key and the chain, each padded, and no more than its bytes" {
    const gpa = testing.allocator;
    var out: std.ArrayList(u8) = .empty;
    defer out.deinit(gpa);
    try testing.expect(try write(gpa, &out, "a key", "base", &.{ "", "xyz" }));
    try testing.expectEqualStrings("\x05\x00\x00\x00\x1c\x00\x00\x00" ++ "a key\x00\x00\x00" ++ "\x01\x00\x00\x00\x02\x00\x00\x00" ++
        "\x04\x00\x00\x00base" ++ "\x00\x00\x00\x00" ++ "\x03\x00\x00\x00xyz\x00", out.items);
    try testing.expect(try write(gpa, &out, "", null, &.{"xyz"}));
    try testing.expectEqualStrings("\x00\x00\x00\x00\x10\x00\x00\x00" ++ "\x00\x00\x00\x00\x01\x00\x00\x00" ++ "\x03\x00\x00\x00xyz\x00", out.items);

    const full = abi.chain_page_bytes - @sizeOf(abi.ChainPage) - @sizeOf(abi.MergeStack) - 2 * 4 - 4;
    const large = try gpa.alloc(u8, full + 1);
    defer gpa.free(large);
    @memset(large, 'x');
    try testing.expect(try write(gpa, &out, "key", large[0..full], &.{""}));
    try testing.expectEqual(abi.chain_page_bytes, out.items.len);
    try testing.expect(!try write(gpa, &out, "key", large, &.{""}));
    try testing.expect(!try write(gpa, &out, "key5!", large[0..full], &.{""}));
}
