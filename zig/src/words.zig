//! Waiting for a word of a region to change. Whoever changes it stores first and wakes then. Any thread may call.

const std = @import("std");
const abi = @import("abi.zig");
const locks = @import("locks.zig");
const region = @import("region.zig");

pub fn wait(id: region.Id, offset: u32, seen: u32, timeout_us: u32) i32 {
    const word = find(id, offset) orelse return abi.Code.closed.int();
    if (@atomicLoad(u32, word, .seq_cst) != seen) return 1;
    if (timeout_us == 0) return 0;
    locks.futexWait(word, seen, @as(u64, timeout_us) * std.time.ns_per_us);
    return @intFromBool(@atomicLoad(u32, word, .seq_cst) != seen);
}

pub fn wake(id: region.Id, offset: u32) i32 {
    const word = find(id, offset) orelse return abi.Code.closed.int();
    locks.futexWakeAll(word);
    return 0;
}

fn find(id: region.Id, offset: u32) ?*u32 {
    if (offset % 4 != 0) return null;
    const bytes = region.part(id, offset, 4) orelse return null;
    return @ptrCast(@alignCast(bytes.ptr));
}

test "a wait ends at once when the word has moved, with a wake, and at the timeout" {
    const testing = std.testing;
    const id = try region.reserve(1);
    defer _ = region.release(id);
    const word = find(id, 8).?;
    try testing.expectEqual(1, wait(id, 8, 1, 60_000_000));
    try testing.expectEqual(0, wait(id, 8, 0, 100));
    const Body = struct {
        fn run(at: *u32, in: region.Id) void {
            @atomicStore(u32, at, 7, .seq_cst);
            _ = wake(in, 8);
        }
    };
    const thread = try std.Thread.spawn(.{}, Body.run, .{ word, id });
    while (wait(id, 8, 0, 10_000_000) == 0) {}
    thread.join();
    try testing.expectEqual(7, word.*);
    try testing.expectEqual(abi.Code.closed.int(), wait(id, 6, 0, 0));
    try testing.expectEqual(abi.Code.closed.int(), wake(-1, 0));
}
