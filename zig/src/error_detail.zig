//! What a code cannot say: a line of text about the last call that failed on this thread.

const std = @import("std");

threadlocal var buffer: [256]u8 = undefined;
threadlocal var filled: usize = 0;

pub fn clear() void {
    filled = 0;
}

pub fn set(comptime format: []const u8, values: anytype) void {
    const text = std.fmt.bufPrint(&buffer, format, values) catch return clear();
    filled = text.len;
}

pub fn get() []const u8 {
    return buffer[0..filled];
}
