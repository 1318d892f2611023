//! `zig build layout`: writes src/native/layout.gen.ts and symbols.gen.ts. Arguments: the two paths.

const std = @import("std");
const layout = @import("layout.zig");
const c = std.c;

const Text = struct {
    bytes: std.ArrayList(u8) = .empty,

    pub fn text(self: *Text, more: []const u8) void {
        self.bytes.appendSlice(c_allocator, more) catch @panic("out of memory");
    }
};

const c_allocator = std.heap.c_allocator;

pub export fn main(count: c_int, arguments: [*]const [*:0]const u8) c_int {
    if (count != 3) return 2;
    var layout_text: Text = .{};
    layout.writeLayoutFile(&layout_text);
    var symbols_text: Text = .{};
    layout.writeSymbolsFile(&symbols_text);
    if (!write(arguments[1], layout_text.bytes.items)) return 1;
    if (!write(arguments[2], symbols_text.bytes.items)) return 1;
    return 0;
}

fn write(path: [*:0]const u8, bytes: []const u8) bool {
    const descriptor = c.open(path, .{ .ACCMODE = .WRONLY, .CREAT = true, .TRUNC = true }, @as(c_uint, 0o644));
    if (descriptor < 0) return false;
    defer _ = c.close(descriptor);
    var done: usize = 0;
    while (done < bytes.len) {
        const got = c.write(descriptor, bytes.ptr + done, bytes.len - done);
        if (got <= 0) return false;
        done += @intCast(got);
    }
    return true;
}
