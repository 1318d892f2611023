//! coalesce.zig against a file in memory whose writes can be made short.

const std = @import("std");
const coalesce = @import("../coalesce.zig");
const disk = @import("../disk.zig");
const testing = std.testing;
const gpa = testing.allocator;

const Memory = struct {
    bytes: [4096]u8 = @splat('.'),
    calls: u32 = 0,
    parts_most: usize = 0,
    bytes_most: usize = 0,
    /// No call takes more.
    short: usize = std.math.maxInt(usize),
    /// Offsets from here on are counted, not kept.
    failure: i64 = 0,

    fn write(context: *anyopaque, parts: []const disk.IoVec, offset: u64) i64 {
        const self: *Memory = @ptrCast(@alignCast(context));
        self.calls += 1;
        if (self.failure != 0) return self.failure;
        self.parts_most = @max(self.parts_most, parts.len);
        var done: usize = 0;
        for (parts) |part| {
            const take = @min(part.len, self.short - done);
            for (part.base[0..take], 0..) |byte, index| {
                const at: usize = @intCast(offset + done + index);
                if (at < self.bytes.len) self.bytes[at] = byte;
            }
            done += take;
        }
        self.bytes_most = @max(self.bytes_most, done);
        return @intCast(done);
    }

    fn sink(self: *Memory, vectored: bool) coalesce.Sink {
        return .{ .context = self, .write = write, .vectored = vectored };
    }
};

fn expect(writes: []const coalesce.Write, calls: u32, text: []const u8) !void {
    for ([_]bool{ true, false }) |vectored| {
        for ([_]usize{ std.math.maxInt(usize), 3, 1 }) |short| {
            var memory: Memory = .{ .short = short };
            const outcome = coalesce.write(gpa, memory.sink(vectored), writes);
            try testing.expectEqual(@as(u32, @intCast(writes.len)), outcome.writes_in);
            try testing.expectEqual(memory.calls, outcome.calls_out);
            try testing.expect(outcome.result >= 0);
            if (short > 4096) try testing.expectEqual(calls, outcome.calls_out);
            try testing.expectEqualStrings(text, memory.bytes[0..text.len]);
            try testing.expectEqual('.', memory.bytes[text.len]);
        }
    }
}

test "write() merges contiguous writes, whatever their order" {
    try expect(&.{
        .{ .offset = 4, .bytes = "EF" }, .{ .offset = 0, .bytes = "AB" }, .{ .offset = 2, .bytes = "CD" },
    }, 1, "ABCDEF");
}

test "write() leaves a gap of one byte alone" {
    try expect(&.{ .{ .offset = 3, .bytes = "DE" }, .{ .offset = 0, .bytes = "AB" } }, 2, "AB.DE");
}

test "write() lets the later of two overlapping writes win" {
    try expect(&.{ .{ .offset = 0, .bytes = "aaaa" }, .{ .offset = 2, .bytes = "bbbb" } }, 1, "aabbbb");
    try expect(&.{ .{ .offset = 2, .bytes = "bbbb" }, .{ .offset = 0, .bytes = "aaaa" } }, 1, "aaaabb");
    try expect(&.{ .{ .offset = 0, .bytes = "aaaaaa" }, .{ .offset = 2, .bytes = "bb" } }, 1, "aabbaa");
    try expect(&.{ .{ .offset = 2, .bytes = "bb" }, .{ .offset = 0, .bytes = "aaaaaa" } }, 1, "aaaaaa");
    try expect(&.{ .{ .offset = 1, .bytes = "aa" }, .{ .offset = 1, .bytes = "bb" } }, 1, ".bb");
    try expect(&.{
        .{ .offset = 1, .bytes = "b" },      .{ .offset = 3, .bytes = "d" }, .{ .offset = 5, .bytes = "f" },
        .{ .offset = 0, .bytes = "zzzzzz" }, .{ .offset = 2, .bytes = "C" },
    }, 1, "zzCzzz");
}

test "write() does what writing in order does, for any overlaps" {
    var random = std.Random.DefaultPrng.init(1);
    var source: [256]u8 = undefined;
    for (0..2000) |_| {
        random.random().bytes(&source);
        var writes: [12]coalesce.Write = undefined;
        const count = random.random().uintLessThan(usize, writes.len + 1);
        var plain: [64]u8 = @splat('.');
        for (writes[0..count]) |*each| {
            const offset = random.random().uintLessThan(usize, 40);
            const bytes = source[random.random().uintLessThan(usize, 200)..][0..random.random().uintLessThan(usize, 12)];
            each.* = .{ .offset = offset, .bytes = bytes };
            @memcpy(plain[offset..][0..bytes.len], bytes);
        }
        var memory: Memory = .{};
        const outcome = coalesce.write(gpa, memory.sink(true), writes[0..count]);
        try testing.expect(outcome.result >= 0);
        try testing.expectEqualStrings(&plain, memory.bytes[0..plain.len]);
    }
}

test "write() makes two calls of 1,025 parts, and of more than 8 MiB" {
    var many: [1025]coalesce.Write = undefined;
    for (&many, 0..) |*each, index| each.* = .{ .offset = 1024 - index, .bytes = "x" };
    var memory: Memory = .{};
    const outcome = coalesce.write(gpa, memory.sink(true), &many);
    try testing.expectEqual(2, outcome.calls_out);
    try testing.expectEqual(1025, outcome.result);
    try testing.expectEqual(1024, memory.parts_most);
    for (memory.bytes[0..1025]) |byte| try testing.expectEqual('x', byte);
    try testing.expectEqual('.', memory.bytes[1025]);

    const large = try gpa.alloc(u8, coalesce.call_bytes_max);
    defer gpa.free(large);
    @memset(large, 'y');
    memory = .{};
    const bounded = coalesce.write(gpa, memory.sink(true), &.{
        .{ .offset = 0, .bytes = "ab" }, .{ .offset = 2, .bytes = large },
    });
    try testing.expectEqual(2, bounded.calls_out);
    try testing.expectEqual(coalesce.call_bytes_max + 2, bounded.result);
    try testing.expectEqual(coalesce.call_bytes_max, memory.bytes_most);
    try testing.expectEqualStrings("abyy", memory.bytes[0..4]);
}

test "write() reports the system's error and a disk that takes nothing" {
    var memory: Memory = .{ .failure = -28 };
    try testing.expectEqual(-28, coalesce.write(gpa, memory.sink(true), &.{.{ .offset = 0, .bytes = "a" }}).result);
    memory = .{ .short = 0 };
    try testing.expectEqual(-5, coalesce.write(gpa, memory.sink(true), &.{.{ .offset = 0, .bytes = "a" }}).result);
    memory = .{};
    try testing.expectEqual(0, coalesce.write(gpa, memory.sink(true), &.{}).calls_out);
}
